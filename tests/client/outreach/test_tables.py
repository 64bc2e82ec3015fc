"""Preferences, vetoes and addresses: read from any source, with doubt on the safe side."""

import json

import polars as pl
import pytest

from wardround.client.checks.finding import FAULT, OK
from wardround.client.checks.outreach import outreach
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.patient_form import PatientColumn, PatientForm
from wardround.client.outreach.tables import read_outreach
from wardround.protocol.errors import TableError

FILES = {
    "preferences.csv": (
        "pat_no,kind,value,wanted,said_at\n007,Topic,flu,yes,2024-01-02\n8,contact,,no,2024-01-03T10:00\n"
    ),
    "vetoes.csv": "pat_no,reason,starts_at,ends_at\n7.0,deceased,2024-01-01,\n8,inpatient,2024-01-01,2024-01-09\n",
    "addresses.csv": "pat_no,channel,address,since\n7,email,a@example.org,2023-05-01\n",
}
NUMBERS = PatientColumn(column="pat_no", form=PatientForm(form="number"))


class Hospital:
    """As much of a home as the check looks at."""

    def __init__(self, source):
        self.source = source


@pytest.fixture
def source_of(tmp_path):
    (tmp_path / "messages.csv").write_text("pat_no\n7\n")

    def make(patient=NUMBERS, columns=None, **changes):
        plain = {"messages": {"path": "messages.csv"}}
        for name, content in {**FILES, **{f"{table}.csv": text for table, text in changes.items()}}.items():
            (tmp_path / name).write_text(content)
            plain[name.removesuffix(".csv")] = {"path": name, **({"columns": columns} if columns else {})}
        return source_from_mapping(plain, tmp_path, patient=patient)

    return make


def test_each_table_is_read_under_the_hospitals_own_identifier(source_of):
    read = {table.name: table for table in read_outreach(source_of())}
    assert read["preferences"].rows["patient"].to_list() == ["7", "8"]
    assert read["preferences"].rows["kind"].to_list() == ["topic", "contact"]
    assert read["preferences"].rows["wanted"].to_list() == [True, False]
    assert read["vetoes"].rows["patient"].to_list() == ["7", "8"]
    assert read["vetoes"].rows["ends_at"].dt.day().to_list() == [None, 9]
    assert read["addresses"].rows["address"].to_list() == ["a@example.org"]
    assert {f.state for f in outreach(Hospital(source_of()))} == {OK}


def test_a_damaged_row_tells_whom_it_may_name(source_of):
    """A veto that cannot be read must not be a veto of nobody."""
    spoilt = FILES["vetoes.csv"] + '009,"deceased,2024-01-01,\n'
    (vetoes,) = (table for table in read_outreach(source_of(vetoes=spoilt)) if table.name == "vetoes")
    assert vetoes.damaged == 1
    names = vetoes.rows.filter("damaged")["may_name"].item().split("\n")
    assert "009" in names
    assert vetoes.rows.filter(~pl.col("damaged"))["may_name"].null_count() == 2


def test_without_a_setting_the_identifier_is_called_patient(source_of):
    anybody = source_of(PatientColumn(), columns={"patient": "pat_no"})
    assert [len(table.rows) for table in read_outreach(anybody)] == [2, 2, 1]
    with pytest.raises(TableError, match=r"preferences: .*column patient is missing"):
        read_outreach(source_of(PatientColumn()))


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        ("preferences", '8,"to,pic,x,no,2024-01-01', "damaged"),
        ("preferences", ",topic,x,no,2024-01-01", "name no patient"),
        ("preferences", "eight,topic,x,no,2024-01-01", "name no patient"),
        ("preferences", "8,colour,x,no,2024-01-01", "kind that is not known"),
        ("vetoes", "8,moved away,2024-01-01,", "reason that is not known"),
        ("vetoes", "8,deceased,01/02/2024,", "a date that cannot be read"),
        ("addresses", "8,pigeon,loft 3,2024-01-01", "channel that is not known"),
    ],
)
def test_what_outreach_cannot_act_on_is_a_fault_with_its_remedy_and_no_cell(source_of, table, row, said):
    found = [
        f
        for f in outreach(Hospital(source_of(**{table: FILES[f"{table}.csv"] + row + "\n"})))
        if f.state == FAULT
    ]
    assert len(found) == 1
    assert said in found[0].text
    assert "1 rows" in found[0].text
    assert found[0].remedy
    for cell in ("pigeon", "loft", "colour", "moved", "eight"):
        assert cell not in found[0].text + found[0].remedy


