"""``python -m wardround.simulations.audit``: audit the default study at three values of ε; write docs/lab/audit.*."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from wardround.conf.audited import AuditSettings, audit_settings
from wardround.conf.composed import composed
from wardround.protocol.errors import WardroundError
from wardround.protocol.files import write_durably
from wardround.protocol.text.say import complain, say
from wardround.simulations.audit.lab import LabCase, render_lab
from wardround.simulations.audit.membership import memberships
from wardround.simulations.audit.report import plain_membership, plain_results
from wardround.simulations.audit.run import conduct
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.study.study import simulated_terms

EPSILONS = (1, 4, 8)
SMALL = ("data.hospitals=3", "data.patients=9000", "data.messages=37500", "training.rounds=2")
"""A share's exact noise takes 0.6 ms: all rounds of the default's 20 hospitals would take long."""
BY_WEIGHTS = ("weights", "model")


def main(arguments: list[str] | None = None) -> int:
    """Run all cases and write the page and its figures; 2 where the real table is not there."""
    asked = _parse(arguments)
    attacked, told = [], []
    try:
        for case in told_cases(asked.data):
            told.append(_told(case, asked))
        for case in cases():
            attacked.append(_attacked(case, asked))
    except WardroundError as error:
        complain(str(error))
        return 2
    figures = {"attacked": attacked, "told": told}
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    write_durably(asked.out / "audit.json", f"{text}\n".encode())
    write_durably(asked.out / "audit.md", render_lab(figures).encode())
    say(str(asked.out / "audit.md"))
    return 0


def cases() -> list[LabCase]:
    """List what is attacked by its releases, then by its weights; at ε = 1 the code is broken, too.

    Weights are attacked under an optimiser of first order alone (``simulations.audit.training``); with two rounds,
    as the small studies have, that is what is chosen for secure sums.
    """
    by_weights = (*SMALL, "training.optimizer=sgd", "evaluation=none", "audit.canaries=0")
    return [
        *(_case("local", e) for e in EPSILONS),
        *(_case("secure", e, SMALL) for e in EPSILONS),
        *(
            LabCase(
                f"local, sgd, ε = {e}",
                ("privacy.noise=local", f"privacy.epsilon={e}", *by_weights),
                BY_WEIGHTS,
            )
            for e in EPSILONS
        ),
    ]


def told_cases(data: Path) -> list[LabCase]:
    """List whose final models are asked who took part."""
    return [
        LabCase("no-show, ε = 1", ("data=noshow", f"data.path={data / 'noshow.csv.gz'}")),
        LabCase("default, ε = 1", ()),
    ]


def _case(noise: str, epsilon: int, overrides: tuple[str, ...] = ()) -> LabCase:
    mutations = "all" if epsilon == 1 else "none"
    asked = (f"privacy.noise={noise}", f"privacy.epsilon={epsilon}", f"audit.mutations={mutations}")
    return LabCase(f"{noise}, ε = {epsilon}", (*asked, *overrides))


def _attacked(case: LabCase, asked: argparse.Namespace) -> dict[str, object]:
    results = conduct(_settings(case, (f"audit.runs={asked.runs}", f"seed={asked.seed}", "audit.models=0")))
    say(f"{case.title}: {results.seconds:.0f} s")
    plain = plain_results(results)
    if case.shown:
        plain["findings"] = [one for one in plain["findings"] if one["stage"] in case.shown]
    return {"case": case.title, "overrides": list(case.overrides), **plain}


def _told(case: LabCase, asked: argparse.Namespace) -> dict[str, object]:
    settings, started = _settings(case, (f"seed={asked.seed}",)), time.perf_counter()
    federation = load_cached(settings.study)
    attack, terms = settings.attack, simulated_terms(settings.study, federation)
    found = memberships(federation, terms, attack.models, attack.confidence, settings.study.seed)
    say(f"{case.title}: {attack.models} models, {time.perf_counter() - started:.0f} s")
    return {
        "case": case.title,
        "noise": terms.privacy.mode.name,
        "models": attack.models,
        "seed": settings.study.seed,
        "memberships": [plain_membership(one) for one in found],
    }


def _settings(case: LabCase, more: tuple[str, ...]) -> AuditSettings:
    plain = composed("audit", [*case.overrides, *more])
    plain.pop("experiment", None)
    with tempfile.TemporaryDirectory() as folder:
        return audit_settings(plain, Path(folder))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.audit", description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="runs with the canary, and as many without")
    parser.add_argument("--seed", type=int, default=0)
    folder = Path(os.environ.get("ACCURACY_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=folder, help="folder of noshow.csv.gz (ACCURACY_DATA)")
    parser.add_argument("--out", type=Path, default=Path("docs/lab"), help="folder of audit.md and .json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
