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
SMALL = ("data.hospitals=3", "data.patients=9000", "data.messages=37500", "training.rounds=2")
"""A share's exact noise takes 0.6 ms: all rounds of the default's 20 hospitals would take hours."""


def main(arguments: list[str] | None = None) -> int:
    """Run all cases and write the page and its figures."""
    asked = _parse(arguments)
    found = []
    for case in cases():
        asked_for = (f"audit.runs={asked.runs}", f"seed={asked.seed}", "audit.models=0")
        plain = composed("audit", [*case.overrides, *asked_for])
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
    """List what is audited; the code is broken at ε = 1 of local noise alone."""
    return [_case("local", e) for e in EPSILONS] + [_case("secure", e, SMALL) for e in EPSILONS]


def _case(noise: str, epsilon: int, overrides: tuple[str, ...] = ()) -> LabCase:
    mutations = "all" if (noise, epsilon) == ("local", 1) else "none"
    asked = (f"privacy.noise={noise}", f"privacy.epsilon={epsilon}", f"audit.mutations={mutations}")
    return LabCase(f"{noise}, ε = {epsilon}", (*asked, *overrides))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.audit", description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="runs with the canary, and as many without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/lab"), help="folder of audit.md and .json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
