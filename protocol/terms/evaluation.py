"""Private evaluation and fairness: what the terms say of them, and the shape of the tables that leave.

A table counts events by label and score bin; each event of a held-out patient weighs 1 ÷ the patient's
number of events. Bins are few, since all of them share the noise; they lie around the expected rate and are
wider further out (``score_edges``), all from public numbers. There is one table of all events, and one of every
group (a bin of each group attribute of the contract). What leaves of the bins are their contrasts (``contrasts``).
Stacked, each scaled by its public factor, they make one vector in which a patient moves the L2 norm by at most 1
(``table_factors``).
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.text.bounds import MOST_EVALUATIONS

MITIGATIONS = ("none", "equal_selection", "equal_opportunity", "calibration")
OVERALL_SHARE, SUMMED_SHARE = 0.7, 0.2
"""Of the table of all events under local noise, and in secure sums, where noise is small and groups need it more."""
HELD_OUT_PER_TRAINING = 1 / 3
"""The gate holds out a quarter of the patients, and a hospital declares how many train."""
_MARGIN = 1 - 2.0**-22
"""Exact sums over at most 2²³ patients become contrasts and are scaled: four roundings to 2⁻⁵³ of them, 2⁻²⁸ in all."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Which tables of held-out patients are released, and what they cost those patients.

    rounds: after which the shared model is evaluated; empty means after the last. epsilon: of all tables
    together, at the study's δ, on the held-out patients' account. score_bins, bin_width: how many bins of
    scores, and how wide the innermost are, in log-odds (``score_edges``). overall_share: of the squared sensitivity,
    for the table of all events; group attributes share the rest; 0 leaves it to the rule of
    ``server.algorithm.propose``, and in terms means 0.7. noise_multiplier: σ ÷ sensitivity of one release, set by
    ``server.algorithm.propose``.
    """

    enabled: bool = True
    rounds: tuple[int, ...] = ()
    epsilon: float = 1.0
    score_bins: int = 8
    bin_width: float = 0.35
    overall_share: float = 0.0
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
        width = self.bin_width
        require(1e-3 <= width <= 10, "evaluation.bin_width", width, "must be from 0.001 to 10 log-odds")
        require(
            0 <= self.overall_share < 1,
            "evaluation.overall_share",
            self.overall_share,
            "must lie between 0 and 1 (null: chosen by the study's rule)",
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
    return row_count(contract) * 2 * settings.score_bins


def row_count(contract: Contract) -> int:
    """Give the number of tables, without making their names."""
    sizes = {field.name: field.size for field in contract.layout.features}
    return 1 + sum(sizes[group] for group in contract.groups)


@dataclass(frozen=True, eq=False)
class TableShape:
    """Stacked tables of patients: rows × cells numbers, each row times its public factor, float64 [rows].

    bins: score bins of each label; cells are label × bin, and a release has the contrasts of each label's bins.
    """

    rows: tuple[TableRow, ...]
    cells: int
    factors: Floats
    bins: int = 1


def table_shape(contract: Contract, settings: EvaluationSettings) -> TableShape:
    """Give the shape of an evaluation's tables: cells are label × score bin."""
    bins = settings.score_bins
    return TableShape(table_rows(contract), 2 * bins, table_factors(contract, settings), bins)


def table_factors(contract: Contract, settings: EvaluationSettings) -> Floats:
    """Give the public factor of each table of an evaluation: float64 [tables]."""
    return row_factors(contract, settings.overall_share or OVERALL_SHARE)


def row_factors(contract: Contract, overall_share: float) -> Floats:
    """Give the public factor of each table: float64 [tables].

    overall_share: of the squared sensitivity, for the table of all; without groups it has the whole.

    Guarantee: a patient's part in the scaled, stacked tables has L2 norm at most 1. Proof: the patient's
    weights are 1/n on n events, so within the table of all events, and within all groups of one attribute
    taken together (an event is in exactly one), they add up to 1. Each event moves its row by the contrasts of its
    score bin, of L2 norm at most 1 (``contrasts``), times its weight; so all of them move it by at most 1. The norm of
    the whole is then at most the root of the sum of squared factors, one per attribute and one for all events, which
    is 1.

    An attribute's part is in proportion to √g, g being its number of groups: half-way between parts alike, by which the
    table of all is known best (``evaluation.consistent_tables``), and parts in proportion to g. These are best for
    groups: one has about 1/g of the patients, and a squared error that goes by g²/part, whose sum is then least.
    """
    share, rows = overall_share if contract.groups else 1.0, table_rows(contract)
    groups = Counter(row.attribute for row in rows if row.attribute)
    parts = {name: (1 - share) * math.sqrt(count) for name, count in groups.items()}
    whole = sum(math.sqrt(count) for count in groups.values())
    squared = [parts[row.attribute] / whole if row.attribute else share for row in rows]
    return np.sqrt(squared) * _MARGIN


def score_edges(contract: Contract, settings: EvaluationSettings) -> Floats:
    """Give the log-odds that part the score bins: float64 [score_bins - 1], ascending; the outermost bins are open.

    The k-th edge from the centre is bin_width · (k + k(k − 1)/7) away: with 8 bins of 0.35 at 0, ±0.35, ±0.8 and ±1.35
    about the log-odds of the contract's expected rate. Where nobody knows the rate, about 0 and twice as wide.
    """
    rate = contract.label.expected_rate
    centre = 0.0 if rate is None else math.log(rate / (1 - rate))
    width = settings.bin_width * (2 if rate is None else 1)
    step = np.arange(1, settings.score_bins) - settings.score_bins / 2
    away = np.abs(step) + np.abs(step) * (np.abs(step) - 1) / 7
    return np.asarray(centre + width * np.sign(step) * away)


def score_bins(logits: Floats, edges: Floats) -> Integers:
    """Bin of each score: int64 [events]; one that is not a number counts as log-odds of 0."""
    return np.searchsorted(edges, np.nan_to_num(logits, nan=0.0), side="right").astype(np.int64)
