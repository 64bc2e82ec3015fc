"""The order of a table's rows never matters: no permutation of any table changes a bit of what is learned from."""

import json
import random
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import small_contract, visits_contract
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import Tables, read_tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.identity import identify
from wardround.client.gate.patients import Repeated, count_repeated, read_patients
from wardround.client.gate.ties import sorted_by_values
from wardround.protocol.contract.reading import contract_from_mapping

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KEY = b"a hospital's key"
FEATURES = {
    "way": {"kind": "categorical", "column": "way", "vocabulary": ["sms", "letter"]},
    "size": {"kind": "numeric", "column": "size", "range": [0, 9]},
    "past": {"kind": "history", "statistic": "rate", "edges": [0.5]},
    "past_way": {"kind": "history", "statistic": "count", "by": "way", "edges": [1, 2]},
    "age": {"kind": "numeric", "table": "patients", "column": "age", "edges": [40]},
    "sex": {"kind": "categorical", "table": "patients", "column": "sex", "vocabulary": ["F", "M"]},
    "score": {
        "kind": "numeric", "table": "assessments", "column": "score", "edges": [2, 4], "source": "answers",
    },
}  # fmt: skip
DATED = visits_contract(
    assessed_at="answered",
    consent={"required": True, "basis": "consent"},
    topic={"column": "topic", "sensitive": []},
    events_per_patient=2,
    label={"column": "came", "engaged": ["1"], "not_engaged": ["0"], "set_aside": ["moved"]},
    features=FEATURES,
)
UNDATED = small_contract(
    patient="id",
    label={"column": "came", "engaged": ["1"], "not_engaged": ["0"]},
    events_per_patient=2,
    consent={"required": True, "basis": "consent"},
    purpose="reminders",
    features={name: FEATURES[name] for name in ("way", "size", "age", "sex")},
)
CONTRACTS = {"dated": contract_from_mapping(DATED), "undated": contract_from_mapping(UNDATED)}
# Few patients, days and words, so that equal times, and rows that contradict each other, are the rule.
PATIENTS = ("1", "01", "2", "3", "4", "5", "6")
DAYS = ("2024-05-01", "2024-05-02", "2024-05-03", "")
CELLS = {
    "messages": {
        "id": PATIENTS,
        "booked": ("2024-05-01", "2024-05-01T09:00:00", "2024-05-02", ""),
        "due": DAYS[1:],
        "came": ("0", "1", "1", "moved", "?"),
        "topic": ("refill", "screening"),
        "way": ("sms", "letter", "fax", ""),
        "size": ("0", "1", "1.5", "9", "x"),
    },
    "patients": {"id": PATIENTS, "age": ("39", "40", ""), "sex": ("F", "M", "")},
    "consents": {
        "id": PATIENTS[:3],
        "kind": ("purpose", "purpose", "topic", "source"),
        "value": ("reminders", "reminders", "refill", "answers"),
        "granted_at": DAYS,
        "withdrawn_at": ("", "", *DAYS),
        "expires_at": ("", "", "2024-05-20", "2024-07-01", "soon"),
    },
    "assessments": {"id": PATIENTS, "answered": DAYS, "score": ("1", "3", "5", "")},
}
ROWS = {"messages": 60, "patients": 8, "consents": 12, "assessments": 12}


def random_tables(chance):
    frames = {}
    for table, cells in CELLS.items():
        rows = [[chance.choice(words) for words in cells.values()] for _ in range(ROWS[table])]
        frames[table] = pl.DataFrame(rows, schema=dict.fromkeys(cells, pl.String), orient="row")
    said = (("purpose", "reminders"), ("topic", "refill"), ("topic", "screening"), ("source", "answers"))
    granted = [[one, *words, "2024-01-01", "", ""] for one in PATIENTS[2:] for words in said]
    many = pl.DataFrame(granted, schema=frames["consents"].schema, orient="row")
    frames["consents"] = pl.concat([frames["consents"], many])
    return frames


def shuffled(frame, chance):
    order = list(range(len(frame)))
    chance.shuffle(order)
    return frame[order]


def encoded(tables, contract):
    """Everything but the rows' positions, bit for bit."""
    admitted = admit(tables, contract, KEY, NOW)
    cohorts = [encode(part, contract) for part in (admitted.training, admitted.heldout, admitted.undecided)]
    fields = ("bins", "values", "labels", "known", "tokens", "events_from", "patients_from")
    return [getattr(cohort, name).tobytes() for cohort in cohorts for name in fields], admitted.counts


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**32))
def test_no_permutation_of_any_table_changes_what_is_learned_from(contract, seed):
    chance = random.Random(seed)
    frames = random_tables(chance)
    expected = encoded(Tables(**frames), contract)
    permuted = {table: shuffled(frame, chance) for table, frame in frames.items()}
    assert encoded(Tables(**permuted), contract) == expected


def write_delimited(frame, place, table):
    frame.write_csv(place / f"{table}.csv")
    return {"path": f"{table}.csv"}


def write_parquet(frame, place, table):
    frame.write_parquet(place / f"{table}.parquet")
    return {"path": f"{table}.parquet"}


