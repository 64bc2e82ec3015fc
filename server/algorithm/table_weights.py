"""How much each hospital's noised tables count in their sum, from public numbers alone.

Under local noise a hospital of ten patients adds as much noise as one of ten thousand, so that patients who weigh
alike are not measured best: a release is weighted by a power of its hospital's declared size. A power above 0 tilts
the sum towards large hospitals, whose patients may be other; what that may move is in every interval
(``NoisedTables.tilt``). Of the three powers the one is taken with the least expected error of the AUC. In secure sums
patients weigh alike: the shares of noise are one whole.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import HELD_OUT_PER_TRAINING, TableShape, table_shape
from wardround.protocol.terms.terms import Terms

POWERS = (0.0, 0.25, 0.5)
AUC_DRIFT = 0.02
"""Expected standard deviation between hospitals of what a patient adds to the AUC."""
_USUAL_RATE = 0.2
_AUC_VARIANCE = 1 / 12
"""Of where a patient stands among those of the other label, if scores said nothing."""


@dataclass(frozen=True)
class Tilt:
    """How far weights lead away from patients who weigh alike.

    between: Σ (v − u)², of each hospital's share v of the weighted and u of all patients; within: Σ v²/u, by which the
    variance of sampling grows; 0 and 1 where all weigh alike.
    """

    between: float = 0.0
    within: float = 1.0


NO_TILT = Tilt()
"""Patients weigh alike."""


def release_weights(terms: Terms, power: float | None = None) -> dict[str, float]:
    """Give each planned hospital's public factor: ``declared ** power``, by default of the best power."""
    # A query counts patients, and nobody knows yet how many a hospital should declare.
    if terms.secure_sum is not None or terms.query is not None:
        return dict.fromkeys(terms.hospitals, 1.0)
    best = best_power(terms) if power is None else power
    return {name: float(declared) ** best for name, declared in terms.training.public_patients.items()}


def best_power(terms: Terms) -> float:
    """Choose the power with the least expected error of the AUC; the smallest of those that are alike."""
    return min(POWERS, key=lambda power: expected_auc_variance(terms, release_weights(terms, power)))


def normaliser(terms: Terms, accepted: Sequence[str], weights: dict[str, float]) -> float:
    """Give the factor that makes the weighted sum of these hospitals one of as many patients as they declare."""
    declared = terms.training.public_patients
    return sum(declared[name] for name in accepted) / sum(weights[name] * declared[name] for name in accepted)


def tilt_of(terms: Terms, accepted: Sequence[str], weights: dict[str, float]) -> Tilt:
    """Say how far these weights lead away from patients who weigh alike."""
    declared = np.array([terms.training.public_patients[name] for name in accepted], float)
    own = np.array([weights[name] for name in accepted]) * declared
    alike, weighted = declared / declared.sum(), own / own.sum()
    return Tilt(float(((weighted - alike) ** 2).sum()), float((weighted**2 / alike).sum()))


def noise_gain(terms: Terms, accepted: Sequence[str], weights: dict[str, float]) -> float:
    """Give the standard deviation of the noise in a number of the normalised sum when each hospital's is 1."""
    own: Floats = np.array([weights[name] for name in accepted])
    return normaliser(terms, accepted, weights) * math.sqrt(float((own**2).sum()))


def _precision(shape: TableShape) -> float:
    """Give 1 ÷ variance of a contrast of the table of all, made to agree with every attribute's groups, for noise of 1.

    The sum of an attribute's g tables has g times the variance of one.
    """
    groups = Counter(row.attribute for row in shape.rows)
    return sum(
        float(factor) ** 2 / groups[row.attribute] ** 2
        for row, factor in zip(shape.rows, shape.factors, strict=True)
    )


def expected_auc_variance(terms: Terms, weights: dict[str, float]) -> float:
    """Expect the AUC's variance: noise in two rows of bins, hospitals that differ, and patients that differ."""
    if terms.evaluation is None:
        raise ValueError("these terms evaluate nothing")
    rate = terms.contract.label.expected_rate or _USUAL_RATE
    patients = HELD_OUT_PER_TRAINING * sum(terms.training.public_patients.values())
    ones, zeros = rate * patients, (1 - rate) * patients
    noise = terms.table_noise_stddev * noise_gain(terms, terms.hospitals, weights)
    noise /= math.sqrt(_precision(table_shape(terms.contract, terms.evaluation)))
    tilt = tilt_of(terms, terms.hospitals, weights)
    by_noise = noise**2 * _rank_variance(terms.evaluation.score_bins) * (ones**-2 + zeros**-2)
    return by_noise + AUC_DRIFT**2 * tilt.between + _AUC_VARIANCE * (1 / ones + 1 / zeros) * tilt.within


def _rank_variance(bins: int) -> float:
    """Give the variance of a sum of ranks over bins that are alike, for contrasts of noise 1: the AUC is made of it."""
    ranks = (np.arange(bins) + 0.5) / bins - 0.5
    return float(ranks @ contrasts(bins).covariance @ ranks)
