"""What an uplift query found: each arm's mean outcome, and its difference to the reference arm, over all and by group.

Both accounts' noised tables are added with public weights (``protocol.terms.uplift``), made to agree, and divided. An
interval holds the noise, which is known exactly, and the draw of patients: a mean of numbers in [0, 1] varies at most
as a yes or no of the same mean. By drawn arm, whatever was sent (intention to treat). All is post-processing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.multiple import holm
from wardround.protocol.terms.agreement import agreed_variance, agreement
from wardround.protocol.terms.query import query_shape
from wardround.protocol.terms.request import HELD_OUT_QUERY, QUERY, RequestKind
from wardround.protocol.terms.terms import Terms
from wardround.protocol.terms.uplift import (
    UpliftScale,
    added_accounts,
    arms_of,
    critical_value,
    family_size,
    uplift_scale,
)
from wardround.server.algorithm.aggregate import reason_to_discard
from wardround.server.evaluation.estimates import Estimate
from wardround.server.evaluation.evaluation import TableSum, void_by_norm

REQUESTS: tuple[RequestKind, ...] = (QUERY, HELD_OUT_QUERY)
"""In the order in which they are asked."""
LEAST_SIGNAL = 5.0
"""Below so many standard deviations of its noise, a number of patients says too little to divide by."""
LEAST_PATIENTS = 30.0
"""In an arm, below which the normal distribution is no good approximation."""
RATIO_ALARM = 0.001


@dataclass(frozen=True)
class ArmSeen:
    """One arm of all patients. patients, mean: with their errors; share: that was drawn, of the named arms."""

    arm: str
    share: float
    patients: Estimate
    mean: Estimate


@dataclass(frozen=True)
class UpliftSeen:
    """How much higher an arm's mean outcome is than the reference's, over all or in one group.

    low, high: all intervals of its family hold together at ``LEVEL``. p_value: Holm's, within the family. None where
    noise, or too few patients, leave nothing to state.
    """

    arm: str
    reference: str
    attribute: str
    group: str
    difference: Estimate
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True)
class Uplift:
    """The whole answer. hospitals: by account, those in its sum. ratio: p-value of the arms' shares, noise included."""

    hospitals: Mapping[str, tuple[str, ...]]
    arms: tuple[ArmSeen, ...]
    comparisons: tuple[UpliftSeen, ...]
    groups: tuple[UpliftSeen, ...]
    ratio: float

    @property
    def unequal(self) -> bool:
        """Whether the arms are not as large as they were drawn: then no difference means anything."""
        return self.ratio < RATIO_ALARM


def uplift(terms: Terms, sums: Mapping[str, TableSum]) -> Uplift:
    """Read the answer off the sums of the accounts that gave one; ConfigurationError where none of them can be used."""
    usable = {request.account: _checked(terms, sums[request.account], request) for request in REQUESTS
              if request.account in sums}  # fmt: skip
    names = {request.account: usable[request.account].accepted if request.account in usable else ()
             for request in REQUESTS}  # fmt: skip
    means = _means(terms, usable, names)
    arms = arms_of(terms)
    return Uplift(
        hospitals=names,
        arms=tuple(means.seen(0, at, arms.words[at], arms.shares) for at in range(len(arms.words))),
        comparisons=_adjusted(_compared(terms, means, groups=False)),
        groups=_adjusted(_compared(terms, means, groups=True)),
        ratio=_ratio_p_value(means, np.array([arms.shares[word] for word in arms.words])),
    )


@dataclass(frozen=True, eq=False)
class _Means:
    """Arms' patients and means with their variances: float64 [rows, arms]; count_noise: [rows]."""

    patients: Floats
    mean: Floats
    noise: Floats
    sampling: Floats
    count_noise: Floats
    spread: float

    def stated(self, row: int, arms: tuple[int, ...], expected: Floats) -> bool:
        """Whether both arms of a row have patients enough to state a difference.

        By the row's total and the public shares, not by each arm's own count: to state a difference only where noise
        happened to be upward would make its interval wrong.
        """
        each = float(self.patients[row].sum()) * expected[list(arms)]
        least = max(LEAST_PATIENTS * self.spread, LEAST_SIGNAL * math.sqrt(self.count_noise[row]))
        return bool((each > least).all()) and bool((self.patients[row][list(arms)] > 0).all())

    def seen(self, row: int, arm: int, word: str, shares: Mapping[str, float]) -> ArmSeen:
        patients = Estimate(float(self.patients[row, arm]), math.sqrt(self.count_noise[row]), 0.0)
        mean = Estimate(
            float(self.mean[row, arm]),
            math.sqrt(self.noise[row, arm]),
            math.sqrt(self.sampling[row, arm]),
            bounds=(0.0, 1.0),
        )
        return ArmSeen(word, shares[word] / sum(shares.values()), patients, mean)


