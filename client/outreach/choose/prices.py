"""Who gets an extra message where channels have room for few: prices, so that room goes where it gains most.

A patient takes the option whose value less its resource's price is highest, or the standard message, worth 0, which
needs no room: capacities decide extras alone. Prices λ ≥ 0 minimise the dual of the assignment's linear program,

    D(λ) = Σ_i max(0, max_j value_ij − λ_use(j)) + Σ_r λ_r capacity_r,

which no assignment within capacities exceeds. Its corners are rounded (a soft maximum, Nesterov 2005) so that a
quasi-Newton method finds the prices in few passes over the patients. At these prices the patients choose in turn;
where a resource is wanted by too many, those who lose least take their next best.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.errors import require

STANDARD = -1
"""In the place of an option's index: the standard message."""
NO_RESOURCE = -1
"""In the place of a resource: an option that needs no room of which there is too little."""
SMOOTHNESS = (0.05, 0.005, 0.001)
"""How far corners are rounded, stage by stage, in mean positive values; the last costs a few thousandths at most."""
SAMPLE = 20_000
"""Patients on whom all but the last stage look: prices change little with more of them."""


@dataclass(frozen=True, eq=False)
class Allocation:
    """choice: int64 [patients], an option or STANDARD. prices: float64 [resources], ≥ 0. value, bound: in all.

    Guarantee: no resource is used above its capacity, and no assignment within capacities is worth more than ``bound``.
    """

    choice: Integers
    prices: Floats
    value: float
    bound: float


def allocate(value: Floats, use: Integers, capacity: Integers) -> Allocation:
    """Assign each patient one option or the standard message, worth the most in all within capacities.

    value: float [patients, options], over the standard message; −inf where an option is not allowed, and what is not
    above 0 is never taken. use: int [options], the resource that each needs, or NO_RESOURCE. capacity: int [resources].
    Equal patients are served in their order. ConfigurationError where a capacity is negative; ValueError for NaN.
    """
    for index, room in enumerate(capacity):
        require(room >= 0, f"capacity[{index}]", int(room), "must be at least 0")
    best, option = _by_resource(value, use, len(capacity))
    prices = _prices(best, np.asarray(capacity, np.float64))
    taken = _within(best, prices, capacity)
    bound = _dual(best, prices, np.asarray(capacity, np.float64))
    patients, chose = np.arange(len(best)), taken >= 0
    choice = np.where(chose, option[patients, taken], STANDARD)
    return Allocation(choice, prices, float(best[patients, taken][chose].sum()), bound)


def _by_resource(value: Floats, use: Integers, resources: int) -> tuple[Floats, Integers]:
    """Give the best option of each resource, free ones first: value float64 and index, [patients, 1 + resources].

    Options of one resource cost the same, so that no other of them is ever taken. Not above 0: −inf.
    """
    best = np.full((len(value), 1 + resources), -np.inf)
    option = np.full(best.shape, STANDARD, np.int64)
    for index, resource in enumerate(use):
        column, place = value[:, index], 1 + int(resource)
        if np.isnan(column).any():
            raise ValueError("value holds NaN: an option that is not allowed is −inf")
        better = column > np.maximum(best[:, place], 0.0)
        best[better, place] = column[better]
        option[better, place] = index
    return best, option


def _dual(best: Floats, prices: Floats, capacity: Floats) -> float:
    net = (best - np.append(0.0, prices)).max(axis=1, initial=0.0)
    return float(net.sum() + prices @ capacity)


def _prices(best: Floats, capacity: Floats) -> Floats:
    """Find the prices that minimise the rounded dual: float64 [resources]."""
    unit, prices = _unit(best), np.zeros(len(capacity))
    if not len(capacity) or not len(best):
        return prices
    step = -(-len(best) // SAMPLE)
    for smoothness in SMOOTHNESS:
        last = smoothness == SMOOTHNESS[-1]
        some = best if last else best[::step]
        room = capacity * (len(some) / len(best))
        prices = _smooth_minimum(some / unit, room, smoothness, prices, 20 if last else 200)
    return np.asarray(prices * unit)


def _unit(best: Floats) -> float:
    positive = best[best > 0]
    return float(positive.mean()) if len(positive) else 1.0


def _smooth_minimum(best: Floats, capacity: Floats, smoothness: float, start: Floats, passes: int) -> Floats:
    def dual(prices: Floats) -> tuple[float, Floats]:
        net = (best - np.append(0.0, prices)) / smoothness
        top = net.max(axis=1, initial=0.0)
        weight = np.exp(net - top[:, None])
        total = weight.sum(axis=1) + np.exp(-top)
        worth = smoothness * (np.log(total) + top).sum() + prices @ capacity
        demand = (1 / total) @ weight[:, 1:]
        # Per patient: the method's stopping rules are made for numbers of about 1.
        return worth / len(best), (capacity - demand) / len(best)

    bounds = [(0.0, None)] * len(capacity)
    found = minimize(dual, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": passes})
    return np.asarray(found.x, np.float64)


def _within(best: Floats, prices: Floats, capacity: Integers) -> Integers:
    """Let patients choose at these prices, and move whom a resource cannot hold to the next best with room.

    Gives int64 [patients], the column of ``best``; −1 for the standard message.
    """
    net = best - np.append(0.0, prices)
    taken = _soft_choice(net, SMOOTHNESS[-1] * _unit(best))
    left = np.append(len(net), capacity)
    wish, waiting = taken.copy(), np.flatnonzero(taken >= 0)
    taken[:] = -1
    while len(waiting):
        for resource in range(net.shape[1]):
            who = waiting[wish[waiting] == resource]
            if len(who) > left[resource]:
                others = net[who]
                others[:, resource] = -np.inf
                loss = net[who, resource] - others.max(axis=1, initial=0.0)
                # Stable: equal patients keep their order.
                who = who[np.argsort(-loss, kind="stable")][: left[resource]]
            taken[who] = resource
            left[resource] -= len(who)
        net[:, left == 0] = -np.inf
        # Room that is left costs nothing more: whoever gains by it may have it.
        waiting = np.flatnonzero((taken < 0) & np.isfinite(net).any(axis=1))
        wish[waiting] = net[waiting].argmax(axis=1)
    return taken


def _soft_choice(net: Floats, smoothness: float) -> Integers:
    """Choose the best; equal patients whose best are equal share out as the rounded dual has them. −1: standard."""
    net = np.column_stack([net, np.zeros(len(net))])
    weight = np.exp((net - net.max(axis=1, keepdims=True)) / smoothness)
    reached = np.cumsum(weight, axis=1)
    # A golden-ratio sequence: any run of equal patients is spread evenly, and the same each time.
    place = np.mod((1 + np.arange(len(net))) * 0.6180339887498949, 1.0) * reached[:, -1]
    chosen = (reached <= place[:, None]).sum(axis=1)
    return np.where(chosen == net.shape[1] - 1, -1, chosen)
