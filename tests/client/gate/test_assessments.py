"""Assessments: the latest of an earlier day, with the opt-in of its source, and of nobody else's rows."""

import random
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import Tables, read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ContractError, TableError

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KEY = b"a hospital's key"
PLAIN = visits_contract(
    assessed_at="answered",
    label={"column": "came", "engaged": ["yes"], "not_engaged": ["no"]},
    events_per_patient=30,
    retention_days=100,
    features={
        "risk": {
            "kind": "categorical",
            "table": "assessments",
            "column": "category",
            "vocabulary": ["low", "high"],
            "source": "assessment",
        },
        "score": {
            "kind": "numeric",
            "table": "assessments",
            "column": "score",
            "edges": [10],
            "source": "assessment",
        },
    },
)
CONTRACT = contract_from_mapping(PLAIN)
LOW, HIGH, NONE = 0, 1, 2


def tables(messages, assessments, opted_in=("a",)):
    rows = [{"id": p, "booked": b, "due": "2024-05-20", "came": "yes"} for p, b in messages]
    answers = [{"id": p, "answered": on, "category": c, "score": s} for p, on, c, s in assessments]
    consents = [
        {"id": p, "kind": "source", "value": "assessment", "granted_at": "2024-01-01", "withdrawn_at": None,
         "expires_at": None}
        for p in opted_in
    ]  # fmt: skip
    text = {"id": pl.String, "answered": pl.String, "category": pl.String, "score": pl.String}
    said = dict.fromkeys(("id", "kind", "value", "granted_at", "withdrawn_at", "expires_at"), pl.String)
    return Tables(
        pl.DataFrame(rows),
        consents=pl.DataFrame(consents, schema=said),
        assessments=pl.DataFrame(answers, schema=text),
    )


def risks(read):
    admitted = admit(read, CONTRACT, KEY, NOW)
    found = pl.concat([admitted.training, admitted.heldout, admitted.undecided]).sort("row")
    return found["feature:risk"].to_list()


@pytest.mark.parametrize(
    ("answered", "seen"),
    [
        ("2024-05-01", HIGH),
        ("2024-05-09T23:59", HIGH),
        ("2024-05-10T00:00", NONE),  # the day of the message
        ("2024-05-11", NONE),  # later
        ("2024-02-20", NONE),  # past its retention
        ("yesterday", NONE),
        (None, NONE),
    ],
)
def test_a_message_sees_the_assessment_of_an_earlier_day_alone(answered, seen):
    assert risks(tables([("a", "2024-05-10T08:00:00")], [("a", answered, "high", "12")])) == [seen]


def test_the_latest_one_counts_and_whatever_the_order_of_rows_the_same_of_two_at_once():
    rows = [
        ("a", "2024-05-01", "low", "1"),
        ("a", "2024-05-03", "high", "12"),
        ("a", "2024-05-03", "low", "3"),
        ("b", "2024-05-04", "low", "3"),
    ]
    found = set()
    for seed in range(10):
        shuffled = random.Random(seed).sample(rows, len(rows))
        found.add(tuple(risks(tables([("a", "2024-05-02"), ("a", "2024-05-10")], shuffled))))
    assert found == {(LOW, HIGH)}


def test_without_the_opt_in_nothing_of_it_is_seen():
    rows = [("a", "2024-05-01", "high", "12"), ("b", "2024-05-01", "high", "12")]
    messages = [("a", "2024-05-10"), ("b", "2024-05-10")]
    assert risks(tables(messages, rows, opted_in=("b",))) == [NONE, HIGH]


def test_without_any_assessment_all_are_missing():
    assert risks(tables([("a", "2024-05-10")], [])) == [NONE]


ANSWERS = st.lists(
    st.tuples(st.sampled_from("bcd"), st.text(max_size=12), st.text(max_size=5), st.text(max_size=5)),
    max_size=6,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(others=ANSWERS)
def test_other_patients_assessments_never_matter(others):
    own = [("a", "2024-05-01", "low", "1"), ("a", "2024-05-08", "high", "30")]
    messages = [("a", "2024-05-05"), ("a", "2024-05-10")]
    assert risks(tables(messages, [*others, *own])) == [LOW, HIGH]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"assessed_at": None},
            "contract.assessed_at: give it together with features of the table assessments",
        ),
        ({"decided_at": None, "outcome_at": None, "retention_days": None}, "needs decided_at and outcome_at"),
        (
            {"features": {"risk": {**PLAIN["features"]["risk"], "source": None}}},
            "contract.features.risk: table=assessments needs source",
        ),
        ({"assessed_at": "id"}, "contract.assessed_at: column=id is the patient's identifier"),
    ],
)
def test_contracts_that_would_look_ahead_or_past_the_opt_in_are_refused(changes, message):
    with pytest.raises(ContractError, match=message):
        contract_from_mapping({**PLAIN, **changes})


def test_a_mapping_names_the_table_and_a_study_that_needs_it_says_so(tmp_path):
    pl.DataFrame({"id": ["a"], "booked": ["2024-05-10"], "due": ["2024-05-20"], "came": ["yes"]}).write_csv(
        tmp_path / "m.csv"
    )
    pl.DataFrame({"pat": ["a"], "on": ["2024-05-01"], "category": ["H"], "score": ["12"]}).write_csv(
        tmp_path / "a.csv"
    )
    tables([], [], ["a"]).consents.write_csv(tmp_path / "c.csv")
    plain = {"messages": {"path": "m.csv"}, "consents": {"path": "c.csv"}}
    with pytest.raises(TableError, match="assessments: no such table in the mapping"):
        read_tables(source_from_mapping(plain, tmp_path), CONTRACT)
    plain["assessments"] = {
        "path": "a.csv",
        "columns": {"id": "pat", "answered": "on"},
        "values": {"category": {"H": "high"}},
    }
    assert risks(read_tables(source_from_mapping(plain, tmp_path), CONTRACT)) == [HIGH]
