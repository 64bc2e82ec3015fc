"""Preferences, vetoes and addresses: read from any source, with doubt on the safe side."""

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
