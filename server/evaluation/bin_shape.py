"""How scores lie within their bins, which no table says: read off the noised table of all events, smoothly.

Few wide bins keep the noise small. Taken as they are they would bias what is measured: ties counted half lower the
AUC by 0.004 to 0.012, and a bin's middle is not its mean. So within a bin the density of the scores is that of two
normals, one for each label (the binormal model, Dorfman and Alf 1969), and the share of label 1 follows the scores
by one logistic curve (Platt 1999), both fitted to the whole table. How many are in each bin is left as it was measured.
Post-processing, which costs no ε.

Such a model is wrong by something. How much is bounded by the two slacks, which every interval holds
(``Estimate.bias``). They were set on ten synthetic federations and on densities of odd shapes, above the largest
error that was seen there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr

from wardround.protocol.arrays import Floats

ORDER_SLACK = 0.03
"""By how much the share of rightly ordered pairs within one bin may be other than the model says."""
SPREAD_SLACK = 0.3
"""By how many of its standard deviations within one bin a mean may be other than the model says."""

_STEPS, _LONGEST_STEP = 12, 0.5
_POINTS, _OPEN_WIDTH = 120, 6.0
_PRIOR_SHIFT, _PRIOR_SCALE = 0.2, 0.8
_NORMAL_SPREAD = np.array([1.5, 1.5, 0.5, 0.5])
"""Before anything is known: means 0.2 to either side of the middle edge, standard deviations of 0.8, each to within
these standard deviations (of the logarithm, for the latter two). It matters where noise hides the shape."""
_CURVE_SPREAD = np.array([2.0, 0.5])
"""The same of how predictions are off: their offset about 0, their slope about 1 (that of a calibrated model)."""


@dataclass(frozen=True, eq=False)
class BinShape:
    """What a smooth model says of the scores within each bin.

    order: float64 [bins], share of pairs of label 0 and 1 in one bin in which 1 has the higher score; ½ for ties.
    prediction, loss: float64 [2, bins], means by label of the probability and of the log-loss; prediction_spread,
    loss_spread: their standard deviations within the bin. middle: float64 [bins], log-odds of the mean probability.
    """

    order: Floats
    prediction: Floats
    prediction_spread: Floats
    loss: Floats
    loss_spread: Floats
    middle: Floats


def bin_shape(counts: Floats, noise_stddev: float, edges: Floats) -> BinShape:
    """Fit the model to a noised table and read off the shapes.

    counts: float64 [2, bins], label 0 then 1; noise_stddev: of a cell; edges: float64 [bins - 1], in log-odds.
    """
    # Noise may leave nothing, or less: the priors then say everything.
    usable = np.nan_to_num(counts)
    grid = _grid(edges)
    masses = _masses(_normals(usable, noise_stddev, edges), usable, grid)
    logits = (grid[:, 1:] + grid[:, :-1]) / 2
    curve = _curve(usable, noise_stddev, masses, logits, float(np.median(edges)))
    return _shape(masses, expit(curve), logits)


def _normals(counts: Floats, noise_stddev: float, edges: Floats) -> Floats:
    """Give mean of label 0 and 1, then the logarithms of their standard deviations."""
    middle, scale = float(np.median(edges)), np.log(_PRIOR_SCALE)
    prior = np.array([middle - _PRIOR_SHIFT, middle + _PRIOR_SHIFT, scale, scale])
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)

    def expected(normals: Floats) -> Floats:
        below = ndtr((edges - normals[:2, None]) / np.exp(normals[2:, None]))
        return np.asarray((totals * np.diff(below, axis=1, prepend=0.0, append=1.0)).ravel())

    def variance(means: Floats) -> Floats:
        return noise_stddev**2 + np.maximum(means, 1.0)

    return _fit(expected, variance, counts.ravel(), prior, _NORMAL_SPREAD)


def _curve(counts: Floats, noise_stddev: float, masses: Floats, logits: Floats, middle: float) -> Floats:
    """Give the log-odds of label 1 at each point, [bins, points]: the scores moved, and stretched about the middle."""
    totals = np.maximum(counts.sum(axis=0), 0.0)

    def log_odds(found: Floats) -> Floats:
        return np.asarray(middle + found[0] + found[1] * (logits - middle))

    def expected(found: Floats) -> Floats:
        return np.asarray(totals * (masses * expit(log_odds(found))).sum(axis=1))

    def variance(means: Floats) -> Floats:
        binomial = means * (1 - means / np.maximum(totals, 1.0))
        return np.asarray(noise_stddev**2 + np.maximum(binomial, 1.0))

    return log_odds(_fit(expected, variance, counts[1], np.array([0.0, 1.0]), _CURVE_SPREAD))


def _fit(
    expected: Callable[[Floats], Floats],
    variance: Callable[[Floats], Floats],
    seen: Floats,
    prior: Floats,
    spread: Floats,
) -> Floats:
    """Fit parameters to what was seen, by Gauss-Newton steps with a normal prior."""
    found, small = prior, 1e-5
    for _ in range(_STEPS):
        means = expected(found)
        slopes = np.stack([(expected(found + d) - means) / small for d in small * np.eye(len(prior))])
        weighted = slopes / variance(means)
        curvature = weighted @ slopes.T + np.diag(spread**-2.0)
        descent = weighted @ (seen - means) - (found - prior) / spread**2
        # Far from the minimum a whole step would leave where there are any scores.
        found = found + np.clip(np.linalg.solve(curvature, descent), -_LONGEST_STEP, _LONGEST_STEP)
    return found


def _grid(edges: Floats) -> Floats:
    """Points from end to end of each bin: float64 [bins, points + 1]; the outermost go as far as any score counts."""
    ends = np.concatenate([[edges[0] - _OPEN_WIDTH], edges, [edges[-1] + _OPEN_WIDTH]])
    return np.linspace(ends[:-1], ends[1:], _POINTS + 1, axis=1)


def _masses(normals: Floats, counts: Floats, grid: Floats) -> Floats:
    """How the events of each bin share out over its points: float64 [bins, points], rows add up to 1."""
    totals = np.maximum(counts.sum(axis=1), 1.0)
    scaled = (grid - normals[:2, None, None]) / np.exp(normals[2:, None, None])
    masses = np.tensordot(totals, np.diff(ndtr(scaled), axis=2), axes=1)
    # Far from both means the density underflows: what is left then is even.
    masses += 1e-300
    return np.asarray(masses / masses.sum(axis=1, keepdims=True))


def _shape(masses: Floats, ones: Floats, logits: Floats) -> BinShape:
    """Read the shapes off the masses and the share of label 1 at each point, all float64 [bins, points]."""
    labels = np.stack([masses * (1 - ones), masses * ones])
    labels += 1e-300
    labels /= labels.sum(axis=2, keepdims=True)
    probability = expit(logits)
    losses = np.logaddexp(0.0, np.stack([logits, -logits]))
    prediction, loss = (labels * probability).sum(axis=2), (labels * losses).sum(axis=2)
    return BinShape(
        order=(labels[1] * (np.cumsum(labels[0], axis=1) - labels[0] / 2)).sum(axis=1),
        prediction=prediction,
        prediction_spread=_root((labels * probability**2).sum(axis=2) - prediction**2),
        loss=loss,
        loss_spread=_root((labels * losses**2).sum(axis=2) - loss**2),
        middle=np.asarray(logit((masses * probability).sum(axis=1))),
    )


def _root(variance: Floats) -> Floats:
    """Square root of a variance that rounding may have left below 0."""
    return np.sqrt(np.maximum(variance, 0.0))
