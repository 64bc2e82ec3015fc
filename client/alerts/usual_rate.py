"""Whether there are more opt-outs than usual, for as many messages as were sent. Pure.

With k of K opt-outs in the last days, in which m of M messages were sent: were the rate the same throughout, k would
be binomial (K, m/M), whatever the rate is (the conditional test of two Poisson rates; Przyborowski and Wilenski
1940, Biometrika 31). An alert asks for a chance of at most ``CHANCE``, and for ``LEAST`` of them at all.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from scipy.stats import binom

LAST, BEFORE = timedelta(days=7), timedelta(days=56)
"""What is looked at, and what it is compared with: the days right before."""
CHANCE, LEAST = 1e-3, 5


def above_usual(opt_outs: Sequence[datetime], sent: Sequence[datetime], now: datetime) -> bool:
    """Whether the last days hold more opt-outs than the days before lead to expect.

    opt_outs, sent: the time of each. Without messages before there is no usual rate, and no answer but False.
    """
    recent, before = _split(opt_outs, now)
    sent_recently, sent_before = _split(sent, now)
    if recent < LEAST or not sent_before:
        return False
    share = sent_recently / (sent_recently + sent_before)
    return bool(binom.sf(recent - 1, recent + before, share) <= CHANCE)


def _split(times: Sequence[datetime], now: datetime) -> tuple[int, int]:
    recent = sum(now - LAST < time <= now for time in times)
    return recent, sum(now - LAST - BEFORE < time <= now - LAST for time in times)
