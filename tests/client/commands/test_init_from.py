"""``init --from``: a mapping from names and types alone, that a home reads; what was not told is said."""

import json
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.init_from import (
    CONSENTS,
    CONTRACT,
    MESSAGES,
    RENAMED,
    ROW,
    check_drafts,
    check_reads,
    init_from,
)
from wardround.client.connectors.kinds import KINDS
from wardround.client.connectors.listing import ListedTable
from wardround.client.connectors.odbc_listing import kind_of_declared
from wardround.client.home.draft_mapping import checked
from wardround.client.home.draft_tables import draft_tables
from wardround.client.home.home import load_home
from wardround.client.home.patients_known import patient_clauses
from wardround.client.home.settings_text import NewHome, settings_text
from wardround.client.main import main
from wardround.protocol.text.plain import read_yaml


@pytest.fixture
def init(tmp_path, capsys):
    return partial(init_from, tmp_path, capsys)


def exported(folder, **changes):
    folder.mkdir()
    files = {
        "visits.csv": f"{MESSAGES}\n{ROW}\n",
        "people.tsv": "pat_no\tage\nMARK\tMARK\n",
        "consents_2024.csv": f"{CONSENTS}\n{ROW}\n".replace(",", ";"),
        **changes,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_files_are_told_by_their_names_and_first_lines(tmp_path, init, capsys):
    code, said, found = init("csv", exported(tmp_path / "x"))
    assert code == 0, said
    assert found["patient"] == {"column": "pat_no", "form": "text"}
    assert found["tables"]["messages"] == {
        "path": str(tmp_path / "x/visits.csv"),
        "columns": {"patient": "pat_no", "decided": "Decided", "due": "due_on"},
    }
    assert found["tables"]["patients"]["format"] == {"separator": "tab"}
    assert found["tables"]["consents"]["columns"] == RENAMED
    assert found["tables"]["consents"]["format"] == {"separator": ";"}
    assert "messages.due: due_on" in said  # a guess is shown
    assert "note" not in said  # what no contract and no public list knows is not
    check_reads(tmp_path, 1)
    contract = check_drafts(tmp_path, capsys, {"age": "numeric", "channel": "categorical"})
    assert (contract.decided_at, contract.outcome_at) == (None, None)  # text files have no types


def test_what_was_not_told_is_said_stands_in_the_file_and_ends_with_exit_code_2(tmp_path, init):
    folder = exported(tmp_path / "x", **{"consents_2024.csv": "pat_no,Value,consented_on\nMARK,MARK,MARK\n"})
    code, said, found = init("csv", folder)
    assert code == 2
    text = (tmp_path / "north/hospital.yaml").read_text()
    for name in ("kind", "withdrawn_at", "expires_at"):
        line = f"no column looks like a consent's {name}; write tables.consents.columns by hand"
        assert line in said
        assert f"# TODO consents: in {folder}/consents_2024.csv {line}" in text
    assert "write by hand what no name could tell (3 lines of hospital.yaml begin with TODO)" in said
    assert set(found["tables"]["consents"]["columns"]) == {"patient", "value", "granted_at"}
    load_home(tmp_path / "north")


def test_without_messages_a_place_is_held_that_says_so(tmp_path, init):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "costs.csv").write_text("a,b\nMARK,MARK\n")
    code, said, found = init("csv", folder)
    assert code == 2
    assert found["tables"] == {"messages": {"path": "TODO_messages.csv"}}
    for table in ("messages", "patients", "consents"):
        assert f"{table}: no file looks like it; write tables.{table} by hand" in said
    load_home(tmp_path / "north")


def test_tables_that_look_alike_are_for_a_person_to_choose(tmp_path, init):
    folder = exported(tmp_path / "x", **{"appointments.csv": f"{MESSAGES}\n"})
    code, said, found = init("csv", folder)
    assert code == 2
    assert "messages: 2 look alike" in said
    assert found["tables"]["messages"] == {"path": "TODO_messages.csv"}


