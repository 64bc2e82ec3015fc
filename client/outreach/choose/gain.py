"""What each message would gain over the standard one, by a model's weights, and how far noise may have moved that.

A difference of two messages' log-odds is d·w, d the difference of their design rows: only what the message changes is
in it, with the crosses in which it stands. Its error is √(dᵀ Σ d), Σ the covariance of the weights' error, which is
public (``wardround.server.algorithm.weight_error``). A field that a gain may not use (insurance, employment) counts as
it is among all of the hospital's patients, the same for each: what a cross with it says of the message on average
stays, and what it says of this patient goes. Left out whole, the average would go too, and an hour that is good for
most would look bad (0.7 points of engagement on many small hospitals).
"""

from collections.abc import Collection, Mapping

import numpy as np
from scipy.special import expit

from wardround.protocol.arrays import Floats, Integers, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import Events, dense_rows


def gains(option_logits: Floats, standard_logits: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Give each option's gain in probability over the standard message, and its standard error: [patients, options].

    option_logits, errors: [patients, options], errors of the difference in log-odds; standard_logits: [patients].
    The error is what the gain loses where the difference is one error smaller: a gain exceeds its error exactly where
    the difference in log-odds does.
    """
    from_standard = expit(standard_logits)[:, None]
    reached = expit(option_logits)
    return reached - from_standard, reached - expit(option_logits - errors)


def message_differences(
    layout: Layout,
    effects: Floats,
    error_factor: Floats,
    option: Events,
    standard: Events,
    not_for_gain: Mapping[str, Floats],
) -> tuple[Floats, Floats]:
    """Give the difference in log-odds, option less standard, and its standard error: float64 [events] each.

    effects: float64 [width], in log-odds per unscaled column. error_factor: float64 [width, r], A of the covariance
    Σ = A Aᵀ of their errors. option, standard: the same patients' events, each with one of two messages.
    not_for_gain: by the name of each feature that a gain may not use, its ``field_shares`` among all patients.
    """
    unique, back = _patterns(layout, option, standard, not_for_gain)
    after, before = _Rows(option, unique), _Rows(standard, unique)
    rows = dense_rows(layout, after) - dense_rows(layout, before)
    _hold_at_shares(layout, rows, after, before, not_for_gain)
    return (rows @ effects)[back], np.asarray(difference_errors(rows, error_factor)[back])


def field_shares(layout: Layout, events: Events, names: Collection[str]) -> dict[str, Floats]:
    """Give the shares of the bins of these features among events, by name; a name that the contract lacks is skipped.

    Ask for it of all patients at once: a part of them would have another average. Equal shares where there are none.
    """
    found = {}
    for place, field in enumerate(layout.features):
        if field.name in names:
            counts = np.bincount(events.bins[:, place], minlength=field.size).astype(np.float64)
            found[field.name] = counts / counts.sum() if counts.any() else np.full(field.size, 1 / field.size)
    return found


def difference_errors(rows: Floats, error_factor: Floats) -> Floats:
    """Standard error of each row's d·w: √(dᵀ A Aᵀ d), float64 [rows]. rows: [rows, width]; error_factor: [width, r]."""
    # Two messages differ in few columns, of which the factor may have thousands.
    active = np.flatnonzero(rows.any(axis=0))
    return np.asarray(np.sqrt(np.square(rows[:, active] @ error_factor[active]).sum(axis=1)))


def _hold_at_shares(
    layout: Layout, rows: Floats, option: Events, standard: Events, not_for_gain: Mapping[str, Floats]
) -> None:
    """Write into ``rows`` what both messages' crosses with a field that a gain may not use are on average."""
    position = {field.name: place for place, field in enumerate(layout.features)}
    for offset, field in zip(layout.offsets, layout.fields, strict=True):
        names = field.parents or (field.name,)
        if set(names).isdisjoint(not_for_gain):
            continue
        columns = slice(offset, offset + field.size)
        rows[:, columns] = 0.0
        if len(field.parents) == 2:  # of a feature, or of its groups, both messages have the same
            held = [
                [_bin_weights(layout, one, name, position, not_for_gain) for name in names]
                for one in (option, standard)
            ]
            for sign, (first, second) in zip((1.0, -1.0), held, strict=True):
                rows[:, columns] += sign * (first[:, :, None] * second[:, None, :]).reshape(len(rows), -1)


def _bin_weights(
    layout: Layout, events: Events, name: str, position: Mapping[str, int], shares: Mapping[str, Floats]
) -> Floats:
    """Weights of a feature's bins: float64 [events, bins], its shares where they are given, else one-hot."""
    place = position[name]
    if name in shares:
        return np.tile(shares[name], (len(events.bins), 1))
    return np.asarray(np.eye(layout.features[place].size)[events.bins[:, place]])


class _Rows:
    """Some of the events, as ``Events``."""

    def __init__(self, events: Events, rows: Integers) -> None:
        self.bins, self.values = events.bins[rows], events.values[rows]


def _patterns(
    layout: Layout, option: Events, standard: Events, not_for_gain: Collection[str]
) -> tuple[Integers, Integers]:
    """Find rows that stand for all: first row of each pattern of what a difference depends on, and each row's pattern.

    Patients are many and patterns few: a message's fields, and what they are crossed with.
    """
    seen = [field.name not in not_for_gain for field in layout.features]
    changed = np.flatnonzero((option.bins != standard.bins).any(axis=0) & seen)
    position = {field.name: place for place, field in enumerate(layout.features)}
    parents = [{position[name] for name in cross.parents} for cross in layout.crosses]
    crossed = set().union(*(pair for pair in parents if not pair.isdisjoint(changed)))
    beside = sorted(place for place in crossed - set(changed) if seen[place])
    key = np.zeros(len(option.bins), np.int64)
    for bins, places in ((option.bins, changed), (standard.bins, changed), (option.bins, beside)):
        for place in places:
            key = _joined(key, bins[:, place])
    moved = option.values != standard.values
    if moved.any():
        for place in np.flatnonzero(moved.any(axis=0)):
            for events in (option, standard):
                key = _joined(key, np.unique(events.values[:, place], return_inverse=True)[1])
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    return first, back


def _joined(key: Integers, codes: Integers | Integers32) -> Integers:
    """Join two codes to one; numbered anew, so that no number of fields overflows."""
    joined = key * (int(codes.max(initial=0)) + 1) + codes
    if int(joined.max(initial=0)) < 2**31:
        return np.asarray(joined)
    return np.asarray(np.unique(joined, return_inverse=True)[1])
