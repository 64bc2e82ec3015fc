"""What each message would gain over the standard one, by a model's weights, and how far noise may have moved that.

A difference of two messages' log-odds is d·w, d the difference of their design rows: only what the message changes is
in it, with the crosses in which it stands. Its error is √(dᵀ Σ d), Σ the covariance of the weights' error, which is
public (``wardround.server.algorithm.weight_error``). A field that a gain may not use (insurance, employment) adds to
both messages alike: its crosses are left out of d, whatever the contract reads.
"""

from collections.abc import Collection

import numpy as np
from scipy.special import expit

from wardround.client.outreach.choose.prices import STANDARD
from wardround.protocol.arrays import Booleans, Floats, Integers, Integers32
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


def pick(gain: Floats, error: Floats, allowed: Booleans, guard: float = 1.0) -> Integers:
    """Pick the option of the largest gain among those that exceed ``guard`` errors: int64 [patients], or STANDARD.

    gain, error, allowed: [patients, options]. The first of equal ones. NaN is never picked.
    """
    eligible = allowed & (gain > guard * error) & (gain > 0)
    value = np.where(eligible, gain, -np.inf)
    return np.where(eligible.any(axis=1), value.argmax(axis=1), STANDARD)


def message_differences(
    layout: Layout,
    effects: Floats,
    error_factor: Floats,
    option: Events,
    standard: Events,
    not_for_gain: Collection[str],
) -> tuple[Floats, Floats]:
    """Give the difference in log-odds, option less standard, and its standard error: float64 [events] each.

    effects: float64 [width], in log-odds per unscaled column. error_factor: float64 [width, r], A of the covariance
    Σ = A Aᵀ of their errors. option, standard: the same patients' events, each with one of two messages.
    not_for_gain: names of features that a gain may not use.
    """
    unique, back = _patterns(layout, option, standard)
    rows = dense_rows(layout, _Rows(option, unique)) - dense_rows(layout, _Rows(standard, unique))
    rows[:, blind_columns(layout, not_for_gain)] = 0.0
    return (rows @ effects)[back], np.asarray(difference_errors(rows, error_factor)[back])


def difference_errors(rows: Floats, error_factor: Floats) -> Floats:
    """Standard error of each row's d·w: √(dᵀ A Aᵀ d), float64 [rows]. rows: [rows, width]; error_factor: [width, r]."""
    return np.asarray(np.sqrt(np.square(rows @ error_factor).sum(axis=1)))


def blind_columns(layout: Layout, not_for_gain: Collection[str]) -> Integers:
    """Columns of the fields that a gain may not use, and of their crosses: int64, ascending."""
    named = [
        np.arange(offset, offset + field.size)
        for offset, field in zip(layout.offsets, layout.fields, strict=True)
        if not set(field.parents or (field.name,)).isdisjoint(not_for_gain)
    ]
    first = layout.width - len(layout.values)
    ranged = [first + place for place, name in enumerate(layout.values) if name in not_for_gain]
    return np.concatenate([*named, ranged]).astype(np.int64)


class _Rows:
    """Some of the events, as ``Events``."""

    def __init__(self, events: Events, rows: Integers) -> None:
        self.bins, self.values = events.bins[rows], events.values[rows]


def _patterns(layout: Layout, option: Events, standard: Events) -> tuple[Integers, Integers]:
    """Find rows that stand for all: first row of each pattern of what a difference depends on, and each row's pattern.

    Patients are many and patterns few: a message's fields, and what they are crossed with.
    """
    changed = np.flatnonzero((option.bins != standard.bins).any(axis=0))
    position = {field.name: place for place, field in enumerate(layout.features)}
    parents = [{position[name] for name in cross.parents} for cross in layout.crosses]
    beside = sorted(set().union(*(pair for pair in parents if not pair.isdisjoint(changed))) - set(changed))
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
