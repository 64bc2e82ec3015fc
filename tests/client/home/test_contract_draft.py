"""A drafted contract is whole, made from names and types alone, and says what it could not tell."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.home.contract_draft import Choices, draft_contract
from wardround.client.main import main
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.text.plain import read_yaml

NOSHOW = {
    "messages": {
        "PatientId": "text",
        "AppointmentID": "text",
        "Gender": "text",
        "ScheduledDay": "text",
        "AppointmentDay": "text",
        "Age": "text",
        "Neighbourhood": "text",
        "SMS_received": "text",
        "No-show": "text",
    }
}


def test_the_no_show_tables_columns_make_a_contract_that_a_person_finishes():
    draft = draft_contract(NOSHOW, Choices(label="No-show", engaged=("No",), not_engaged=("Yes",)))
    contract = draft.contract
    assert (contract.patient, contract.decided_at, contract.outcome_at) == (
        "PatientId",
        "ScheduledDay",
        "AppointmentDay",
    )
    kinds = {f.name: f.kind for f in contract.features}
    assert kinds == {
        "gender": "categorical", "age": "numeric", "sms_received": "boolean", "weekday": "weekday", "hour": "hour",
        "lead": "gap_days", "past_rate": "history", "past_count": "history",
    }  # fmt: skip
    assert contract.groups == ("gender", "age") or set(contract.groups) == {"age", "gender"}
    assert contract_from_mapping(read_yaml(draft.text.encode(), "draft")) == contract
    said = "\n".join(draft.untold)
    for column in ("AppointmentID", "Neighbourhood"):
        assert f"messages.{column}: a text whose words nobody knows publicly" in said
    # A text file has no types: the columns that are left may hold numbers.
    assert "(or numeric, with edges and valid, if it holds numbers)" in said
    assert (
        "patient: PatientId was guessed from its name; is it the patient's number, and not a visit's?" in said
    )
    assert all(line in draft.text for line in draft.untold)


def test_types_of_a_database_are_used_and_patients_have_features_of_their_own():
    tables = {
        "messages": {
            "person": "number",
            "sent_at": "timestamp",
            "due": "timestamp",
            "opened": "truth",
            "urgent": "truth",
        },
        "patients": {
            "person": "number",
            "sex": "text",
            "female": "number",
            "distance_km": "number",
            "picture": "other",
        },
    }
    draft = draft_contract(tables, Choices(name="letters"))
    found = {f.name: (f.table, f.kind) for f in draft.contract.features}
    assert found["urgent"] == ("messages", "boolean")
    assert found["sex"] == ("patients", "categorical")
    assert found["female"] == ("patients", "boolean")
    assert found["distance_km"] == ("patients", "numeric")
    assert "patients.picture: its type is not read" in draft.untold
    assert draft.contract.label.column == "opened"


def test_without_two_moments_there_is_no_history():
    draft = draft_contract({"messages": {"patient": "text", "label": "text", "age": "number"}}, Choices())
    assert [f.name for f in draft.contract.features] == ["age"]
    assert any(line.startswith("decided_at, outcome_at: no two columns") for line in draft.untold)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": "text", "b": "text"},
            "says that it identifies the patient or is the label; give --patient COLUMN and --label COLUMN",
        ),
        ({"patient": "text", "b": "text"}, "no column's name says that it is the label; give --label COLUMN"),
        (
            {"patient": "text", "label": "text", "b": "text"},
            "no column has a name or type that is publicly known",
        ),
    ],
)
def test_what_cannot_be_told_is_asked_for_all_at_once(columns, message):
    with pytest.raises(ConfigurationError, match=message):
        draft_contract({"messages": columns}, Choices())


KINDS = ("text", "number", "truth", "timestamp", "other")
NAMES = st.dictionaries(st.text(max_size=30), st.sampled_from(KINDS), max_size=8)
SURE = {"patient": "text", "sent_at": "text", "due_on": "text", "opened": "text"}


@settings(deadline=None)
@given(messages=NAMES, patients=NAMES)
def test_whatever_columns_are_called_a_draft_reads_back_or_is_one_line(messages, patients):
    try:
        draft = draft_contract({"messages": {**messages, **SURE}, "patients": patients}, Choices())
    except WardroundError as error:
        draft, said = None, str(error)
    if draft is None:
        assert "\n" not in said
    else:
        assert contract_from_mapping(read_yaml(draft.text.encode(), "draft")) == draft.contract


def test_the_command_writes_a_new_file_alone_and_says_what_it_could_not_tell(tmp_path, capsys):
    (tmp_path / "m.csv").write_text("pat_no,sent_at,due,opened,channel,note\nMARK,MARK,MARK,MARK,MARK,MARK\n")
    line = [
        "contract",
        "draft",
        str(tmp_path / "m.csv"),
        "--out",
        str(tmp_path / "c.yaml"),
        "--patient",
        "pat_no",
    ]
    assert main(line) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "messages.note: a text whose words nobody knows publicly" in said
    written = (tmp_path / "c.yaml").read_text()
    assert contract_from_mapping(yaml.safe_load(written)).patient == "pat_no"
    assert "MARK" not in written + said
    assert main(line) == 2
    assert "exists already and is never overwritten" in capsys.readouterr().err
    assert main([*line[:3], "--out", str(tmp_path / "d.yaml"), "--label", "sent"]) == 2
    assert "--label sent: no such column; did you mean sent_at?" in capsys.readouterr().err
    assert not (tmp_path / "d.yaml").exists()


def home(tmp_path, settings):
    assert main(["init", "--home", str(tmp_path / "north")]) == 0
    (tmp_path / "north/hospital.yaml").write_text(yaml.safe_dump({"hospital": "north", **settings}))
    return ["contract", "draft", "--home", str(tmp_path / "north"), "--out", str(tmp_path / "c.yaml")]


def test_a_homes_mapping_gives_the_columns_their_names(tmp_path, capsys):
    """A file without a line of names, and a patients table that calls the patient otherwise."""
    columns = {"patient": "1", "sent_at": "2", "due_on": "3", "opened": "4", "channel": "5"}
    line = home(
        tmp_path,
        {
            "patient": {"column": "1"},
            "tables": {
                "messages": {"path": "m.csv", "columns": columns, "format": {"header": False}},
                "patients": {"path": "p.csv", "patient": "key", "format": {"separator": ";"}},
            },
        },
    )
    (tmp_path / "north/m.csv").write_text("MARK,MARK,MARK,MARK,MARK\n")
    (tmp_path / "north/p.csv").write_text("key;age\nMARK;MARK\n")
    assert main(line) == 0
    contract = contract_from_mapping(yaml.safe_load((tmp_path / "c.yaml").read_text()))
    assert (contract.patient, contract.decided_at, contract.label.column) == ("patient", "sent_at", "opened")
    assert contract.columns("patients") == ("patient", "age")
    assert "MARK" not in capsys.readouterr().out + (tmp_path / "c.yaml").read_text()
    assert main([*line[:-1], str(tmp_path / "d.yaml"), "--patients", "x.csv"]) == 2
    assert "--patients: only with a FILE of messages" in capsys.readouterr().err


def test_a_fhir_mapping_says_what_its_paths_hold(tmp_path):
    columns = {"patient": "subject.reference | id", "decided_at": "sent", "due": "received", "label": "status",
               "age": "extension[url=urn:age].valueInteger"}  # fmt: skip
    line = home(
        tmp_path,
        {"tables": {"fhir": "export", "messages": {"resource": "Communication", "columns": columns}}},
    )
    assert main(line) == 0
    contract = contract_from_mapping(yaml.safe_load((tmp_path / "c.yaml").read_text()))
    assert (contract.decided_at, contract.outcome_at) == ("decided_at", "due")
    assert "numeric" in {f.kind for f in contract.features if f.columns == ("age",)}


def test_a_table_that_cannot_be_read_is_one_line(tmp_path, capsys):
    assert main(home(tmp_path, {"tables": {"messages": {"path": "nowhere.csv"}}})) == 2
    assert "messages: no file" in capsys.readouterr().err
    assert not (tmp_path / "c.yaml").exists()
