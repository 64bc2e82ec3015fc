"""Whether the arms are as large as they were drawn; valid at every look. Pure.

Arms that are not show a fault: patients who left one arm more often, or rows that one arm lost. A difference between
such arms means nothing.
"""

import math
from collections.abc import Sequence

from wardround.protocol.errors import ConfigurationError

ALARM = 0.01
_WEIGHT = 100.0  # of the mixture: shares that differ by some hundredths are found soonest


def ratio_p_value(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Give the p-value of these shares, however often one looks.

    The multinomial likelihood is mixed over a Dirichlet distribution around the shares; its ratio to that of the
    shares is a martingale, and p its inverse (Lindon and Malek 2022, "Anytime-valid inference for multinomial count
    data").
    """
    if len(counts) != len(shares) or min(shares) <= 0:
        raise ConfigurationError(f"shares={list(shares)}: one above zero for each of {len(counts)} arms")
    total, prior = sum(counts), [_WEIGHT * share for share in shares]
    ratio = math.lgamma(sum(prior)) - math.lgamma(sum(prior) + total)
    ratio += sum(math.lgamma(a + n) - math.lgamma(a) for a, n in zip(prior, counts, strict=True))
    ratio -= sum(n * math.log(share) for n, share in zip(counts, shares, strict=True))
    return math.exp(min(0.0, -ratio))
