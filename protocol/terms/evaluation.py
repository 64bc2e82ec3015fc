"""Private evaluation and fairness: what the terms say of them, and the shape of the tables that leave.

A table counts events by label and score bin; each event of a held-out patient weighs 1 ÷ the patient's
number of events. There is one table of all events, and one of every group (a bin of each group attribute of
the contract). Stacked, each scaled by its public factor, they make one vector in which a patient moves the
L2 norm by at most 1 (``table_factors``).
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.text.bounds import MOST_EVALUATIONS

MITIGATIONS = ("none", "equal_selection", "equal_opportunity", "calibration")
_MARGIN = 1 - 2.0**-22  # an exact sum over at most 2**23 patients times a factor is rounded, to 2**-53 of it


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Which tables of held-out patients are released, and what they cost those patients.

    rounds: after which the shared model is evaluated; empty means after the last. epsilon: of all tables
    together, at the study's δ, on the held-out patients' account. score_bins: of equal width in
    probability. overall_share: of the squared sensitivity, for the table of all events; group attributes
    share the rest. noise_multiplier: σ ÷ sensitivity of one release, set by ``server.algorithm.propose``.
    """

    enabled: bool = True
    rounds: tuple[int, ...] = ()
    epsilon: float = 1.0
    score_bins: int = 50
    overall_share: float = 0.3
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        """Check ranges."""
        require(
            0 < self.epsilon < math.inf,
            "evaluation.epsilon",
            self.epsilon,
            "must be greater than 0 and finite",
        )
        require(
            2 <= self.score_bins <= 1000, "evaluation.score_bins", self.score_bins, "must be from 2 to 1000"
        )
        require(
            0 < self.overall_share < 1,
            "evaluation.overall_share",
            self.overall_share,
            "must lie between 0 and 1",
        )
        require(
            len(self.rounds) <= MOST_EVALUATIONS,
            "evaluation.rounds",
            f"{len(self.rounds)} rounds",
            f"must be at most {MOST_EVALUATIONS}",
        )
        ascending = all(a < b for a, b in zip((0, *self.rounds), self.rounds, strict=False))
        require(ascending, "evaluation.rounds", list(self.rounds), "must be ascending and at least 1")
        multiplier = self.noise_multiplier
        require(
            0 <= multiplier < math.inf, "evaluation.noise_multiplier", multiplier, "must be greater than 0"
        )


@dataclass(frozen=True, kw_only=True)
class FairnessSettings:
    """Between which groups the model may differ by how much, before a person must look.

    Limits are on the largest difference between two groups of one attribute (fairlearn's definitions);
    1 is no limit. selected_share: events with the highest scores that count as selected. min_group_patients:
    groups whose noised number of held-out patients is smaller are suppressed. confidence: level of every
    interval. mitigation: what is done where a limit is not shown to hold (``server.evaluation.mitigate``).
    """

    max_selection_gap: float = 1.0
    max_true_positive_gap: float = 1.0
    max_false_positive_gap: float = 1.0
    max_auc_gap: float = 1.0
    max_calibration_gap: float = 1.0
    selected_share: float = 0.5
    min_group_patients: int = 100
    confidence: float = 0.95
    mitigation: str = "none"

    def __post_init__(self) -> None:
        """Check ranges."""
        for measure, limit in self.limits.items():
            require(
                0 <= limit <= 1, f"fairness.max_{measure}_gap", limit, "must be from 0 to 1 (1: no limit)"
            )
        share, level = self.selected_share, self.confidence
        require(0 < share < 1, "fairness.selected_share", share, "must lie between 0 and 1")
        require(0.5 <= level < 1, "fairness.confidence", level, "must be at least 0.5 and below 1")
        least = self.min_group_patients
        require(least >= 1, "fairness.min_group_patients", least, "must be at least 1")
        allowed = f"must be one of {', '.join(MITIGATIONS)}"
        require(self.mitigation in MITIGATIONS, "fairness.mitigation", self.mitigation, allowed)

    @property
    def limits(self) -> dict[str, float]:
        """Each measure's limit, 1 where there is none."""
        return {
            "selection": self.max_selection_gap,
            "true_positive": self.max_true_positive_gap,
            "false_positive": self.max_false_positive_gap,
            "auc": self.max_auc_gap,
            "calibration": self.max_calibration_gap,
        }


@dataclass(frozen=True)
class TableRow:
    """One table: of all events (attribute and label empty), or of one group."""

    attribute: str = ""
    label: str = ""


def table_rows(contract: Contract) -> tuple[TableRow, ...]:
    """Name the tables in their fixed order: all events, then the groups of each attribute of the contract."""
    fields = {field.name: field for field in contract.layout.features}
    groups = [TableRow(name, label) for name in contract.groups for label in fields[name].labels]
    return (TableRow(), *groups)


def table_size(contract: Contract, settings: EvaluationSettings) -> int:
    """Length of a release: tables × 2 labels × score bins."""
    sizes = {field.name: field.size for field in contract.layout.features}
    return (1 + sum(sizes[group] for group in contract.groups)) * 2 * settings.score_bins


def table_factors(contract: Contract, settings: EvaluationSettings) -> Floats:
    """Give the public factor of each table: float64 [tables].

    Guarantee: a patient's part in the scaled, stacked tables has L2 norm at most 1. Proof: the patient's
    weights are 1/n on n events, so within the table of all events, and within all groups of one attribute
    taken together (an event is in exactly one), they add up to 1; non-negative numbers that add up to 1 have
    L2 norm at most 1. The norm of the whole is then at most the root of the sum of squared factors, one per
    attribute and one for all events, which is 1.
    """
    share = settings.overall_share if contract.groups else 1.0
    each = (1 - share) / max(len(contract.groups), 1)
    squared = [each if row.attribute else share for row in table_rows(contract)]
    return np.sqrt(squared) * _MARGIN


def score_bins(logits: Floats, settings: EvaluationSettings) -> Integers:
    """Bin of each score: int64 [events]; one that is not a number counts as a probability of ½."""
    bins = settings.score_bins
    # Within ±500: exp overflows beyond 709, and NumPy would warn because of one patient's score.
    probability = 1 / (1 + np.exp(-np.clip(np.nan_to_num(logits, nan=0.0), -500, 500)))
    # A probability of exactly 1 belongs to the last bin, not to one behind it.
    return np.minimum((probability * bins).astype(np.int64), bins - 1)


def bin_probabilities(settings: EvaluationSettings) -> Floats:
    """Probability in the middle of each score bin: float64 [score_bins]."""
    return np.asarray((np.arange(settings.score_bins) + 0.5) / settings.score_bins)
