"""``python -m wardround.simulations.audit``: audit the default study at three values of ε; write docs/lab/audit.*."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from wardround.conf.audited import audit_settings
from wardround.conf.composed import composed
from wardround.protocol.files import write_durably
from wardround.protocol.text.say import say
from wardround.simulations.audit.lab import LabCase, render_lab
from wardround.simulations.audit.report import plain_results
from wardround.simulations.audit.run import conduct

EPSILONS = (1, 4, 8)
SHARED = ("privacy.noise=distributed", "data.hospitals=3", "data.patients=9000", "data.messages=37500")
"""The sum needs every hospital's noise: with the default's 20, one ε would take seven minutes."""


def main(arguments: list[str] | None = None) -> int:
    """Run all cases and write the page and its figures."""
    asked = _parse(arguments)
    found = []
    for case in cases():
        plain = composed("audit", [*case.overrides, f"audit.runs={asked.runs}", f"seed={asked.seed}"])
        plain.pop("experiment", None)
        with tempfile.TemporaryDirectory() as folder:
            results = conduct(audit_settings(plain, Path(folder)))
        found.append((case, plain_results(results)))
        say(f"{case.title}: {results.seconds:.0f} s")
    figures = [{"case": case.title, "overrides": list(case.overrides), **plain} for case, plain in found]
    write_durably(
        asked.out / "audit.json", (json.dumps(figures, indent=1, ensure_ascii=False) + "\n").encode()
    )
    write_durably(asked.out / "audit.md", render_lab(figures).encode())
    say(str(asked.out / "audit.md"))
    return 0


def cases() -> list[LabCase]:
    """List what is audited; the code is broken at ε = 1 alone."""
    local = [
        LabCase(f"local, ε = {e}", (f"privacy.epsilon={e}", f"audit.mutations={'all' if e == 1 else 'none'}"))
        for e in EPSILONS
    ]
    return local + [LabCase(f"distributed, ε = {e}", (f"privacy.epsilon={e}", *SHARED)) for e in EPSILONS]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.audit", description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="runs with the canary, and as many without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/lab"), help="folder of audit.md and .json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
