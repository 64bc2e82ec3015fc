"""From finished cells to rows: means and spreads over seeds, as docs/lab/results.json holds them."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from wardround.simulations.methods.cases import EPSILONS, SHOWN_NOISES
from wardround.simulations.methods.column import REFERENCES
from wardround.simulations.methods.compared import DEFAULT

Record = Mapping[str, Any]
MEASURES = ("auc", "macro_auc", "log_loss", "accuracy")
PERSONALISED = "personalised"
ROW_KEYS = (
    "data", "method", "noise", "epsilon", "delta", "seeds", "auc_mean", "auc_sd", "macro_auc_mean",
    "accuracy_mean", "pooled_boosting_auc", "default",
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; NaN where there is none (one seed, one class)."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Found:
    """One method at one noise mode and ε, over seeds. spreads: measure → mean and sd."""

    data: str
    method: str
    noise: str
    epsilon: float
    delta: float
    seeds: tuple[int, ...]
    spreads: Mapping[str, Spread]
    verified_epsilon: float = math.nan

    def mean(self, measure: str) -> float:
        """Mean over seeds."""
        return self.spreads[measure].mean


def spread_of(values: Sequence[float | None]) -> Spread:
    """Mean and sd of what exists."""
    known = [value for value in values if value is not None]
    mean = fmean(known) if known else math.nan
    return Spread(mean, stdev(known) if len(known) > 1 else math.nan)


def summarise(records: Sequence[Record]) -> list[Found]:
    """Group cells by all but their seed: references first, then methods, by noise mode and ε."""
    groups: dict[tuple[str, str, str, float], list[tuple[Record, Record]]] = defaultdict(list)
    for record in records:
        for method, measured in _measured(record):
            place = (record["case"], method, record["noise"], float(record["epsilon"]))
            groups[place].append((record, measured))
    return [_found(place, pairs) for place, pairs in groups.items()]


def _measured(record: Record) -> list[tuple[str, Record]]:
    """What one cell measured: method → measures."""
    if record["method"] == REFERENCES:
        return [(key, value) for key, value in record.items() if isinstance(value, Mapping)]
    own = [(str(record["method"]), record)]
    return [*own, (PERSONALISED, record["personal"])] if "personal" in record else own


def _found(place: tuple[str, str, str, float], pairs: Sequence[tuple[Record, Record]]) -> Found:
    data, method, noise, epsilon = place
    verified = [record.get("verified_epsilon") for record, _ in pairs]
    spent = [float(one) for one in verified if one is not None]
    return Found(
        data=data,
        method=method,
        noise=noise,
        epsilon=epsilon,
        delta=float(pairs[0][0]["delta"]),
        seeds=tuple(sorted(int(record["seed"]) for record, _ in pairs)),
        spreads={key: spread_of([measured[key] for _, measured in pairs]) for key in MEASURES},
        verified_epsilon=max(spent, default=math.nan),
    )


def rows_of(found: Sequence[Found]) -> list[dict[str, object]]:
    """Rows with exactly ``ROW_KEYS``: ε = ∞ is the text ``inf``, a number that does not exist is null.

    auc_mean and macro_auc_mean are the method's own; pooled_boosting_auc is the mean over the same data and
    seeds. default: the method that a user gets who sets nothing, at this noise mode and ε.
    """
    boosting = {one.data: one.mean("auc") for one in found if one.method == "pooled_boosting"}
    ordered = sorted(found, key=lambda one: (one.data, one.method != DEFAULT, one.method, _grid_place(one)))
    return [_row(one, boosting.get(one.data, math.nan)) for one in ordered]


def _row(one: Found, boosting: float) -> dict[str, object]:
    values = (
        one.data,
        one.method,
        one.noise,
        "inf" if math.isinf(one.epsilon) else one.epsilon,
        one.delta,
        len(one.seeds),
        _rounded(one.spreads["auc"].mean),
        _rounded(one.spreads["auc"].sd),
        _rounded(one.spreads["macro_auc"].mean),
        _rounded(one.spreads["accuracy"].mean),
        _rounded(boosting),
        one.method == DEFAULT,
    )
    return dict(zip(ROW_KEYS, values, strict=True))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)


def _grid_place(one: Found) -> tuple[int, int]:
    noise = SHOWN_NOISES.index(one.noise) if one.noise in SHOWN_NOISES else -1
    return noise, EPSILONS.index(one.epsilon) if one.epsilon in EPSILONS else -1
