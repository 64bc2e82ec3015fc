"""Bands around the ROC curve and the calibration that hold at all their points at once, for whoever draws them.

Every number at a point has an interval (``estimates``), with the noise's covariance between tables in it. With m
numbers, each at the level 1 − (1 − level)/m, all of them hold at once (Bonferroni), whatever depends on what.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from wardround.server.evaluation.evaluation import Evaluation

Point = tuple[float, float]


@dataclass(frozen=True)
class RocBand:
    """The measured curve and what is above and below it: points (false, true positive rate), from (0, 0) to (1, 1).

    Guarantee: with the evaluation's confidence, at every score that parts two bins the true point lies between the
    straight lines through ``upper`` and through ``lower``, at all of them at once. Between these scores the lines are
    for the eye. Empty where noise leaves no point.
    """

    curve: tuple[Point, ...]
    upper: tuple[Point, ...]
    lower: tuple[Point, ...]

    def holds(self, true: Sequence[Point]) -> bool:
        """Tell whether all these points lie between the lines."""
        return all(_at(self.lower, x, min) - 1e-12 <= y <= _at(self.upper, x, max) + 1e-12 for x, y in true)


@dataclass(frozen=True)
class CalibrationBar:
    """One range of scores: its mean prediction, the share of label 1, and between what it lies, all bars at once."""

    predicted: float
    observed: float
    low: float
    high: float


def roc_band(found: Evaluation, *, noise_only: bool = False) -> RocBand:
    """Give the band around the ROC curve; noise_only: around the exact curve of the same patients.

    Proof: a true point lies in the box of its two intervals. ``upper`` goes through the boxes' upper left corners, made
    to rise, and so is nowhere below any point of a box; ``lower`` through the lower right ones.
    """
    inner = [pair for pair in found.roc[1:-1] if all(math.isfinite(one.value) for one in pair)]
    if not inner:
        return RocBand((), (), ())
    level = at_once(found.confidence, 2 * len(inner))
    boxes = [tuple(one.interval(level, noise_only=noise_only) for one in pair) for pair in inner]
    upper = [(false[0], true[1]) for false, true in boxes]
    lower = [(false[1], true[0]) for false, true in boxes]
    curve = _rising([(one.value, other.value) for one, other in inner])
    return RocBand(
        curve=((0.0, 0.0), *curve, (1.0, 1.0)),
        upper=((0.0, 0.0), *_rising(upper), (1.0, 1.0)),
        lower=((0.0, 0.0), *_falling(lower), (1.0, 1.0)),
    )


def calibration_bars(found: Evaluation, *, noise_only: bool = False) -> tuple[CalibrationBar, ...]:
    """Give a bar for each range of scores that noise leaves."""
    told = [(predicted, one) for predicted, one in found.calibration if math.isfinite(one.value)]
    level = at_once(found.confidence, max(len(told), 1))
    return tuple(
        CalibrationBar(predicted, one.value, *one.interval(level, noise_only=noise_only))
        for predicted, one in told
    )


def at_once(level: float, numbers: int) -> float:
    """Give the level at which each of so many numbers must hold for all to hold at once at ``level``."""
    return 1 - (1 - level) / numbers


def _at(points: Sequence[Point], x: float, pick: Callable[[Iterable[float]], float]) -> float:
    """Give the height at x of the straight lines through points that rise; of a vertical line what ``pick`` picks."""
    return pick(
        y if right == left else y + (above - y) * (x - left) / (right - left)
        for (left, y), (right, above) in pairwise(points)
        if left <= x <= right
        for y in ((y, above) if right == left else (y,))
    )


def _rising(points: Sequence[Point]) -> list[Point]:
    """Raise each point to what stands before it, from left to right."""
    risen, highest = [], 0.0
    for x, y in sorted(points):
        highest = max(highest, y)
        risen.append((x, highest))
    return risen


def _falling(points: Sequence[Point]) -> list[Point]:
    """Lower each point to what stands after it."""
    fallen, lowest = [], 1.0
    for x, y in sorted(points, reverse=True):
        lowest = min(lowest, y)
        fallen.append((x, lowest))
    return fallen[::-1]
