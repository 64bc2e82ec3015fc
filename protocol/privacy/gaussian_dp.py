"""The Gaussian mechanism's exact guarantee, in double precision and without further packages.

A Gaussian mechanism of sensitivity 1 and standard deviation 1/μ is "μ-GDP"; μ² adds up over releases
(Dong, Roth and Su 2019). Its (ε, δ) curve is that of Balle and Wang 2018, Theorem 8.
"""

import math

# erfc runs out of double precision near x = 37; from 25 on the series below errs by less than 2e-13.
_SERIES_FROM = 25.0


def gaussian_delta(parameter: float, epsilon: float) -> float:
    """Give δ(ε) of the Gaussian mechanism with parameter μ > 0: Φ(μ/2 - ε/μ) - exp(ε) Φ(-μ/2 - ε/μ)."""
    near = epsilon / parameter - parameter / 2
    # In logarithms: exp(ε) alone overflows from ε = 710, while its product with the tail is at most 1.
    return math.exp(_log_tail(near)) - math.exp(epsilon + _log_tail(near + parameter))


def gaussian_excess(parameter: float, epsilon: float) -> float:
    """Give the chance that the mechanism's answer moves somebody's odds by more than a factor of exp(ε).

    The privacy loss of parameter μ is normal of mean μ²/2 and standard deviation μ. This chance is larger than δ
    (16 times, for the μ of ε = 1 at δ = 10⁻⁵): δ also weighs by how much the factor is exceeded.
    """
    return math.exp(_log_tail(epsilon / parameter - parameter / 2))


def gaussian_epsilon(parameter: float, delta: float) -> float:
    """Give the smallest ε ≥ 0 with δ(ε) <= delta, from above: the bracket's safe end is returned."""
    if parameter == 0 or gaussian_delta(parameter, 0.0) <= delta:
        return 0.0
    # δ(ε) ≤ P(loss > ε) ≤ exp(−t²/2) at ε = μ²/2 + μt, which is δ at t = √(2 ln 1/δ): high is safe from the start.
    low, high = 0.0, parameter**2 / 2 + parameter * math.sqrt(2 * math.log(1 / delta))
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if gaussian_delta(parameter, middle) <= delta else (middle, high)
    return high


def gaussian_parameter(epsilon: float, delta: float) -> float:
    """Give the largest μ whose ε at ``delta`` is at most ``epsilon``, from below."""
    low, high = 0.0, 1.0
    while gaussian_epsilon(high, delta) <= epsilon:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_epsilon(middle, delta) <= epsilon else (low, middle)
    return low


def _log_tail(x: float) -> float:
    """Natural logarithm of the standard normal's mass above x, to about 1e-12 relative mass everywhere."""
    if x < _SERIES_FROM:
        return math.log(math.erfc(x / math.sqrt(2)) / 2)
    inverse = x**-2
    series = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse * (1 - 7 * inverse * (1 - 9 * inverse))))
    return -x * x / 2 - math.log(x * math.sqrt(2 * math.pi)) + math.log(series)
