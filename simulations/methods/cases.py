"""What is measured: the federations, their seeds, and the grid of noise modes and ε."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wardround.protocol.privacy.noise import LOCAL, SECURE, SUPPOSED

EPSILONS = (0.5, 1.0, 3.0, 8.0, math.inf)
NOISES = (LOCAL.name, SECURE.name)
SHOWN_NOISES = (LOCAL.name, SUPPOSED, SECURE.name)
"""What pages and figures show: results that were measured before there were secure sums have a word of their own."""
UNBOUNDED = 1e6
"""The ε that stands for ∞: its noise has less than a hundredth of the clip norm in a round's whole sum."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One federation: overrides of ``wardround-simulate``, and the seeds that draw tables, split and noise.

    file: what must exist, beneath the data folder; None for drawn tables. personal: the ε at which the
    default method's personal parts are fitted as well. split: ``gate``, or FLamby's for heart: drawn by the
    seed, or the one draw that FLamby publishes. only: the methods that run here; empty for all. zoo: the name of
    a federation of the zoo, whose tables and contract replace those of the overrides.
    """

    name: str
    title: str
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = tuple(range(1000, 1005))
    delta: float = 1e-5
    file: str | None = None
    personal: tuple[float, ...] = (1.0,)
    split: str = "gate"
    only: tuple[str, ...] = ()
    zoo: str = ""

    def at(self, folder: Path) -> "Case":
        """Name the table in this folder."""
        if self.file is None:
            return self
        return replace(self, overrides=(*self.overrides, f"data.path='{folder / self.file}'"))


NOSHOW = Case(
    name="noshow", title="No-show: 81 hospitals, 62,299 patients", overrides=("data=noshow",),
    file="noshow.csv.gz", personal=EPSILONS,
)  # fmt: skip
HEART = Case(
    name="heart", title="Heart: 4 hospitals, 740 patients; split by the gate", overrides=("data=heart",),
    seeds=tuple(range(1000, 1030)), delta=1e-3, file="heart", personal=EPSILONS,
)  # fmt: skip
CASES = (
    NOSHOW,
    HEART,
    replace(
        HEART,
        name="heart_flamby",
        title="Heart, split as FLamby does: 66 % to 34 % within label and hospital",
        split="flamby",
        only=("default",),
    ),
    replace(
        HEART,
        name="heart_flamby_43",
        title="Heart, FLamby's own split (its seed 43), noise drawn anew",
        split="flamby_43",
        only=("default",),
    ),
    Case(name="synthetic", title="Synthetic, the default: 20 hospitals, 60,000 patients"),
    Case(
        name="synthetic_many_small",
        title="Synthetic, many small: 200 hospitals of 40 to 400 patients, 24,000 in all",
        overrides=(
            "data.hospitals=200", "data.patients=24000", "data.messages=100000", "data.smallest=40",
            "data.largest=400", "data.size_exponent=0.5",
        ),
    ),
    Case(
        name="synthetic_few_large",
        title="Synthetic, few large: 4 hospitals of 6,000 to 20,000 patients, 40,000 in all, more unlike each other",
        overrides=(
            "data.hospitals=4", "data.patients=40000", "data.messages=160000", "data.smallest=6000",
            "data.largest=20000", "data.size_exponent=0.5", "data.hospital_shift=1.5",
        ),
    ),
)  # fmt: skip


def quick(case: Case) -> Case:
    """The same federation with two seeds, and drawn ones a tenth as large: to see that all runs."""
    small = {"data.patients": 6000, "data.messages": 25000, "data.smallest": 20, "data.largest": 2000}
    if case.file is not None:
        return replace(case, seeds=case.seeds[:2])
    overrides = tuple(f"{key}={value}" for key, value in small.items())
    return replace(case, seeds=case.seeds[:2], overrides=(*case.overrides, *overrides))


def present(cases: tuple[Case, ...], folder: Path) -> Iterator[tuple[Case, str]]:
    """Give every case with its table named, and why it cannot run ('' where it can)."""
    for case in cases:
        path = folder / case.file if case.file else None
        missing = path is not None and not path.exists()
        yield case.at(folder.resolve()), f"no {path}; name the folder with --data" if missing else ""
