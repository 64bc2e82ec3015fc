"""From cells to bins and values: within public bounds whatever the cells hold, and in the cohort's order."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.bins import bin_numbers
from wardround.protocol.contract.feature import Feature
from wardround.protocol.contract.reading import contract_from_mapping

NOW = datetime(2024, 6, 1, tzinfo=UTC)
PLAIN = visits_contract(
    hospital="ward",
    events_per_patient=4,
    features={
        "age": {"kind": "numeric", "column": "age", "edges": [18, 65], "valid": [0, 115]},
        "weight": {"kind": "numeric", "column": "weight", "range": [50, 150]},
        "sex": {"kind": "categorical", "column": "sex", "vocabulary": ["F", "M"]},
        "reminded": {"kind": "boolean", "column": "reminded"},
        "weekday": {"kind": "weekday", "column": "due"},
        "hour": {"kind": "hour", "column": "booked", "edges": [9, 12]},
        "month": {"kind": "month", "column": "due"},
        "lead": {"kind": "gap_days", "from": "booked", "to": "due", "edges": [1, 7]},
        "past": {"kind": "history", "statistic": "count", "edges": [1, 2]},
        "usual": {"kind": "history", "statistic": "rate", "range": [0, 1]},
    },
    crosses=[["age", "sex"]],
)
CONTRACT = contract_from_mapping(PLAIN)


def event(**changes):
    row = {
        "id": "a", "booked": "2024-05-01T09:30:00", "due": "2024-05-03", "came": "1",
        "age": "40", "weight": "100", "sex": "F", "reminded": "1",
    }  # fmt: skip
    return {**row, **changes}


def encoded(rows, hospitals=None, contract=CONTRACT):
    frame = pl.DataFrame(rows, infer_schema_length=None)
    admitted = admit(Tables(frame), contract, b"key", NOW)
    return encode(pl.concat([admitted.training, admitted.heldout]), contract, hospitals)


def labels_of(cohort, event_number=0):
    fields = CONTRACT.layout.features
    return {f.name: f.labels[b] for f, b in zip(fields, cohort.bins[event_number], strict=True)}


def test_each_kind_of_feature_in_a_readers_words():
    cohort = encoded([event()])
    assert labels_of(cohort) == {
        "age": "18 to under 65", "sex": "F", "reminded": "yes", "weekday": "Friday", "hour": "9 to 11",
        "month": "May", "lead": "1 to 6", "past": "0",
    }  # fmt: skip
    assert cohort.values.tolist() == [[0.0, 0.0]]  # usual (no history), weight (the middle)
    assert CONTRACT.layout.values == ("usual", "weight")


@pytest.mark.parametrize(
    ("name", "cell", "label"),
    [
        ("age", "17.9", "under 18"),
        ("age", "18", "18 to under 65"),
        ("age", "65", "65 or more"),
        ("age", "0", "under 18"),
        ("age", "-1", "missing"),
        ("age", "116", "missing"),
        ("age", "unknown", "missing"),
        ("age", None, "missing"),
        ("age", "inf", "missing"),
        ("age", "NaN", "missing"),
        ("age", "1e300", "missing"),
        ("sex", " M ", "M"),
        ("sex", "m", "other"),
        ("sex", None, "other"),
        ("reminded", "No", "no"),
        ("reminded", "1.0", "yes"),
        ("reminded", "2", "missing"),
        ("reminded", None, "missing"),
    ],
)
def test_each_cell_has_its_bin(name, cell, label):
    assert labels_of(encoded([event(**{name: cell})]))[name] == label


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("50", -1),
        ("150", 1),
        ("125", 0.5),
        ("0", -1),
        ("1e308", 1),
        ("-inf", 0),
        ("nan", 0),
        ("x", 0),
        (None, 0),
    ],
)
def test_a_ranged_value_is_clamped_and_scaled(cell, value):
    assert encoded([event(weight=cell)]).values[0, 1] == value


def test_history_reaches_its_bins():
    rows = [
        event(booked=f"2024-05-{day:02d}T08:00:00", due=f"2024-05-{day:02d}", came=came)
        for day, came in ((1, "1"), (2, "0"), (9, "0"))
    ]
    cohort = encoded(rows)
    assert [labels_of(cohort, i)["past"] for i in range(3)] == ["0", "1", "2 or more"]
    assert cohort.values[:, 0].tolist() == [0.0, 1.0, 0.0]
    assert cohort.known.tolist() == [False, True, True]
    assert cohort.labels.tolist() == [1, 0, 0]
    assert cohort.rows.tolist() == [0, 1, 2]


NUMBERS = st.lists(
    st.floats() | st.sampled_from([np.inf, -np.inf, np.nan, 1e308, -1e308, 0.0, 18.0]), max_size=20
)


@settings(deadline=None)
@given(numbers=NUMBERS)
def test_any_number_falls_within_public_bounds(numbers):
    binned = Feature(name="x", kind="numeric", edges=(0.0, 18.0))
    bins = bin_numbers(binned, np.array(numbers, np.float64))
    assert np.all(bins < len(binned.labels))
    assert [b == 3 for b in bins] == [not np.isfinite(n) for n in numbers]
    for bounds in ((0.0, 1.0), (-1e14, 1e14), (0.0, 1e-300)):
        ranged = Feature(name="x", kind="numeric", range=bounds)
        values = bin_numbers(ranged, np.array(numbers, np.float64))
        assert values.dtype == np.float32
        assert np.all(np.abs(values) <= 1)


def test_hospitals_keep_their_segment_even_if_empty():
    rows = [
        event(id=p, hospital=h) for h, p in (("south", "a"), ("north", "b"), ("south", "c"), ("north", "a"))
    ]
    cohort = encoded(rows, ["west", "south", "east", "north", "isle"])
    assert np.diff(cohort.patients_from).tolist() == [0, 2, 0, 2, 0]
    assert cohort.hospital_count == 5
    assert sorted(cohort.hospital(1).rows.tolist()) == [0, 2]
    assert sorted(cohort.hospital(3).rows.tolist()) == [1, 3]
    for index in (1, 3):
        tokens = [bytes(token) for token in cohort.hospital(index).tokens]
        assert tokens == sorted(tokens)
    assert encoded(rows).hospital_count == 2
    with pytest.raises(ValueError, match="2 events of hospitals that are not named"):
        encoded(rows, ["south"])


def test_no_events_at_all_still_make_a_cohort():
    for hospitals, count in ((None, 1), (["north"], 1)):
        cohort = encoded([event(came="?")], hospitals)
        assert (cohort.event_count, cohort.patient_count, cohort.hospital_count) == (0, 0, count)
        assert cohort.bins.shape == (0, 8)
        assert cohort.values.shape == (0, 2)
    empty = encoded([event(came="?", hospital="north")], ["north", "south"])
    assert empty.patients_from.tolist() == [0, 0, 0]


def test_arrays_have_the_types_that_the_mathematics_expects():
    cohort = encoded([event(), event(id="b")])
    assert (cohort.bins.dtype, cohort.values.dtype) == (np.int32, np.float32)
    assert (cohort.labels.dtype, cohort.rows.dtype, cohort.known.dtype) == (np.float64, np.int64, np.bool_)
    assert cohort.tokens.dtype == np.uint8
    assert cohort.tokens.shape == (2, 16)
    assert cohort.events_from.dtype == cohort.patients_from.dtype == np.int64


def test_a_table_without_time_needs_no_dates():
    plain = {k: v for k, v in PLAIN.items() if k not in ("decided_at", "outcome_at", "crosses")}
    plain["features"] = {"age": PLAIN["features"]["age"]}
    contract = contract_from_mapping({**plain, "patient": "row"})
    rows = [{"row": "a", "came": "1", "age": 30}, {"row": "b", "came": "0", "age": 70}]
    cohort = encoded(rows, contract=contract)
    assert sorted(cohort.bins[:, 0].tolist()) == [1, 2]
    assert not cohort.known.any()
