"""Timing as ratios: what is compared takes turns, so that a busy spell of the machine meets all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Times:
    """Seconds of each contestant, one per repetition, in the order in which they took turns."""

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str) -> float:
        """Median seconds of one contestant."""
        return median(self.seconds[name])

    def ratio(self, name: str, base: str) -> float:
        """Median over repetitions of one contestant's seconds ÷ another's in the same repetition."""
        return median(one / other for one, other in zip(self.seconds[name], self.seconds[base], strict=True))


def interleaved(
    contestants: Mapping[str, Callable[[], object]],
    repetitions: int = 9,
    *,
    least_seconds: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Time every contestant once per repetition, after one call of each that is not counted.

    least_seconds: a contestant faster than that is called as often as it takes, and the mean of these calls
    counts. The order turns round from one repetition to the next.
    """
    calls = {}
    for name, run in contestants.items():
        # May import, compile and fill caches: not counted.
        run()
        started = clock()
        run()
        calls[name] = max(1, round(least_seconds / max(clock() - started, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions):
        turn = list(contestants.items())
        for name, run in turn if repetition % 2 == 0 else turn[::-1]:
            started = clock()
            for _ in range(calls[name]):
                run()
            seconds[name].append((clock() - started) / calls[name])
    return Times({name: tuple(taken) for name, taken in seconds.items()})
