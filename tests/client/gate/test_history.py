"""History sees the patient's own past only: checked against a slow, obvious reference, event by event."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.gate import history
from wardround.client.gate.history import DAY_MICROSECONDS, behavioural_history, days_of, history_by
from wardround.protocol.contract.feature import STATISTICS

# Few patients, days and hours, so that same-day events, equal times and duplicates are the rule.
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # patient
        st.integers(-2, 5),  # day of the decision
        st.sampled_from([0, 8, 8, 17]),  # its hour
        st.integers(0, 3),  # days until the outcome
        st.sampled_from([-1, 0, 1]),  # label
    ),
    max_size=30,
)


def columns(events):
    """Patient, decided, outcome day, label of events in the order that the gate hands over."""
    rows = sorted(events, key=lambda e: (e[0], e[1], e[2], e[1] + e[3]))
    patients = np.array([e[0] for e in rows], np.uint32)
    decided = np.array([e[1] * DAY_MICROSECONDS + e[2] * DAY_MICROSECONDS // 24 for e in rows], np.int64)
    outcome_days = np.array([e[1] + e[3] for e in rows], np.int64)
    return patients, decided, outcome_days, np.array([e[4] for e in rows], np.int8)


def slow_statistic(name, i, patients, decided, outcome_days, labels):
    """The definition, read aloud."""
    cutoff_day = decided[i] // DAY_MICROSECONDS
    earlier = [
        j for j in range(len(patients)) if j != i and patients[j] == patients[i] and decided[j] < decided[i]
    ]
    known = [j for j in earlier if outcome_days[j] < cutoff_day and labels[j] >= 0]
    engaged = sum(labels[j] == 1 for j in known)
    if name == "count":
        return len(earlier)
    if name == "engaged":
        return engaged
    if name == "missed":
        return len(known) - engaged
    if name == "rate":
        return engaged / len(known) if known else np.nan
    if name == "days_since":
        return cutoff_day - max(outcome_days[j] for j in known) if known else np.nan
    if name == "pending":
        return len(earlier) - len(known)
    return sum(outcome_days[j] == outcome_days[i] for j in earlier)


def statistics(arrays):
    found = behavioural_history(*arrays)
    return {name: found.statistic(name, days_of(arrays[1])) for name in STATISTICS}


@settings(deadline=None)
@given(events=EVENTS, batch=st.sampled_from([1, 3, 1_000_000]))
def test_each_statistic_equals_its_definition(events, batch):
    arrays = columns(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_BATCH_EVENTS", batch)
        found = statistics(arrays)
    for name in STATISTICS:
        expected = [slow_statistic(name, i, *arrays) for i in range(len(events))]
        np.testing.assert_array_equal(found[name], np.array(expected, np.float64), err_msg=name)


@settings(deadline=None)
@given(events=EVENTS, kinds=st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_history_by_channel_is_the_history_of_that_channels_messages_alone(events, kinds):
    arrays = columns(events)
    own = np.array(kinds[: len(events)], np.uint8)
    found = history_by(own, *arrays)
    for kind in range(3):
        alone = behavioural_history(*(array[own == kind] for array in arrays))
        for name in STATISTICS:
            np.testing.assert_array_equal(
                found.statistic(name, days_of(arrays[1]))[own == kind],
                alone.statistic(name, days_of(arrays[1][own == kind])),
                err_msg=name,
            )


@settings(deadline=None)
@given(events=EVENTS, flips=st.lists(st.sampled_from([-1, 0, 1]), min_size=30, max_size=30))
def test_no_label_from_the_cutoffs_day_on_matters(events, flips):
    patients, decided, outcome_days, labels = columns(events)
    before = statistics((patients, decided, outcome_days, labels))
    for i in range(len(events)):
        late = (patients == patients[i]) & (outcome_days >= decided[i] // DAY_MICROSECONDS)
        assert late[i], "an event's own outcome is never before its cut-off"
        other = np.where(late, np.array(flips[: len(events)], np.int8), labels)
        after = statistics((patients, decided, outcome_days, other))
        for name in STATISTICS:
            np.testing.assert_array_equal(after[name][i], before[name][i], err_msg=name)


@settings(deadline=None)
@given(own=EVENTS, others=EVENTS)
def test_other_patients_rows_never_matter(own, others):
    own = [(7, *event[1:]) for event in own]
    alone = statistics(columns(own))
    arrays = columns(own + others + [(9, *event[1:]) for event in others])
    together = statistics(arrays)
    for name in STATISTICS:
        np.testing.assert_array_equal(together[name][arrays[0] == 7], alone[name], err_msg=name)


def test_a_booking_of_the_same_evening_does_not_know_what_happened_at_noon():
    """The no-show table: appointments carry midnight, bookings their hour; timestamps would leak."""
    decided = np.array([9, 9 * 24 + 10, 9 * 24 + 18], np.int64) * (DAY_MICROSECONDS // 24)
    found = behavioural_history(
        np.zeros(3, np.uint32), decided, np.array([1, 9, 9]), np.array([1, 0, 0], np.int8)
    )
    assert found.count.tolist() == [0, 1, 2]
    assert found.known.tolist() == [0, 1, 1]
    assert found.statistic("missed", days_of(decided)).tolist() == [0, 0, 0]
    assert found.statistic("pending", days_of(decided)).tolist() == [0, 0, 1]
    assert found.statistic("same_day", days_of(decided)).tolist() == [0, 0, 1]
    assert found.statistic("days_since", days_of(decided))[1:].tolist() == [8, 8]


def test_an_outcome_is_known_from_the_day_after():
    decided = np.array([0, 5], np.int64) * DAY_MICROSECONDS
    for outcome_day, known in ((3, 1), (4, 1), (5, 0), (6, 0)):
        found = behavioural_history(
            np.zeros(2, np.uint32), decided, np.array([outcome_day, 9]), np.array([1, 0], np.int8)
        )
        assert found.known.tolist() == [0, known], outcome_day


def test_events_out_of_order_are_refused():
    day = np.array([1, 0], np.int64)
    for patients in ([0, 0], [1, 0]):
        with pytest.raises(ValueError, match="must be sorted"):
            behavioural_history(np.array(patients), day * DAY_MICROSECONDS, day, np.zeros(2, np.int8))


def test_no_events_at_all():
    none = np.empty(0, np.int64)
    assert len(behavioural_history(none, none, none, none.astype(np.int8)).count) == 0
