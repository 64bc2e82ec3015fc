"""How many patients it takes to find a difference, before a protocol is signed. Pure."""

import math
from collections.abc import Sequence

from scipy.special import ndtri

from wardround.client.outreach.measure.planned import boundaries, spent
from wardround.client.outreach.measure.sequence import narrowest_critical


def mean_variance(share: float, outcomes: float, correlation: float) -> float:
    """Give the variance of one patient's mean of yes or no.

    share: of yes. outcomes: how many a patient has. correlation: between two outcomes of one patient (intraclass).
    The design effect of clusters, 1 + (m − 1)·ρ (Kish 1965), over m.
    """
    return share * (1 - share) * (1 + (outcomes - 1) * correlation) / outcomes


def planned_error(patients: int, variances: Sequence[float], shares: Sequence[float]) -> float:
    """Give the standard error of a difference between two arms. shares: of all patients, in each."""
    return math.sqrt(sum(v / (patients * share) for v, share in zip(variances, shares, strict=True)))


def patients_needed(
    difference: float, variances: Sequence[float], shares: Sequence[float], critical: float, power: float
) -> int:
    """Give the patients of all arms together, for a difference to be found with the chance ``power``.

    critical: the boundary at full size, in standard errors. An earlier look can only add to the power.
    """
    per_patient = sum(v / share for v, share in zip(variances, shares, strict=True))
    return math.ceil((critical + float(ndtri(power))) ** 2 * per_patient / difference**2)


def final_critical(alpha: float, looks: int | None) -> float:
    """Give the boundary at full size: of so many equally spaced planned looks, or (None) of a confidence sequence."""
    if looks is None:
        return narrowest_critical(alpha)
    steps = [(look + 1) / looks for look in range(looks)]
    return boundaries(steps, [spent(step, alpha) for step in steps])[-1]
