"""The table of arms: each patient's own row alone, outcomes within its window, and nobody twice."""

import random
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors.codes import count_codes
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.readable import count_unreadable
from wardround.client.connectors.source import Tables, read_tables
from wardround.client.connectors.swapped import swapped_columns
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.arms import ARM
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableError

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KEY = b"a hospital's key"
ARMS = {
    "column": "arm",
    "reference": "standard",
    "shares": {"personalised": 0.5, "standard": 0.5},
    "since": "since",
    "until": "until",
}
PLAIN = visits_contract(
    arms=ARMS,
    features={"past": {"kind": "history", "statistic": "count", "edges": [1, 2]}},
)
CONTRACT = contract_from_mapping(PLAIN)
STANDARD, PERSONALISED = 0, 1
WINDOW = ("2024-03-01", "2024-04-30")
TEXT = dict.fromkeys(("id", "arm", "since", "until"), pl.String)


def tables(visits, arms):
    """visits: (patient, booked, due); arms: (patient, arm, since, until)."""
    rows = [{"id": p, "booked": b, "due": d, "came": "1"} for p, b, d in visits]
    drawn = [dict(zip(TEXT, row, strict=True)) for row in arms]
    return Tables(pl.DataFrame(rows), arms=pl.DataFrame(drawn, schema=TEXT))


def measured(read, contract=CONTRACT):
    """Give row → arm of what may be learned from or measured on."""
    admitted = admit(read, contract, KEY, NOW)
    found = pl.concat([admitted.training, admitted.heldout])
    return dict(zip(found["row"].to_list(), found[ARM].to_list(), strict=True))


@pytest.mark.parametrize(
    ("due", "counts"),
    [
        ("2024-02-28", False),
        ("2024-03-01", False),  # not after the time at which the patient was counted in
        ("2024-03-02", True),
        ("2024-04-30", True),
        ("2024-05-01", False),
    ],
)
def test_an_outcome_counts_within_its_patients_window_alone(due, counts):
    read = tables([("a", "2024-01-10", due)], [("a", "personalised", *WINDOW)])
    assert measured(read) == ({0: PERSONALISED} if counts else {})


@pytest.mark.parametrize(
    "arms",
    [
        [],
        [("b", "standard", *WINDOW)],
        [("a", "explored", *WINDOW)],
        [("a", None, *WINDOW)],
        [("a", "standard", "soon", "2024-04-30")],
        [("a", "standard", "2024-03-01", None)],
        [("a", "standard", *WINDOW), ("a", "personalised", *WINDOW)],
        [("a", "standard", *WINDOW), ("a", "standard", "2024-01-01", "2024-04-30")],
        [("a", "standard", *WINDOW), ("a", None, *WINDOW)],
    ],
    ids=[
        "no row",
        "another's",
        "unnamed arm",
        "empty",
        "no time",
        "no end",
        "two arms",
        "two windows",
        "one empty",
    ],
)
def test_who_is_in_no_one_arm_is_not_counted(arms):
    assert measured(tables([("a", "2024-01-10", "2024-03-10")], arms)) == {}


def test_one_row_that_stands_twice_is_one_row():
    read = tables([("a", "2024-01-10", "2024-03-10")], [("a", "standard", *WINDOW)] * 2)
    assert measured(read) == {0: STANDARD}


def test_events_in_no_arm_stay_history_and_take_no_place_among_k():
    """K are drawn of what counts: a patient with many older messages is as likely in the comparison as any other."""
    old = [("a", f"2023-{month:02}-01", f"2023-{month:02}-05") for month in range(1, 13)]
    read = tables([*old, ("a", "2024-02-01", "2024-03-10")], [("a", "standard", *WINDOW)])
    admitted = admit(read, CONTRACT, KEY, NOW)
    (frame,) = (one for one in (admitted.training, admitted.heldout) if len(one))
    assert frame["row"].to_list() == [12]
    assert frame["feature:past"].to_list() == [2]  # two or more
    assert admitted.counts["in no arm"] == 12
    cohort = encode(frame, CONTRACT)
    assert cohort.arms.tolist() == [STANDARD]
    assert cohort.take(np.array([0])).arms.tolist() == cohort.hospital(0).arms.tolist() == [STANDARD]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_other_patients_rows_and_the_order_of_rows_never_matter(seed):
    rng = random.Random(seed)
    days = ["2024-02-10", "2024-03-05", "2024-04-02", "", "x"]
    people = ["a", "01", "1", "c"]
    visits = [(rng.choice(people), "2024-01-10", rng.choice(days)) for _ in range(12)]
    arms = [
        (rng.choice([*people, "A ", ""]), rng.choice(["standard", "personalised", "x", None]),
         rng.choice(days), rng.choice(["2024-04-30", "2024-03-06", ""]))
        for _ in range(6)
    ]  # fmt: skip
    whole = measured(tables(visits, arms))
    shuffled = rng.sample(arms, len(arms))
    assert measured(tables(visits, shuffled)) == whole
    own = [row for row in arms if row[0] == "a"]
    mine = {row for row, visit in enumerate(visits) if visit[0] == "a"}
    alone = measured(tables(visits, own))
    assert {row: arm for row, arm in alone.items() if row in mine} == {
        row: arm for row, arm in whole.items() if row in mine
    }


def test_a_contract_without_times_takes_the_arm_alone():
    plain = {
        key: value for key, value in PLAIN.items() if key not in ("decided_at", "outcome_at", "features")
    }
    arms = {key: value for key, value in ARMS.items() if key not in ("since", "until")}
    way = {"way": {"kind": "categorical", "column": "booked", "vocabulary": ["sms"]}}
    contract = contract_from_mapping({**plain, "arms": arms, "features": way})
    read = tables([("a", "", ""), ("b", "", "")], [("a", "personalised", "", "")])
    assert measured(read, contract) == {0: PERSONALISED}


def test_a_contract_with_arms_needs_its_table_and_one_without_never_reads_it(tmp_path):
    for name, text in (("messages", "id,booked,due,came\na,2024-01-10,2024-03-10,1\n"), ("arms", "id,arm\n")):
        (tmp_path / f"{name}.csv").write_text(text)
    mapping = {"messages": {"path": "messages.csv"}}
    with pytest.raises(TableError, match="arms: no such table in the mapping"):
        read_tables(source_from_mapping(mapping, tmp_path), CONTRACT)
    mapping["arms"] = {"path": "arms.csv"}
    with pytest.raises(TableError, match=r"arms.*columns since, until are missing"):
        read_tables(source_from_mapping(mapping, tmp_path), CONTRACT).part("arms", CONTRACT)
    plain = {key: value for key, value in PLAIN.items() if key != "arms"}
    without = contract_from_mapping(plain)
    assert read_tables(source_from_mapping(mapping, tmp_path), without).arms is None
    assert without.columns("arms") == ()


def test_doctor_counts_arms_that_are_no_words_and_times_that_are_none():
    drawn = [("a", "standrad", "soon", "2024-04-30")] * 12
    read = tables([("a", "2024-01-10", "2024-03-10")] * 12, drawn)
    (codes,) = [one for one in count_codes(read, CONTRACT) if one.table == "arms"]
    assert (codes.column, codes.other) == ("arm", 12)
    unread = {one.column: one.unreadable for one in count_unreadable(read, CONTRACT) if one.table == "arms"}
    assert unread == {"since": 12, "until": 0}
    crossed = tables(
        [("a", "2024-01-10", "2024-03-10")], [("a", "2024-03-01", "standard", "2024-04-30")] * 12
    )
    assert swapped_columns(crossed, CONTRACT) == [(("arms", "since"), ("arms", "arm"))]