def test_preferences_that_fill_a_sheet_are_a_fault(source_of, monkeypatch):
    monkeypatch.setattr("wardround.client.checks.full_sheets._SHEETS", (3,))
    for rows, state in ((1, "ok"), (2, "FAULT"), (3, "FAULT"), (4, "ok")):
        text = "pat_no,kind,value,wanted,said_at\n" + "7,topic,flu,no,2024-01-02\n" * rows
        found = outreach(Hospital(source_of(preferences=text)))
        assert [one.state for one in found if one.text.startswith("preferences")] == [state]


def test_what_cannot_be_read_as_wanted_is_not_wanted(source_of):
    text = "pat_no,kind,value,wanted,said_at\n7,topic,flu,perhaps,2024-01-02\n7,topic,flu,,2024-01-02\n"
    read = {table.name: table for table in read_outreach(source_of(preferences=text))}
    assert read["preferences"].rows["wanted"].to_list() == [False, False]


def test_databases_types_are_taken_too(tmp_path):
    frame = pl.DataFrame(
        {"patient": [7], "reason": ["deceased"], "starts_at": ["2024-01-01"], "ends_at": [None]}
    )
    frame.with_columns(pl.col("starts_at").str.to_date()).write_parquet(tmp_path / "v.parquet")
    (tmp_path / "m.csv").write_text("patient\n7\n")
    plain = {"messages": {"path": "m.csv"}, "vetoes": {"path": "v.parquet"}}
    (vetoes,) = read_outreach(source_from_mapping(plain, tmp_path))
    assert (vetoes.rows["patient"].to_list(), vetoes.unknown, vetoes.unreadable) == (["7"], 0, 0)


def test_the_mappings_words_are_translated(source_of, tmp_path):
    source_of(vetoes="pat_no,reason,starts_at,ends_at\n7,Tod,2024-01-01,\n")
    plain = {
        "messages": {"path": "messages.csv"},
        "vetoes": {"path": "vetoes.csv", "values": {"reason": {"Tod": "deceased"}}},
    }
    (vetoes,) = read_outreach(source_from_mapping(plain, tmp_path, patient=NUMBERS))
    assert vetoes.rows["reason"].to_list() == ["deceased"]
    assert vetoes.unknown == 0


def test_a_fhir_export_has_them_too_by_paths(tmp_path):
    dead = {"resourceType": "Patient", "id": "7", "deceasedBoolean": True}
    alive = {
        "resourceType": "Patient", "id": "8", "deceasedBoolean": False,
        "telecom": [{"system": "email", "value": "a@example.org", "period": {"start": "2023-05-01"}}],
    }  # fmt: skip
    (tmp_path / "Patient.ndjson").write_text("".join(json.dumps(one) + "\n" for one in (dead, alive)))
    paths = {"patient": "id", "reason": "deceasedBoolean", "starts_at": "birthDate", "ends_at": "birthDate"}
    reached = {"patient": "id", "channel": "telecom.system", "address": "telecom.value"}
    plain = {
        "fhir": ".",
        "messages": {"resource": "Appointment", "columns": {"patient": "id"}},
        "vetoes": {
            "resource": "Patient", "columns": paths, "where": {"deceasedBoolean": ["true"]},
            "values": {"reason": {"true": "deceased"}},
        },
        "addresses": {"resource": "Patient", "columns": {**reached, "since": "telecom.period.start"}},
    }  # fmt: skip
    vetoes, addresses = read_outreach(source_from_mapping(plain, tmp_path))
    assert vetoes.rows.select("patient", "reason").rows() == [("7", "deceased")]
    assert addresses.rows.filter(pl.col("address").is_not_null())["patient"].to_list() == ["8"]
    plain["addresses"]["columns"] = reached
    with pytest.raises(
        TableError, match="addresses: columns without a path: since; give each one under columns"
    ):
        read_outreach(source_from_mapping(plain, tmp_path))
