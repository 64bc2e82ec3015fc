"""What releases cost together: privacy events -> patient ε, and the noise that a target ε needs.

What happened is a ``PrivacyEvent``; what it costs is ``compose_epsilon``, for adding or removing one
patient with all events. Full-participation Gaussians are composed exactly (Dong, Roth and Su 2019;
analytic Gaussian of Balle and Wang 2018), Poisson-subsampled ones by Google's privacy loss distributions
(Koskela et al. 2020; Doroshenko et al. 2022, ``dp_accounting``), pessimistically. Every approximation
rounds ε up. ``independent_epsilon`` is the second opinion.

``dp_accounting`` takes a second to import and is loaded only where sampling asks for it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wardround.protocol.errors import require
from wardround.protocol.privacy.gaussian_dp import gaussian_epsilon, gaussian_parameter

# Many times the error of the computed curve: a stated ε may be a little too high, never too low.
_ROUND_UP = 1.0 + 1e-6
_FINE, _COARSE = 1e-4, 3e-2  # tolerated relative excess of the discretised ε: to state it, to search by it
_LEAST_SAMPLED_NOISE = (
    0.1  # below it losses are in the hundreds; sampling is not credited there, a safe bound
)
_DIGITS = 5  # significant digits of a noise multiplier


@dataclass(frozen=True)
class PrivacyEvent:
    """``count`` Gaussian releases over one population, each of L2 sensitivity 1 in units of the clip norm.

    noise_multiplier is σ ÷ sensitivity; sampling_rate the Poisson rate over patients, 1 for full
    participation. A private step and a noised histogram (sensitivity 1, rate 1) are both of this form.
    """

    noise_multiplier: float
    sampling_rate: float = 1.0
    count: int = 1

    def __post_init__(self) -> None:
        """Check ranges."""
        multiplier, rate = self.noise_multiplier, self.sampling_rate
        require(0 < multiplier < math.inf, "noise_multiplier", multiplier, "must be positive and finite")
        require(0 < rate <= 1, "sampling_rate", rate, "must be greater than 0 and at most 1")
        require(self.count >= 1, "count", self.count, "must be at least 1")


def merge_events(events: Iterable[PrivacyEvent]) -> tuple[PrivacyEvent, ...]:
    """Add up the counts of equal events, in a fixed order, so that a long history stays short."""
    counts: Counter[tuple[float, float]] = Counter()
    for event in events:
        counts[event.noise_multiplier, event.sampling_rate] += event.count
    # Sorted: the same history in another order has the same ε to the last bit, and the same place in the cache.
    return tuple(PrivacyEvent(*key, count) for key, count in sorted(counts.items()))


def compose_epsilon(events: Iterable[PrivacyEvent], delta: float) -> float:
    """Compose releases into the patient ε at ``delta``, adding or removing one patient; 0 without events.

    Guarantee: never below the exact ε for δ ≥ 1e-10, above it by 1e-6 relative at full participation and
    by about 1e-4 with sampling (noise multipliers under 0.1 count as unsampled). The order of events and
    how they are grouped do not matter. Thousands of entries cost as little as their distinct pairs of
    noise multiplier and rate; results are cached.
    ConfigurationError unless 0 < delta < 1.
    """
    require(0 < delta < 1, "delta", delta, "must lie between 0 and 1, far below 1/patients")
    return _composed(merge_events(events), delta, _FINE)


@lru_cache(maxsize=4096)
def noise_multiplier_for(epsilon: float, delta: float, sampling_rate: float, steps: int) -> float:
    """Find the smallest noise multiplier of ``steps`` equal releases whose composed ε is at most ``epsilon``.

    Rounded up in the fifth significant digit. Guarantee: ``compose_epsilon`` of the result is at most
    ``epsilon``, and within 0.1 % of it. ConfigurationError where an argument is out of range.
    """
    require(0 < epsilon < math.inf, "epsilon", epsilon, "must be greater than 0 and finite")
    require(0 < delta < 1, "delta", delta, "must lie between 0 and 1, far below 1/patients")
    PrivacyEvent(1.0, sampling_rate, steps)  # checks rate and steps

    def cost(multiplier: float, tolerance: float = _FINE) -> float:
        return _composed((PrivacyEvent(multiplier, sampling_rate, steps),), delta, tolerance)

    # Divided by what `_composed` multiplies by, so that the rounding up does not carry ε above the target.
    parameter = gaussian_parameter(epsilon / _ROUND_UP, delta)
    if sampling_rate == 1.0:
        multiplier = math.sqrt(steps) / parameter
    else:
        # The central limit of Bu et al. 2020 is a good first guess and no more than that.
        guess = math.log1p((parameter / sampling_rate) ** 2 / steps) ** -0.5
        # Each evaluation convolves a whole grid: the coarse one finds the place, and few fine ones remain.
        coarse = _root(lambda m: cost(m, _COARSE) - epsilon, guess, 1.2, 1e-3)
        multiplier = _root(lambda m: cost(m) - epsilon, coarse, 1.004, 1e-5)
    multiplier = round_up(multiplier)
    # Brent may stop on the expensive side of the root, within its precision: the guarantee is checked, not assumed.
    while cost(multiplier) > epsilon:
        multiplier = round_up(multiplier * (1 + 10.0**-_DIGITS))
    return multiplier


def epsilon_by_adversary(events: Sequence[PrivacyEvent], hospitals: int, delta: float) -> dict[str, float]:
    """Give the patient ε of releases that are private by themselves, against each adversary.

    Keys: ``model``, whoever gets the model; ``server``, which sees each hospital's release by itself;
    ``server_and_hospitals``, the same with other hospitals, whose own noise tells nothing more. All are equal.
    ``patient_at_two_hospitals``, where there are two: whoever gets the model, about a person who is a patient at
    both, the releases of the two composed (exactly, at full participation). What is released in secure sums costs
    what ``protocol.terms.cost.epsilon_against`` says.
    """
    require(hospitals >= 1, "hospitals", hospitals, "must be at least 1")
    costs = dict.fromkeys(("model", "server", "server_and_hospitals"), compose_epsilon(events, delta))
    if hospitals > 1:
        costs["patient_at_two_hospitals"] = compose_epsilon([*events, *events], delta)
    return costs


def independent_epsilon(events: Iterable[PrivacyEvent], delta: float) -> float:
    """Compose by Rényi differential privacy (Mironov 2017), which shares no code or idea with the primary.

    It is an upper bound as well, so ``compose_epsilon`` must never exceed it. Slack, measured at δ=1e-5
    for ε from 0.1 to 10: the exact ε is at least 0.8 of it at full participation and 0.7 at rates from
    0.1; at smaller rates it is loose for few steps (down to a quarter) and checks from above only.
    """
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    require(0 < delta < 1, "delta", delta, "must lie between 0 and 1, far below 1/patients")
    merged = merge_events(events)
    # Between whole orders the sampled series converges badly, and by a logged warning.
    whole = [*range(2, 65), 80, 128, 256, 512, 1024] if any(e.sampling_rate < 1 for e in merged) else None
    accountant = RdpAccountant(whole)
    for event in merged:
        step: Any = dp_event.GaussianDpEvent(event.noise_multiplier)
        if event.sampling_rate < 1:
            step = dp_event.PoissonSampledDpEvent(event.sampling_rate, step)
        accountant.compose(step, event.count)
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=1024)
def _composed(merged: tuple[PrivacyEvent, ...], delta: float, tolerance: float) -> float:
    """Compose merged events; with sampling, discretise for about this relative excess."""
    sampled = [e for e in merged if e.sampling_rate < 1.0 and e.noise_multiplier >= _LEAST_SAMPLED_NOISE]
    # μ² adds up (Dong, Roth and Su 2019): all unsampled releases are one Gaussian, and need no grid.
    full = [event for event in merged if event not in sampled]
    parameter = math.sqrt(math.fsum(event.count / event.noise_multiplier**2 for event in full))
    if not sampled:
        return gaussian_epsilon(parameter, delta) * _ROUND_UP
    interval = _interval(parameter, sampled, tolerance)
    # One grid for all: `compose` refuses distributions of different intervals.
    loss = _sampled_loss(sampled[0], interval)
    for event in sampled[1:]:
        loss = loss.compose(_sampled_loss(event, interval))
    if full:
        loss = loss.compose(_step_loss(1.0 / parameter, 1.0, interval))
    return float(loss.get_epsilon_for_delta(delta)) * _ROUND_UP


def _interval(parameter: float, sampled: Sequence[PrivacyEvent], tolerance: float) -> float:
    """Choose the grid of privacy losses: n steps on a grid of width h add about n h²/4 to their variance.

    A power of two, so that a growing history finds its parts in the cache.
    """
    steps = sum(event.count for event in sampled)
    variance = parameter**2 + sum(_central_limit_variance(event) for event in sampled)
    tolerance *= min(len(sampled), 4)  # many kinds of events: a coarser grid, so that they take no longer
    exponent = math.floor(math.log2(4 * tolerance * variance / steps) / 2)
    return math.ldexp(1.0, min(max(exponent, -20), -7))


def _central_limit_variance(event: PrivacyEvent) -> float:
    """Squared parameter of the Gaussian mechanism that many sampled steps approach (Bu et al. 2020)."""
    return event.count * event.sampling_rate**2 * math.expm1(min(event.noise_multiplier**-2, 20.0))


@lru_cache(maxsize=64)
def _step_loss(multiplier: float, rate: float, interval: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        multiplier, value_discretization_interval=interval, sampling_prob=rate, pessimistic_estimate=True
    )


@lru_cache(maxsize=64)
def _sampled_loss(event: PrivacyEvent, interval: float) -> Any:
    return _step_loss(event.noise_multiplier, event.sampling_rate, interval).self_compose(event.count)


def _root(excess: Callable[[float], float], guess: float, spread: float, precision: float) -> float:
    """Find where a falling function crosses 0, from a guess: bracket by factors of spread, then Brent."""
    from scipy.optimize import brentq

    high = guess
    while excess(high) > 0:
        high *= spread
    low = high / spread
    while excess(low) <= 0:
        low, high = low / spread, low
    # SciPy insists on a positive xtol; 1e-300 leaves the relative precision alone to decide.
    return float(brentq(excess, low, high, xtol=1e-300, rtol=precision))


def round_up(value: float) -> float:
    """Round a noise multiplier up to five significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - _DIGITS + 1)
    # By way of text: ceil × unit in binary ends in digits such as 0.30000000000000004, which terms would carry.
    return float(f"{math.ceil(value / unit) * unit:.{_DIGITS - 1}e}")
