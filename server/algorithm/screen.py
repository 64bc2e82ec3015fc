"""Refuse bad releases before anything is summed; name the hospital and the reason, and let the round go on.

Flower's own strategies abort a whole run over one reply of another shape, and a single NaN poisons their
averages. Here each release is looked at alone, in one pass over its numbers.
"""

import math
from collections.abc import Collection, Container
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Numbers
from wardround.protocol.errors import ReleaseRejected
from wardround.protocol.privacy.mechanism import GRID_CELLS_PER_STDDEV
from wardround.protocol.terms.request import TABLES, UPDATE, QueryRequest, RequestKind
from wardround.protocol.terms.terms import Release, Terms

# The chance that one honest release is refused for its norm: 4e-7 over 10,000 hospitals and 40 rounds.
FALSE_ALARM_RATE = 1e-12
# Public counts may be rounded to one digit, so that the true one is below 1.5 times the declared one.
COUNT_SLACK = 1.5
# A hospital's keyed split may hold out more patients than expected, where it has few.
HELD_OUT_SLACK = 50
_ROUNDING_SLACK = 1 + 2.0**-20  # the vector arrives in float32


@dataclass(frozen=True)
class NoRelease:
    """Stands where a hospital sent something that is no release: refused, malformed, failed.

    reason is a fixed word, the name of the clause that the hospital refused by, or which protocol its agent speaks.
    """

    hospital: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What every honest release of one round has in common; made once per round by ``expect``."""

    terms: Terms
    round: int
    weights_digest: str
    parameters: int
    noise_norm: float
    request: RequestKind


def expect(
    terms: Terms, round_number: int, weights_digest: str, parameters: int, request: RequestKind = UPDATE
) -> Expected:
    """Prepare a round's screening: parameters is the length of every release's vector."""
    return Expected(
        terms=terms,
        round=round_number,
        weights_digest=weights_digest,
        parameters=parameters,
        noise_norm=gaussian_norm_bound(request.noise_stddev(terms, round_number), parameters),
        request=request,
    )


def screen(release: Release, expected: Expected, accepted: Container[str]) -> Numbers:
    """Give the release's vector as a new float64 [parameters] array, or raise ReleaseRejected.

    In a secure sum it is int64 and in range: of a simulated one, as a server sees no real hospital's integers. What
    it checks instead is the norm of their sum (``summed_norm_bound``).

    accepted are the hospitals whose release of this round is in the sum already. Guarantee: what passes
    belongs to this study, round, terms and weights, is the first of its hospital, finite, and no longer
    than an honest release could be (``norm_bound``).
    """
    reason = _wrong_label(release, expected, accepted) or _wrong_form(release.vector, expected)
    if reason:
        raise ReleaseRejected(release.hospital, reason)
    if expected.terms.secure_sum is not None:
        largest = expected.request.sum_noise(expected.terms, expected.round).largest
        if max(-int(release.vector.min()), int(release.vector.max())) > largest:
            raise ReleaseRejected(release.hospital, "out of range")
        return release.vector
    vector = release.vector.astype(np.float64)
    norm = math.sqrt(float(np.dot(vector, vector)))
    # One test for all numbers: squares of float32 cannot overflow float64, so one of them was infinite or NaN.
    if not math.isfinite(norm):
        raise ReleaseRejected(release.hospital, "not finite")
    if norm > norm_bound(expected, release.hospital):
        raise ReleaseRejected(release.hospital, "norm out of bound")
    return vector


def _wrong_label(release: Release, expected: Expected, accepted: Container[str]) -> str:
    terms = expected.terms
    checks = (
        (release.study == terms.study, "wrong study"),
        (release.hospital in terms.training.public_patients, "unknown hospital"),
        (release.round == expected.round, "wrong round"),
        (release.terms_fingerprint == terms.fingerprint, "wrong terms"),
        (release.weights_digest == expected.weights_digest, "wrong weights"),
        (release.account == expected.request.account, "wrong account"),
        (terms.simulation or not release.simulation, "simulated"),
        (release.hospital not in accepted, "repeated"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def _wrong_form(vector: object, expected: Expected) -> str:
    kind = np.float32 if expected.terms.secure_sum is None else np.int64
    if not isinstance(vector, np.ndarray) or vector.dtype != kind:
        return "wrong dtype"
    return "" if vector.shape == (expected.parameters,) else "wrong shape"


def norm_bound(expected: Expected, hospital: str) -> float:
    """Bound the L2 norm of an honest hospital's release, but for chance FALSE_ALARM_RATE (twice, if sampled).

    One step's noised sum is S + Z. ‖S‖ ≤ clip_norm × patients in the sample (``sampled_patients_bound``);
    ‖Z‖ ≤ ``gaussian_norm_bound``. With several local steps the release is a difference of weights,
    −η/n Σ(S_t + Z_t), n declared: the sums add up by the triangle inequality, while ΣZ_t is one Gaussian of
    √steps times the deviation, since each step's noise is independent of all before it. A held-out patient
    moves tables by at most 1, and the held-out are fewer than those declared for training.
    """
    training, sums = expected.terms.training, _sums_bound(expected, hospital)
    if expected.request is TABLES or training.local_steps == 1:
        return (sums + expected.noise_norm) * _ROUNDING_SLACK
    scale = training.local_learning_rate / training.public_patients[hospital]
    steps = training.local_steps
    # Sums may all point one way, hence × steps; independent noise grows by √steps only.
    return scale * (steps * sums + math.sqrt(steps) * expected.noise_norm) * _ROUNDING_SLACK


def summed_norm_bound(expected: Expected, hospitals: Collection[str]) -> float:
    """Bound the L2 norm of a secure sum of these hospitals, but for chance FALSE_ALARM_RATE: each may be at its bound.

    Nothing else bounds what a liar among them adds: no single release is looked at.
    """
    noise, count = expected.request.sum_noise(expected.terms, expected.round), len(hospitals)
    sums = math.fsum(_sums_bound(expected, hospital) for hospital in hospitals)
    rounding = count * noise.grid.step * math.sqrt(expected.parameters) / 2
    shares = gaussian_norm_bound(noise.stddev * math.sqrt(count), expected.parameters)
    return (sums + rounding + shares) * _ROUNDING_SLACK


def _sums_bound(expected: Expected, hospital: str) -> float:
    """Bound the L2 norm of a hospital's sum of one step, before noise."""
    declared = expected.terms.training.public_patients[hospital]
    if expected.request is TABLES:
        return COUNT_SLACK * (declared + HELD_OUT_SLACK)
    if isinstance(expected.request, QueryRequest):
        # What is declared before anybody has counted is a guess. At no hospital δ times its patients may reach 1.
        return 1 / expected.terms.privacy.delta
    rate = expected.terms.training.sampling_rate
    return expected.terms.privacy.clip_norm * sampled_patients_bound(declared, rate)


