"""Several comparisons at once: Holm's procedure (1979, Scandinavian Journal of Statistics 6). Pure."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values: none of the true null hypotheses is rejected below α, but with a chance of at most α.

    Whatever the comparisons depend on. Given back in the same order.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted
