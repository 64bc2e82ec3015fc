"""Join releases so that a minority of liars cannot steer the result: trimmed mean and median by coordinate.

Yin et al. 2018, "Byzantine-robust distributed learning: towards optimal statistical rates", Defs. 1 and 2,
with weights. Releases are noised *sums* over hospitals of very different size, so what is compared is each
hospital's mean per patient. Under full local noise σᵢ ∝ 1 ÷ declared patients is that mean's noise, and the
least noisy weighted median of such values has weights ∝ 1/σᵢ: votes are declared patients. No hospital has
more than ``CUT`` of all votes, however large it is: otherwise one liar alone could steer the result.

Guarantee: where liars hold a share b of the votes, b ≤ CUT (trimmed) or b < ½ (median), every coordinate of
the estimate lies within the honest hospitals' means. For the median it lies between their weighted quantiles
at (½ − b)/(1 − b) and ½/(1 − b). Both hold per coordinate and round; within them liars do as they like.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wardround.protocol.arrays import Floats, Floats32, Integers
from wardround.protocol.errors import ConfigurationError

CUT = 0.2
"""Share of votes that the trimmed mean cuts off at each end, and the most that one hospital may hold."""
_HALF = 0.5 - 1e-6
"""The median is the trimmed mean of what little is left in the middle: one value, or the mean of two.
At exactly one half nothing would be left, and the mean would be 0 ÷ 0."""
FEWEST = 3
"""Of two releases that disagree nobody can say which one lies."""
LARGEST_ROWS = 4 * 2**30  # bytes
_BLOCK = 2**20  # values that are sorted at a time
_NOISE_VALUES = 2**23


@dataclass(frozen=True, eq=False)
class OrderStatistic:
    """The trimmed mean or median of one round's releases; all of them are held until the round is closed.

    scales: what turns each planned hospital's release into its mean per patient. rows: float32 [planned,
    parameters], as the releases arrived; memory is that of this one array, and of rows that never came
    nothing. Votes are those of the hospitals that came. The estimate is multiplied by the share of planned
    votes that came, as a sum over planned patients would be: fewer releases, a smaller step, no more noise.
    """

    rule: str
    declared: Mapping[str, int]
    scales: Mapping[str, float]
    rows: Floats32
    came: list[str] = field(default_factory=list)

    def add(self, hospital: str, vector: Floats) -> None:
        """Keep one release, float64 [parameters] of values that float32 holds exactly."""
        self.rows[len(self.came)] = vector
        self.came.append(hospital)

    def gradient(self) -> Floats:
        """Estimate the mean gradient, float64 [parameters]."""
        count = len(self.came)
        # Over all planned: the votes of those who came add up to 1, whoever is missing.
        planned = dict(zip(self.declared, votes(np.array(list(self.declared.values()))), strict=True))
        weights = votes(np.array([self.declared[hospital] for hospital in self.came]))
        scales = np.array([self.scales[hospital] for hospital in self.came])
        estimate = np.empty(self.rows.shape[1])
        block = max(1, _BLOCK // count)
        for start in range(0, len(estimate), block):
            means = self.rows[:count, start : start + block].T * scales
            estimate[start : start + block] = trimmed_mean(means, weights, cut_of(self.rule, count))
        estimate *= sum(planned[hospital] for hospital in self.came)
        return estimate


def begin_order_statistic(
    rule: str, declared: Mapping[str, int], scales: Mapping[str, float], parameters: int
) -> OrderStatistic:
    """Start a round's aggregate; ConfigurationError where its releases would not fit ``LARGEST_ROWS``."""
    needed = 4 * len(declared) * parameters
    if needed > LARGEST_ROWS:
        raise ConfigurationError(
            f"training.aggregate={rule}: holds all releases of a round, {len(declared)} × {parameters} parameters "
            f"= {needed >> 20} MiB, must be at most {LARGEST_ROWS >> 20}; use sum, or a smaller model"
        )
    return OrderStatistic(rule, declared, scales, np.empty((len(declared), parameters), np.float32))


def cut_of(rule: str, count: int) -> float:
    """Give the share of votes cut off at each end, of so many hospitals: always room for one liar."""
    return _HALF if rule == "median" else max(CUT, 1 / count)


def votes(declared: Integers) -> Floats:
    """Give each hospital's share of all votes, float64 [hospitals]; the sum is 1.

    In proportion to declared patients, except that nobody has more than ``CUT`` (fewer than 1/CUT hospitals:
    an equal share).
    """
    most = max(CUT, 1 / len(declared))
    largest_first = np.sort(declared)[::-1].astype(np.float64)
    bound = largest_first[0]
    # One by one: capping a hospital raises the share of the next, who may then be above the cut as well.
    for capped in range(len(declared)):
        room = 1 - most * capped
        bound = most * largest_first[capped:].sum() / room
        if largest_first[capped] <= bound * (1 + 1e-12):
            break
    held = np.minimum(declared, bound)
    return np.asarray(held / held.sum())


def trimmed_mean(means: Floats, weights: Floats, cut: float) -> Floats:
    """Mean of what is left of each row when ``cut`` of the weight is cut off at both ends, float64 [rows].

    means: float64 [rows, hospitals]; weights: float64 [hospitals], their sum 1. A hospital on the edge is cut
    in part, so that exactly ``cut`` goes, however unequal the weights are.
    """
    order = np.argsort(means, axis=1)
    ends = np.cumsum(weights[order], axis=1)
    starts = ends - weights[order]
    # What of each hospital's stretch of the votes, laid end to end by value, lies between cut and 1 − cut.
    left = np.minimum(ends, 1 - cut) - np.maximum(starts, cut)
    np.maximum(left, 0.0, out=left)
    kept = np.take_along_axis(means, order, axis=1)
    kept *= left
    return np.asarray(kept.sum(axis=1) / left.sum(axis=1))


def noise_stddev(stddevs: Floats, weights: Floats, cut: float) -> float:
    """Standard deviation of the trimmed mean of independent Gaussians around one value.

    stddevs, weights: float64 [hospitals]. Measured on noise that is drawn the same each time, within 3 % (up
    to 8,192 draws; 2 % at 4,096). The formula for many hospitals, √(π/2) √Σw² ÷ Σ(w/σ) for the median, is far
    too low where few hospitals are much larger than the rest.
    """
    count = len(stddevs)
    draws = min(max(_NOISE_VALUES // count, 1024), 8192)
    # A fixed seed, which protects nothing here: whoever resumes or replays a study must find the same figure.
    generator = np.random.default_rng(2018)
    block = max(1, _BLOCK // count)
    found = [
        trimmed_mean(generator.normal(size=(min(block, draws - start), count)) * stddevs, weights, cut)
        for start in range(0, draws, block)
    ]
    return float(np.sqrt(np.mean(np.square(np.concatenate(found)))))
