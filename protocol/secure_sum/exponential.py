"""exp(-x) of a rational x, between two integers as close together as one asks; integer arithmetic alone.

The sampler of discrete noise falls back on it where float64 cannot tell which side of a probability a random
number lies on.
"""

_GUARD_BITS = 64


def exponential_bracket(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """Give integers low ≤ 2^bits · exp(-numerator/denominator) ≤ high, with high - low ≤ 2.

    Both arguments are at least 0, denominator at least 1. The two are equal where the exponent is 0.

    Proof: x is halved until it is below 1/2; the Taylor series is summed with N terms, each rounded down and so
    off by less than 2 units in the last of ``bits`` + guard places; rounding x costs one more, the terms left out
    four. Each squaring at most doubles the relative error, and as many guard bits are added.
    """
    if numerator == 0:
        return 1 << bits, 1 << bits
    halvings = max(0, (2 * numerator // denominator).bit_length())
    places = bits + _GUARD_BITS + 2 * halvings
    argument = (numerator << places) // (denominator << halvings)
    total = term = 1 << places
    count = 0
    while term:
        count += 1
        term = (term * argument >> places) // count
        total += -term if count % 2 else term
    slack = 2 * count + 8
    low, high = total - slack, total + slack
    for _ in range(halvings):
        low, high = low * low >> places, (high * high >> places) + 1
    surplus = places - bits
    return low >> surplus, (high >> surplus) + 1
