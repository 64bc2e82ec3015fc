"""What releases cost a patient together: ε of events, the noise that a target needs, what fits under a cap."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wardround.protocol.errors import require
from wardround.protocol.privacy.accounting import (
    PrivacyEvent,
    compose_epsilon,
    independent_epsilon,
    merge_events,
    noise_multiplier_for,
)

_MOST_STEPS = 10**7


@dataclass(frozen=True)
class Accountant:
    """The patient ε of Gaussian releases, at one δ; a value: ``spend`` gives another accountant.

    Guarantee: ``epsilon`` is never below the exact ε for adding or removing one patient
    (``tests/protocol/privacy/test_accounting.py``), by the accountant that hospitals' ledgers use.

    >>> import wardround
    >>> spent = wardround.Accountant(delta=1e-5).spend(noise_multiplier=20.0, count=40)
    >>> round(spent.epsilon, 3)
    1.199
    """

    delta: float
    events: tuple[PrivacyEvent, ...] = ()

    def __post_init__(self) -> None:
        """Check δ."""
        require(0 < self.delta < 1, "delta", self.delta, "must lie between 0 and 1, far below 1/patients")

    def spend(self, noise_multiplier: float, *, sampling_rate: float = 1.0, count: int = 1) -> "Accountant":
        """Add ``count`` releases of L2 sensitivity 1 with noise of standard deviation ``noise_multiplier``.

        sampling_rate: the Poisson rate over patients of each release; 1 for full participation.
        ConfigurationError where a number is out of range.

        >>> from wardround import Accountant
        >>> one = Accountant(delta=1e-5).spend(5.0, sampling_rate=0.1, count=100)
        >>> one.spend(5.0).epsilon > one.epsilon
        True
        """
        event = PrivacyEvent(noise_multiplier, sampling_rate, count)
        return replace(self, events=merge_events([*self.events, event]))

    def together(self, others: Iterable["Accountant"]) -> "Accountant":
        """Add everything that other accountants hold; ConfigurationError where their δ is another.

        >>> from wardround import Accountant
        >>> study = Accountant(delta=1e-5).spend(20.0, count=40)
        >>> round(study.together([study]).epsilon, 2)
        1.76
        """
        events = list(self.events)
        for other in others:
            same = other.delta == self.delta
            require(same, "delta", other.delta, f"must be {self.delta:g}, as here: ε is composed at one δ")
            events += other.events
        return replace(self, events=merge_events(events))

    @property
    def epsilon(self) -> float:
        """Patient ε of everything spent; 0 for nothing.

        >>> from wardround import Accountant
        >>> Accountant(delta=1e-5).epsilon
        0.0
        """
        return compose_epsilon(self.events, self.delta)

    @property
    def independent_epsilon(self) -> float:
        """The same by Rényi differential privacy, which shares no code with ``epsilon``: an upper bound, looser.

        >>> from wardround import Accountant
        >>> spent = Accountant(delta=1e-5).spend(20.0, count=40)
        >>> spent.epsilon <= spent.independent_epsilon
        True
        """
        return independent_epsilon(self.events, self.delta) if self.events else 0.0

    def noise_for(self, epsilon: float, *, steps: int, sampling_rate: float = 1.0) -> float:
        """Give the smallest noise multiplier at which ``steps`` releases alone cost at most ``epsilon``.

        What was spent before is not counted: ``epsilon`` is of the new releases by themselves.

        >>> from wardround import Accountant
        >>> accountant = Accountant(delta=1e-5)
        >>> noise = accountant.noise_for(1.0, steps=40)
        >>> accountant.spend(noise, count=40).epsilon <= 1.0
        True
        """
        return noise_multiplier_for(epsilon, self.delta, sampling_rate, steps)

    def steps_within(self, cap: float, noise_multiplier: float, *, sampling_rate: float = 1.0) -> int:
        """Give how many more such releases fit, so that everything spent costs at most ``cap``; 0 for none.

        At most ten million. ConfigurationError where a number is out of range.

        >>> from wardround import Accountant
        >>> spent = Accountant(delta=1e-5).spend(20.0, count=20)
        >>> steps = spent.steps_within(1.0, 20.0)
        >>> spent.spend(20.0, count=steps).epsilon <= 1.0 < spent.spend(20.0, count=steps + 1).epsilon
        True
        """
        require(cap > 0, "cap", cap, "must be greater than 0")

        def fits(count: int) -> bool:
            # ε grows with the count, so doubling and halving finds the last that fits. No event may have a count of 0.
            added = self.spend(noise_multiplier, sampling_rate=sampling_rate, count=count) if count else self
            return added.epsilon <= cap

        if not fits(0) or not fits(1):
            return 0
        low, high = 1, 2
        while high < _MOST_STEPS and fits(high):
            low, high = high, 2 * high
        high = min(high, _MOST_STEPS + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low
