"""What stands in the tables of a zoo federation, and the contract that a person could write without seeing them.

A contract is made from public numbers alone: the row of the design, words, and each number's usual range. Nothing
here is drawn, so no contract can have learned from a patient.
"""

import math
from dataclasses import dataclass

from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.simulations.population.zoo_design import ZooFederation

CYCLE = ("number", "category", "yes_no", "number", "category", "range")
"""Kinds of the fields that have few words, one after another."""
MOST_EVENTS = 8
CENTRE = 10.0
"""Median of every number; its logarithm has the federation's ``skew`` as standard deviation."""


@dataclass(frozen=True)
class ZooField:
    """One column. kind: ``words`` (many), ``category`` (few), ``yes_no``, ``number`` (binned) or ``range`` (one value).

    size: how many words; 0 where it is a number.
    """

    name: str
    kind: str
    table: str
    size: int = 0

    @property
    def words(self) -> list[str]:
        """The vocabulary."""
        return [f"w{index:04d}" for index in range(1, self.size + 1)]


def fields_of(federation: ZooFederation) -> tuple[ZooField, ...]:
    """All fields: one to three of many words, then the others in turn; messages and patients alternate."""
    many = 1 + (federation.fields >= 20) + (federation.fields >= 40)
    found = [ZooField(f"words_{i}", "words", _table(i + 1), federation.words) for i in range(many)]
    for index in range(federation.fields - many):
        kind = CYCLE[index % len(CYCLE)]
        size = {"category": 3 + index * 5 % 6, "yes_no": 2}.get(kind, 0)
        # Every cycle begins in the other table: else all numbers would be of patients.
        place = index + index // len(CYCLE)
        found.append(ZooField(f"{kind}_{index:02d}", kind, _table(place), size))
    return tuple(found)


def _table(index: int) -> str:
    return ("messages", "patients")[index % 2]


def named_pairs(federation: ZooFederation) -> list[tuple[str, str]]:
    """Crosses that the contract names: neighbours of few words, one for each six fields and at most three."""
    few = [field.name for field in fields_of(federation) if field.kind in ("category", "yes_no", "number")]
    return list(zip(few[::2], few[1::2], strict=False))[: min(3, federation.fields // 6)]


def usual_range(skew: float) -> tuple[float, float]:
    """What a handbook would give as the range of nearly all values, to two digits."""
    return _rounded(CENTRE * math.exp(-2 * skew), 2), _rounded(CENTRE * math.exp(2 * skew), 2)


def round_edges(low: float, high: float) -> list[float]:
    """Round numbers within a usual range: 1, 2, 5, 10 … where it spans a power of ten, else equal steps."""
    if high / low >= 10:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        series = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
        return [edge for edge in series if low <= edge <= high]
    return [_rounded(low + (high - low) * step / 7, 3) for step in range(1, 7)]


def zoo_contract(federation: ZooFederation) -> Contract:
    """Write the contract: K = 8, the rate to two digits, two fields of history."""
    features: dict[str, object] = {f.name: _feature(f, federation.skew) for f in fields_of(federation)}
    for statistic in ("engaged", "missed"):
        features[f"past_{statistic}"] = {"kind": "history", "statistic": statistic, "edges": [1, 2, 4]}
    rate = round(federation.base_rate, 2)
    return contract_from_mapping(
        {
            "name": federation.name,
            "version": 1,
            "purpose": "patient_engagement",
            "patient": "patient",
            "hospital": "hospital",
            "decided_at": "sent",
            "outcome_at": "due",
            "label": {"column": "came", "engaged": ["1"], "not_engaged": ["0"], "expected_rate": rate},
            "events_per_patient": MOST_EVENTS,
            "consent": {"required": False, "basis": "drawn patients"},
            "features": features,
            "crosses": [list(pair) for pair in named_pairs(federation)],
        }
    )


def _feature(field: ZooField, skew: float) -> dict[str, object]:
    plain: dict[str, object] = {"table": field.table, "column": field.name}
    low, high = usual_range(skew)
    if field.kind == "number":
        return {**plain, "kind": "numeric", "edges": round_edges(low, high)}
    if field.kind == "range":
        return {**plain, "kind": "numeric", "range": [low, high]}
    if field.kind == "yes_no":
        return {**plain, "kind": "boolean"}
    return {**plain, "kind": "categorical", "vocabulary": field.words}


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