def write_arrow(frame, place, table):
    frame.write_ipc(place / f"{table}.arrow")
    return {"path": f"{table}.arrow"}


def write_excel(frame, place, table):
    frame.write_excel(place / f"{table}.xlsx")
    return {"path": f"{table}.xlsx"}


def write_fhir(frame, place, table):
    resource = {"messages": "Appointment", "patients": "Patient"}.get(table, "Observation")
    where = {} if resource != "Observation" else {"where": {"category": [table]}}
    paths = {name: name.replace("_at", "") for name in frame.columns}
    rows = frame.rename(paths).iter_rows(named=True)
    rows = [{"resourceType": resource, "category": table, **row} for row in rows]
    halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    for half, lines in enumerate(halves):
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (place / f"{resource}.{table}.{half}.ndjson").write_text(text)
    return {"resource": resource, "columns": paths, **where}


WRITERS = {
    "csv": write_delimited,
    "parquet": write_parquet,
    "arrow": write_arrow,
    "xlsx": write_excel,
    "fhir": write_fhir,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_no_permutation_matters_in_any_kind_of_file(kind, tmp_path):
    chance = random.Random(f"order of {kind}")
    frames = random_tables(chance)
    contract, found = CONTRACTS["dated"], []
    for number in range(3):
        place = tmp_path / str(number)
        place.mkdir()
        mapping = {"fhir": "."} if kind == "fhir" else {}
        for table, frame in frames.items():
            ordered = shuffled(frame, chance) if number else frame
            mapping[table] = WRITERS[kind](ordered, place, table)
        found.append(encoded(read_tables(source_from_mapping(mapping, place), contract), contract))
    assert found[1] == found[0]
    assert found[2] == found[0]
    assert found[0][1]["training events"] > 0


def test_the_tables_of_this_test_hold_what_an_order_could_decide():
    """A test whose tables had no ties would pass with any code."""
    frames, contract = random_tables(random.Random(1)), CONTRACTS["dated"]
    messages = frames["messages"]
    assert messages.select("id", "booked", "due").is_duplicated().any()
    assert admit(Tables(**frames), contract, KEY, NOW).counts["beyond K events of a training patient"] > 0
    assert count_repeated(Tables(**frames), contract, KEY).differing > 0


def patients_table(*rows):
    return pl.DataFrame(rows, schema={"id": pl.String, "age": pl.String, "sex": pl.String}, orient="row")


def test_of_several_rows_of_a_patient_the_most_complete_counts():
    rows = [("1", "", ""), ("1", "70", ""), ("1", "30", "M"), ("2", "70", "M"), ("2", "30", "M")]
    messages = pl.DataFrame(schema=dict.fromkeys(CELLS["messages"], pl.String))
    contract = CONTRACTS["dated"]
    for order in (rows, rows[::-1]):
        tables = Tables(messages, patients=patients_table(*order))
        people = identify(pl.DataFrame({"patient": ["1", "2"]}), KEY)
        found = people.select("patient").hstack(read_patients(tables, contract, people)).sort("patient")
        assert found.rows() == [("1", 0, 1), ("2", 0, 1)]
        assert count_repeated(tables, contract, KEY) == Repeated(patients=2, several=2, differing=2)
    same = Tables(messages, patients=patients_table(("1", "30", "M"), ("1", "31", "M"), ("2", "70", "F")))
    assert count_repeated(same, contract, KEY) == Repeated(patients=2, several=1, differing=0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3))), st.randoms())
def test_rows_of_equal_keys_follow_their_values(rows, chance):
    columns = ("key", "timestamp", "value")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Int64), orient="row").with_row_index("row")
    found = sorted_by_values(shuffled(frame, chance), ("key", "timestamp"), apart="row")
    assert found.select(columns).rows() == sorted(rows)
    assert sorted(found["row"]) == list(range(len(rows)))


@pytest.mark.parametrize("first", [True, False])
def test_a_withdrawal_at_the_time_of_a_grant_counts(first):
    row = {"id": "2", "kind": "purpose", "value": "reminders", "expires_at": ""}
    said = [
        {**row, "granted_at": "2024-05-01T10:00:00", "withdrawn_at": ""},
        {**row, "granted_at": "", "withdrawn_at": "2024-05-01T10:00:00"},
    ]
    message = {name: words[0] for name, words in CELLS["messages"].items()} | {"id": "2"}
    empty = {table: pl.DataFrame(schema=dict.fromkeys(CELLS[table], pl.String)) for table in CELLS}
    consents = pl.DataFrame(said if first else said[::-1]).select(empty["consents"].columns)
    tables = Tables(**{**empty, "messages": pl.DataFrame([message]), "consents": consents})
    assert admit(tables, CONTRACTS["dated"], KEY, NOW).counts["no consent for the purpose"] == 1
    granted = Tables(
        **{**empty, "messages": pl.DataFrame([message]), "consents": consents[[0 if first else 1]]}
    )
    assert admit(granted, CONTRACTS["dated"], KEY, NOW).counts["no consent for the purpose"] == 0