def _checked(terms: Terms, found: TableSum, request: RequestKind) -> TableSum:
    fault = reason_to_discard(terms, len(found.accepted)) or void_by_norm(terms, found, request)
    if fault:
        raise ConfigurationError(f"query of {request.account} patients: {fault}; ask once more")
    return found


def _means(terms: Terms, sums: Mapping[str, TableSum], names: Mapping[str, tuple[str, ...]]) -> _Means:
    if terms.query is None:
        raise ConfigurationError("uplift: these terms ask no query")
    shape, scale = query_shape(terms.contract, terms.query), uplift_scale(terms.contract)
    training, held_out = (names[request.account] for request in REQUESTS)
    added = added_accounts(terms, training, held_out)
    total = sum(
        weight * sums[request.account].total
        for weight, request in zip(added.weights, REQUESTS, strict=True)
        if request.account in sums
    )
    rows = np.asarray(total).reshape(len(shape.rows), -1) / shape.factors[:, np.newaxis]
    sums_and_counts = (agreement(shape) @ rows).reshape(len(shape.rows), -1, 2) * scale.length
    variance = np.diag(agreed_variance(shape)) * added.noise
    return _divided(sums_and_counts, variance, scale, added.spread)


def _divided(cells: Floats, variance: Floats, scale: UpliftScale, spread: float) -> _Means:
    """Divide. cells: [rows, arms, 2], sums of (outcome − ½) and γ × patients; variance: of noise ÷ s, [rows]."""
    patients = cells[..., 1] / scale.count
    safe = np.where(patients > 0, patients, np.nan)
    mean = 0.5 + cells[..., 0] / safe
    noise = scale.noise_of_mean(mean, safe, 1.0) * variance[:, np.newaxis]
    within = np.clip(mean, 0.0, 1.0)
    # A noised mean's own spread makes p(1 − p) too small by the noise's variance on average.
    sampling = spread * np.minimum(within * (1 - within) + noise, 0.25) / safe
    return _Means(
        patients=patients,
        mean=mean,
        noise=noise,
        sampling=sampling,
        count_noise=variance * (scale.length / scale.count) ** 2,
        spread=spread,
    )


def _compared(terms: Terms, means: _Means, *, groups: bool) -> tuple[UpliftSeen, ...]:
    """Compare each arm with the reference: over all, or in every group; intervals are of one family."""
    if terms.query is None:
        return ()
    arms, rows = arms_of(terms), query_shape(terms.contract, terms.query).rows
    expected = np.array([arms.shares[word] for word in arms.words]) / sum(arms.shares.values())
    critical = critical_value(family_size(terms, groups))
    found = []
    for place, row in enumerate(rows):
        if bool(row.attribute) != groups:
            continue
        for arm in range(1, len(arms.words)):
            one = Estimate(math.nan, math.nan, math.nan)
            low = high = p_value = None
            if means.stated(place, (0, arm), expected):
                one = _difference(means, place, arm)
                error = math.hypot(one.noise, one.sampling)
                low, high = one.value - critical * error, one.value + critical * error
                p_value = 2 * NormalDist().cdf(-abs(one.value) / error)
            found.append(
                UpliftSeen(arms.words[arm], arms.words[0], row.attribute, row.label, one, low, high, p_value)
            )
    return tuple(found)


def _difference(means: _Means, row: int, arm: int) -> Estimate:
    """Subtract the reference arm's mean; noise in the arms' cells, and the patients in them, are independent."""
    noise, sampling = (float(each[row, arm] + each[row, 0]) for each in (means.noise, means.sampling))
    value = float(means.mean[row, arm] - means.mean[row, 0])
    return Estimate(value, math.sqrt(noise), math.sqrt(sampling))


def _adjusted(found: tuple[UpliftSeen, ...]) -> tuple[UpliftSeen, ...]:
    # What cannot be stated counts in the family all the same.
    adjusted = holm([1.0 if one.p_value is None else one.p_value for one in found])
    return tuple(
        one if one.p_value is None else UpliftSeen(**{**vars(one), "p_value": p_value})
        for one, p_value in zip(found, adjusted, strict=True)
    )


def _ratio_p_value(means: _Means, shares: Floats) -> float:
    """Give the smallest p-value, Bonferroni's, of an arm's share of all patients beside the share that was drawn."""
    shares, patients = shares / shares.sum(), means.patients[0]
    whole = float(patients.sum())
    if whole <= 0:
        return 1.0
    by_draw = means.spread * whole * shares * (1 - shares)
    # The arm's own noise, and that of the whole, of which it is expected to be its share.
    by_noise = means.count_noise[0] * ((1 - shares) ** 2 + (len(shares) - 1) * shares**2)
    z = np.abs(patients - shares * whole) / np.sqrt(by_draw + by_noise)
    return float(min(1.0, len(shares) * 2 * NormalDist().cdf(-float(z.max()))))
