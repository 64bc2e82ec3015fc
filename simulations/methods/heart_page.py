"""Heart beside FLamby's published results: its metric, and its stated ε beside the one that it spent."""

import math
from collections.abc import Sequence
from pathlib import Path

from wardround.simulations.methods.cases import SHOWN_NOISES
from wardround.simulations.methods.compared import DEFAULT
from wardround.simulations.methods.flamby import WITHOUT_PRIVACY, flamby_epsilons, published
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.summary import Found
from wardround.simulations.methods.tables import epsilon_text, markdown, spread

DELTA = 1e-3
PUBLISHED_DELTA = "0.001"
STATED = (0.1, 1.0, 5.0, 10.0, 50.0)
PUBLISHED = "published_dp_results.csv"

SECTION = """## Heart beside FLamby

FLamby's metric is the accuracy at 0.5 on each centre's test patients, averaged over the four
centres. Always predicting each centre's majority class gives 0.7207. There are three splits:

- `heart` is split by the gate, a quarter held out.
- `heart_flamby` is split as FLamby splits (34 % held out, within label and centre), by our seeds.
- `heart_flamby_43` is FLamby's one split, under our seeds of noise.

δ = 0.001. Features are scaled by the contract's public ranges alone."""

SPENT = """The next table shows what FLamby's patients really paid, read off its code (`flamby/dp_example`,
`flamby/strategies/utils.py`). Opacus chose the noise for 15 epochs of Poisson batches of 4. The
code then took 15 rounds of 100 steps. It drew them from shuffled batches of the plain loader,
which earn no credit for sampling. All centres also draw their noise from one seed, so differences
of their updates hold less noise. The table does not count that."""


def heart_section(tasks: Sequence[Task], found: Sequence[Found]) -> str:
    """Give the section, or nothing where heart was not run."""
    own = [one for one in found if one.data.startswith("heart")]
    if not own:
        return ""
    parts = [
        f"{SECTION}\n",
        markdown(["data", "method", "noise", "ε, verified", "accuracy", "AUC", "log-loss"], _rows(own)),
    ]
    folder = _folder(tasks)
    if folder is not None and (folder / PUBLISHED).is_file():
        parts.append(_published(folder / PUBLISHED))
    return "\n".join([*parts, _spent()])


def _rows(found: Sequence[Found]) -> list[list[str]]:
    references = [one for one in found if one.method in ("pooled", "pooled_boosting", "alone")]
    private = [one for one in found if one.method == DEFAULT]
    private.sort(key=lambda one: (SHOWN_NOISES.index(one.noise), one.epsilon))
    return [
        [one.data, one.method.replace("_", " "), one.noise, _verified(one)]
        + [spread(one.spreads[measure]) for measure in ("accuracy", "auc", "log_loss")]
        for data in dict.fromkeys(one.data for one in found)
        for one in (*references, *private)
        if one.data == data
    ]


def _verified(one: Found) -> str:
    return "∞" if math.isinf(one.epsilon) else f"{one.verified_epsilon:.4g}"


def _folder(tasks: Sequence[Task]) -> Path | None:
    for task in tasks:
        for override in task.case.overrides:
            if task.case.name.startswith("heart") and override.startswith("data.path="):
                return Path(override.removeprefix("data.path=").strip("'"))
    return None


def _published(path: Path) -> str:
    known = published(path)
    wanted = [(WITHOUT_PRIVACY, WITHOUT_PRIVACY), *((str(one), PUBLISHED_DELTA) for one in STATED)]
    rows = [
        ["none" if not key[0] else key[0], f"{known[key][0]:.4f} ±{known[key][1]:.4f}", str(known[key][2])]
        for key in wanted
        if key in known
    ]
    return (
        "FLamby's published results at δ = 0.001 (FedAvg, DP-SGD by Opacus, one split, ± over runs):\n\n"
        + markdown(["stated ε", "accuracy", "runs"], rows)
    )


def _spent() -> str:
    rows = [
        [
            epsilon_text(stated),
            one.hospital,
            f"{one.noise_multiplier:.3g}",
            f"{one.planned_steps:,} → {one.steps:,}",
            f"{one.sampled:.3g}",
            f"{one.shuffled:.3g}",
        ]
        for stated in STATED[:3]
        for one in flamby_epsilons(stated, DELTA)
    ]
    head = ["stated ε", "centre", "σ ÷ clip norm", "steps planned → taken", "ε if Poisson", "ε as drawn"]
    return f"{SPENT}\n\n" + markdown(head, rows)