def test_a_first_line_of_cells_is_neither_written_nor_shown(tmp_path, init):
    rows = "MARK1,1950-01-01,MARK2 patient\n"
    folder = exported(tmp_path / "x", **{"people.tsv": rows, "visits.csv": rows})
    code, said, _ = init("csv", folder)
    assert code == 2
    assert "no column looks like the patient's identifier; write patient.column by hand" in said


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_proposed(tmp_path, init):
    folder = exported(tmp_path / "x", **{"old.parquet": "no parquet"})
    code, said, _ = init("csv", folder)
    assert code == 0
    assert "not looked at: old.parquet cannot be read" in said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (("csv", "nowhere"), "nowhere: cannot be read (No such file or directory); name a folder of tables"),
        (("csv", "."), ".: no file ends in .csv"),
        (("fhir", "nowhere"), "nowhere: cannot be read"),
        (("fhir", "."), "no .ndjson file is there; name the folder of the export"),
        (("cvs", "."), "--from cvs: did you mean csv? must be one of csv, postgresql, odbc, fhir"),
        (("postgresql", "postgresql://me:secret@db/x"), "the address holds a password; put it in ~/.pgpass"),
        (("postgresql", "host=db password=secret"), "the address holds a password; put it in ~/.pgpass"),
        (("postgresql", "postgresql:///x?host=/nowhere"), "PostgreSQL: cannot be read; check address, user"),
        (("odbc", "Driver=SQLite3;PWD=secret"), "holds a password; put it in a file"),
        (("odbc", "DSN=nowhere", "--dialect", "sqlite"), "ODBC: no such DSN or driver"),
        (("csv", ".", "--dialect", "sqlite"), "--dialect: only for --from odbc CONNECTION"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_line_and_nothing_is_written(
    source, message, tmp_path, init, monkeypatch
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    code, said, found = init(*source)
    assert (code, found) == (2, None)
    assert message in said
    assert "secret" not in said
    assert not (tmp_path / "north").exists()


def test_json_gives_the_mapping(tmp_path, capsys):
    line = [
        "init",
        "--home",
        str(tmp_path / "north"),
        "--json",
        "--from",
        "csv",
        str(exported(tmp_path / "x")),
    ]
    assert main(line) == 0
    proposed = json.loads(capsys.readouterr().out)["mapping"]
    assert proposed["tables"]["messages"]["path"] == str(tmp_path / "x/visits.csv")
    assert proposed["untold"] == []
    assert any(
        line.startswith("columns of messages and patients are not mapped") for line in proposed["told"]
    )


TYPES = {
    "int(10) unsigned": "whole", "BIGINT": "whole", "tinyint(1)": "truth", "decimal(5,2)": "number", "NUMBER": "number",
    "datetime2": "timestamp", "timestamp(6)": "timestamp",
    "uniqueidentifier": "uuid", "nvarchar": "text", "longtext": "text",
    "enum('a')": "text", "longblob": "other", "interval day": "other", "": "text", "DOUBLE PRECISION": "number",
    "character varying": "text", "boolean": "truth", "VARCHAR2": "text",
}  # fmt: skip


@pytest.mark.parametrize("declared", TYPES)
def test_declared_types_of_databases_are_known(declared):
    assert kind_of_declared(declared) == TYPES[declared]


def test_a_fhir_export_is_told_by_its_files_and_consents_are_never_guessed(tmp_path, init):
    folder = tmp_path / "export"
    folder.mkdir()
    visit = {"resourceType": "Appointment", "status": "noshow", "created": "2024-01-01", "start": "2024-01-05",
             "participant": [{"actor": {"reference": "Patient/MARK"}}]}  # fmt: skip
    (folder / "1.Appointment.ndjson").write_text(json.dumps(visit) + "\n")
    for name in ("Patient", "Consent"):
        (folder / f"{name}.ndjson").write_text(json.dumps({"resourceType": name, "id": "MARK"}) + "\n")
    code, said, found = init("fhir", folder)
    assert code == 2
    messages = found["tables"]["messages"]
    assert messages["resource"] == "Appointment"
    assert messages["columns"]["decided"] == "created"
    assert messages["columns"]["topic"] == "serviceType.coding.code"
    assert messages["values"] == {"opened": {"fulfilled": "1", "noshow": "0"}}
    assert "consents" not in found["tables"]
    assert "consents: no name says what a code means" in said
    assert "messages: no path of Appointment is known for channel" in said
    assert found["tables"]["patients"]["patient"] == "id"
    home = load_home(tmp_path / "north")
    assert all(clause.holds for clause in patient_clauses(home.source, CONTRACT))
    rows = home.source.read("messages", ("patient", "decided", "due", "opened")).collect()
    assert rows.row(0)[:4] == ("MARK", "2024-01-01", "2024-01-05", "noshow")


NAMES = st.text(max_size=12) | st.sampled_from(
    ["patient", "kind", "value", "age", "due", "topic", "a: b", "{x}", "- y"]
)
TABLES = st.builds(
    lambda name, columns: ListedTable(name=name, columns=columns),
    st.text(min_size=1, max_size=12)
    | st.sampled_from(["public.messages", "consents", "x.patients", "vetoes"]),
    st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=6),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(TABLES, max_size=4), st.sampled_from(["path", "table"]), st.booleans())
def test_whatever_tables_are_called_the_settings_read_back_as_meant(tmp_path_factory, listed, key, known):
    draft = draft_tables(listed, key, CONTRACT if known else None)
    if key == "table":
        draft = replace(draft, tables={"postgresql": "postgresql:///x", **draft.tables})
    checked(draft, tmp_path_factory.getbasetemp())
    text = settings_text(NewHome(hospital="north", draft=draft))
    found = read_yaml(text.encode(), "hospital.yaml")
    assert found["tables"] == draft.tables
    assert found.get("patient") == draft.patient
    assert set(found) <= {"hospital", "tables", "patient", "socket"}
    assert text.count("# TODO ") == len(draft.untold)