def gaussian_norm_bound(stddev: float, parameters: int) -> float:
    """Bound ‖Z‖₂ for Z ~ N(0, stddev²·I) rounded to the grid, but for chance FALSE_ALARM_RATE.

    Laurent and Massart 2000, Lemma 1: P(χ²_D ≥ D + 2√(D·x) + 2x) ≤ exp(−x); here x = ln(1/FALSE_ALARM_RATE).
    Rounding moves each coordinate by at most half a grid step, which is at most stddev/GRID_CELLS_PER_STDDEV.
    """
    x = math.log(1 / FALSE_ALARM_RATE)
    rounding = math.sqrt(parameters) / (2 * GRID_CELLS_PER_STDDEV)
    return stddev * (math.sqrt(parameters + 2 * math.sqrt(parameters * x) + 2 * x) + rounding)


def sampled_patients_bound(declared: int, sampling_rate: float) -> float:
    """Bound how many of a hospital's patients one step draws, but for chance FALSE_ALARM_RATE.

    Bernstein's inequality for a binomial count: P(X − nq ≥ t) ≤ exp(−t²/(2(nq(1−q) + t/3))), solved for t
    with room to spare. Never above n, the declared number with the slack for its rounding.
    """
    patients = COUNT_SLACK * declared
    x = math.log(1 / FALSE_ALARM_RATE)
    variance = patients * sampling_rate * (1 - sampling_rate)
    drawn = patients * sampling_rate + math.sqrt(2 * variance * x) + 2 * x / 3
    return min(patients, drawn)
