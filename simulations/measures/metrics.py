"""How good a score is: AUC, log-loss and calibration, over all events and per hospital at once.

Everything here reads held-out labels without noise, so it belongs to simulations: a real study has
noised histograms only. One sort serves all hospitals; nothing loops over them.
"""

from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats, Integers

TINY = float(np.finfo(np.float64).eps)


def auc(labels: Floats, scores: Floats | Integers) -> float:
    """Area under the ROC curve, ties counted half; NaN where only one class is present.

    Mann and Whitney's count of pairs, exact: sorted values alone, five times cheaper than ranks.
    """
    engaged = labels > 0.5
    above, below = np.sort(scores[engaged]), np.sort(scores[~engaged])
    if not len(above) or not len(below):
        return float("nan")
    # Left and right of equal scores: their mean counts each tie as half a win.
    wins, ties_and_wins = (int(np.searchsorted(below, above, side).sum()) for side in ("left", "right"))
    return (wins + ties_and_wins) / 2 / (len(above) * len(below))


def dense_ranks(scores: Floats | Integers) -> Integers:
    """int64 [events], the place of each score among the distinct ones: all that an AUC asks of scores."""
    order = np.argsort(scores)
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[order] = np.cumsum(np.r_[0, np.diff(scores[order]) != 0]) if len(scores) else 0
    return ranks


def auc_by_segment(labels: Floats, scores: Floats | Integers, segments: Integers, count: int) -> Floats:
    """AUC within each of ``count`` segments: float64 [count], NaN where a segment has one class or none.

    labels: [events]; scores: [events], or their ``dense_ranks`` where several splits follow; segments: the
    segment of each event. The Mann-Whitney statistic from mean ranks: one sort for all segments.
    """
    if not len(labels):
        return np.full(count, np.nan)
    ranks = scores if np.issubdtype(scores.dtype, np.integer) else dense_ranks(scores)
    # One integer key sorts by segment, then score: several times faster than a sort by two keys.
    key = segments * (int(ranks.max()) + 1) + ranks
    order = np.argsort(key)
    key, segment, label = key[order], segments[order], labels[order]
    starts_tie = np.r_[True, key[1:] != key[:-1]]
    first = np.flatnonzero(starts_tie)
    last = np.r_[first[1:], len(key)]
    mean_rank = ((first + last + 1) / 2)[np.cumsum(starts_tie) - 1]
    events = np.bincount(segments, minlength=count)
    # Ranks within the segment: those of all earlier segments come off.
    mean_rank -= (np.cumsum(events) - events)[segment]
    positives = np.bincount(segments, labels, minlength=count)
    rank_sum = np.bincount(segment, mean_rank * label, minlength=count)
    pairs = positives * (events - positives)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Mann and Whitney's U: the rank sum of the positives less what they hold among themselves.
        area = (rank_sum - positives * (positives + 1) / 2) / pairs
    return np.where(pairs > 0, area, np.nan)


def event_log_losses(labels: Floats, scores: Floats) -> Floats:
    """Negative log-likelihood of each event in nats; probabilities are kept a float's ε from 0 and 1."""
    inside = np.clip(scores, TINY, 1 - TINY)
    return -np.where(labels > 0.5, np.log(inside), np.log1p(-inside))


def log_loss(labels: Floats, scores: Floats) -> float:
    """Mean negative log-likelihood in nats; NaN without events."""
    return float(event_log_losses(labels, scores).mean()) if len(labels) else float("nan")


def log_loss_by_segment(labels: Floats, scores: Floats, segments: Integers, count: int) -> Floats:
    """Log-loss within each of ``count`` segments; NaN where a segment has no event."""
    events = np.bincount(segments, minlength=count)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.bincount(segments, event_log_losses(labels, scores), minlength=count) / events
    return mean


def macro_auc(hospital_aucs: Floats) -> tuple[float, int]:
    """Unweighted mean over hospitals that have an AUC, and how many were left out (one class or empty)."""
    defined = ~np.isnan(hospital_aucs)
    mean = float(hospital_aucs[defined].mean()) if defined.any() else float("nan")
    return mean, int((~defined).sum())


def share_better(hospital_aucs: Floats, than: Floats) -> float:
    """Share of hospitals whose AUC is greater than ``than``, among those where both exist; NaN if none."""
    defined = ~(np.isnan(hospital_aucs) | np.isnan(than))
    return float((hospital_aucs > than)[defined].mean()) if defined.any() else float("nan")


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted against observed.

    predicted, observed: mean score and share of positives per bin, ascending; events: events per bin.
    expected_error: mean |predicted − observed|, weighted by events (ECE). slope, intercept of a logistic
    regression of the label on the score's logit: 1 and 0 where the scores are right.
    """

    predicted: Floats
    observed: Floats
    events: Integers
    expected_error: float
    slope: float
    intercept: float


def calibration(labels: Floats, scores: Floats, bin_count: int = 15) -> Calibration:
    """Calibration over at most ``bin_count`` bins of equal numbers of events; equal scores share a bin."""
    if not len(labels):
        empty = np.zeros(0)
        return Calibration(empty, empty, np.zeros(0, dtype=np.int64), np.nan, np.nan, np.nan)
    # Unique: where many scores are equal, several quantiles fall on one value, and their bins are one.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bin_count + 1)[1:-1]))
    bins = np.searchsorted(edges, scores)
    events = np.bincount(bins, minlength=len(edges) + 1)
    filled = events > 0
    predicted = np.bincount(bins, scores, minlength=len(events))[filled] / events[filled]
    observed = np.bincount(bins, labels, minlength=len(events))[filled] / events[filled]
    error = float((np.abs(predicted - observed) * events[filled]).sum() / len(labels))
    slope, intercept = _recalibration(labels, scores)
    return Calibration(predicted, observed, events[filled], error, slope, intercept)


def _recalibration(labels: Floats, scores: Floats) -> tuple[float, float]:
    """Slope and intercept by Newton's method; (NaN, NaN) where the labels do not determine them."""
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    logit = np.log(inside / (1 - inside))
    design = np.stack([logit, np.ones_like(logit)])
    weights = np.array([1.0, 0.0])
    # One class, or one score for all: any slope would do.
    if labels.min() == labels.max() or np.ptp(logit) < 1e-12:
        return float("nan"), float("nan")
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(weights @ design, -30, 30)))
        gradient = design @ (labels - probability)
        hessian = (design * (probability * (1 - probability))) @ design.T
        # The ridge is for probabilities that have reached 0 or 1, where there is no curvature left.
        move = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        # Far from the maximum Newton's full step overshoots.
        weights = weights + np.clip(move, -2, 2)
        if np.abs(move).max() < 1e-10:
            return float(weights[0]), float(weights[1])
    # Labels that the scores separate have no finite slope: the steps never end.
    return float("nan"), float("nan")
