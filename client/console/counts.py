"""Counts of patients for who may not see small ones."""

from wardround.client.outreach.decide.rules import FEWEST_SHOWN

_STEP = 10


def rounded(count: int) -> int | None:
    """Give a count as it may be shown: down to tens; None where it is below ``FEWEST_SHOWN``."""
    return count // _STEP * _STEP if count >= FEWEST_SHOWN else None
