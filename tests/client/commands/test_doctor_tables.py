"""Twenty and more faults planted in tables and settings: doctor finds each with its remedy, and none where none is."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.builders import AGE, CHANNEL, SEX
from wardround.client.checks.finding import FAULT, OK
from wardround.client.connectors.source import read_tables
from wardround.client.main import main
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

OF_TABLES = ("tables", "types", "codes", "identity", "age", "consent", "rows", "patients")
SECRET = "patient-7"  # an identifier, that no line may show
Tables = dict[str, pl.DataFrame]


@pytest.fixture
def place(hospital, terms_with) -> Any:
    """The tests' hospital under a contract with words, ranges and groups."""
    features = {
        "age": {**AGE, "table": "patients", "valid": [0, 115]},
        "sex": {**SEX, "table": "patients"},
        "channel": CHANNEL,
        "visit": {"kind": "categorical", "column": "visit", "vocabulary": ["first", "return"]},
    }
    hospital.terms = terms_with(contract={"features": features, "groups": ["sex", "age"]})
    write_policy(hospital)
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "t.terms")
    return hospital


def write_policy(hospital: Any, **changes: Any) -> None:
    contracts = [hospital.terms.contract.fingerprint]
    hospital.write_policy(**{"features": [], "contracts": contracts, **changes})


def tables_with_words(tables_of: Any) -> Tables:
    tables = tables_of(range(60))
    number = pl.int_range(pl.len())
    tables["patients"] = tables["patients"].with_columns(
        sex=pl.when(number % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M"))
    )
    tables["messages"] = tables["messages"].with_columns(
        visit=pl.when(number % 3 == 0).then(pl.lit("first")).otherwise(pl.lit("return"))
    )
    return tables


def settings(**tables: str) -> str:
    named = {"messages": "", "patients": "", "consents": "", **tables}
    lines = "".join(f"  {table}: {{path: {table}.csv{more}}}\n" for table, more in named.items())
    return f"hospital: north\npatient: {{column: patient}}\ntables:\n{lines}"


def configure(hospital: Any, text: str) -> None:
    (hospital.folder / "hospital.yaml").write_text(text)


@pytest.fixture
def doctor(place: Any, tables_of: Any, capsys, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Change tables or settings by a function, and run the doctor; findings, and all that was printed."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    monkeypatch.setattr("wardround.client.checks.machine.requires", lambda name: [])

    def run(plant: Callable[[Any, Tables], None]) -> list[dict[str, str]]:
        configure(place, settings())
        tables = tables_with_words(tables_of)
        place.write_tables(tables)
        plant(place, tables)
        main(["doctor", str(place.folder / "t.terms"), "--home", str(place.folder), "--json"])
        printed = capsys.readouterr().out
        assert SECRET not in printed
        return json.loads(printed)

    return run


def changing(table: str, **columns: pl.Expr) -> Callable[[Any, Tables], None]:
    def plant(place: Any, tables: Tables) -> None:
        place.write_tables({table: tables[table].with_columns(**columns)})

    return plant


def told(text: str) -> Callable[[Any, Tables], None]:
    return lambda place, tables: configure(place, text)


def renamed(table: str, **columns: str) -> Callable[[Any, Tables], None]:
    return lambda place, tables: place.write_tables({table: tables[table].rename(columns)})


def two_columns_missing(place: Any, tables: Tables) -> None:
    renamed("messages", due="deu", channel="way")(place, tables)
    renamed("patients", age="alter")(place, tables)


def grown_old(place: Any, tables: Tables) -> None:
    write_policy(place, max_export_age_days="{consents: 7}")
    month_ago = time.time() - 30 * 86_400
    os.utime(place.folder / "consents.csv", (month_ago, month_ago))


def a_damaged_row(place: Any, tables: Tables) -> None:
    path = place.folder / "consents.csv"
    path.write_text(path.read_text() + 'patient-3,"purpose,engagement,2023-01-01,,\n')


def no_messages(place: Any, tables: Tables) -> None:
    (place.folder / "messages.csv").unlink()


def no_rows(place: Any, tables: Tables) -> None:
    place.write_tables({"messages": tables["messages"].clear()})


def over_two_tables(place: Any, tables: Tables) -> None:
    changing("patients", sex=pl.lit("sms"))(place, tables)
    changing("messages", channel=pl.lit("F"))(place, tables)


ID, NUMBER = pl.col("patient"), pl.int_range(pl.len())
SWAP = {"channel": pl.col("visit"), "visit": pl.col("channel")}
PLANTED: dict[str, tuple[Callable[[Any, Tables], None], str, tuple[str, ...]]] = {
    "no file": (no_messages, "tables", ("messages.csv", "correct the path")),
    "no rows": (no_rows, "types", ("no row", "export")),
    "three columns missing": (two_columns_missing, "tables", ("due", "channel", "age", "mapping")),
    "ages in words": (changing("patients", age=pl.lit("old")), "types", ("100%", "row 1", "format")),
    "dates of a day first": (
        changing("messages", decided=pl.lit("31/01/2024")), "types", ("messages.decided", "row 1", "format"),
    ),
    "another outcome": (changing("messages", opened=pl.lit("perhaps")), "types", ("opened", "label.set_aside")),
    "sex in numbers": (
        changing("patients", sex=(NUMBER % 2 + 1).cast(pl.String)), "codes", ("patients.sex", "row 1", "values"),
    ),
    "another language": (
        changing("messages", channel=pl.lit("brief")), "codes", ("messages.channel", "100%", "values"),
    ),
    "swapped columns": (changing("messages", **SWAP), "codes", ("channel", "visit", "swap the two")),
    "a number and a word swapped": (
        changing("patients", age=pl.col("sex"), sex=pl.col("age")), "codes",
        ("patients.sex", "patients.age", "look swapped", "under columns"),
    ),
    "a word and a moment swapped": (
        changing("messages", channel=pl.col("due"), due=pl.col("channel")), "codes",
        ("messages.channel", "messages.due", "look swapped"),
    ),
    "swapped over two tables": (
        over_two_tables, "codes", ("patients.sex", "messages.channel", "look swapped", "of the two tables"),
    ),
    "years of birth": (changing("patients", age=pl.lit("1962")), "codes", ("out of range", "row 1", "column")),
    "kinds of consent": (
        changing("consents", kind=pl.lit("propósito")), "codes", ("consents.kind", "values", "purpose"),
    ),
    "letters before the number": (
        changing("consents", patient=pl.lit("MRN ") + ID.str.extract("([0-9]+)$").str.zfill(4)),
        "identity", ("consents", "none of"),
    ),
    "other patients": (changing("consents", patient=pl.lit("x") + NUMBER.cast(pl.String)), "identity", ("none of",)),
    "grants in capitals": (
        changing("consents", patient=pl.when(NUMBER % 9 == 0).then(ID.str.to_uppercase()).otherwise(ID)),
        "identity", ("consents", "looser spelling", "patient"),
    ),
    "patients in capitals": (
        changing("patients", patient=pl.when(NUMBER % 9 == 0).then(ID.str.to_uppercase()).otherwise(ID)),
        "identity", ("patients", "looser spelling", "hospital.yaml"),
    ),
    "no numbers": (
        told(settings().replace("{column: patient}", "{column: patient, form: number}")),
        "identity", ("no identifier of that form", "patient.form"),
    ),
    "an old export": (grown_old, "age", ("30 days ago", "at most 7 days", "export")),
    "a name mistyped": (
        told(settings(messages=", columns: {chanel: way}")), "tables", ("chanel", "did you mean channel"),
    ),
    "words of no column": (
        told(settings(patients=", values: {gender: {1: F}}")), "tables", ("gender", "contract's name"),
    ),
    "another patient's column": (
        told(settings().replace("{column: patient}", "{column: pat_no}")), "terms", ("clause patient", "pat_no"),
    ),
    "a damaged row": (a_damaged_row, "rows", ("consents", "1 rows", "quotes")),
    "nobody consents": (changing("consents", value=pl.lit("other")), "consent", ("0%", "kind, value")),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_each_planted_fault_is_found_with_what_mends_it(fault: str, doctor) -> None:
    plant, topic, words = PLANTED[fault]
    found = [f for f in doctor(plant) if f["state"] == FAULT and f["topic"] == topic]
    said = " ".join(f"{f['text']} {f['remedy']}" for f in found)
    assert found, fault
    assert all(word in said for word in words), said
    assert all(f["remedy"] for f in found)


def test_a_visits_number_is_asked_about(doctor) -> None:
    def plant(place: Any, tables: Tables) -> None:
        configure(place, settings(messages=", columns: {patient: visit_no}", patients="", consents=""))
        place.write_tables({"messages": tables["messages"].with_columns(visit_no=NUMBER.cast(pl.String))})

    (found,) = [f for f in doctor(plant) if "visit number" in f["text"]]
    assert "patient: {column" in found["remedy"]


def test_patients_whose_rows_differ_are_counted(doctor) -> None:
    def plant(place: Any, tables: Tables) -> None:
        patients = tables["patients"]
        again = patients.head(5).with_columns(age=pl.when(NUMBER < 3).then(pl.lit("33")).otherwise("age"))
        place.write_tables({"patients": pl.concat([patients, again])})

    (found,) = [f for f in doctor(plant) if f["topic"] == "rows"]
    assert found["state"] == "warn"
    assert "patients: 5 of 60 patients have several rows, 3 of them rows that differ" in found["text"]
    assert "one row per patient" in found["remedy"]


def as_it_is(place: Any, tables: Tables) -> None:
    """Nothing is changed."""


def float_identifiers(place: Any, tables: Tables) -> None:
    number = ID.str.extract("([0-9]+)$")
    place.write_tables({name: frame.with_columns(patient=number) for name, frame in tables.items()})
    messages = tables["messages"].with_columns(patient=number + ".0")
    place.write_tables({"messages": messages})


def consents_of_others(place: Any, tables: Tables) -> None:
    others = tables["consents"].with_columns(patient=pl.lit("other-") + NUMBER.cast(pl.String))
    place.write_tables({"consents": pl.concat([tables["consents"], others])})


def translated(place: Any, tables: Tables) -> None:
    configure(place, settings(patients=", values: {sex: {1: F, 2: M}}"))
    changing("patients", sex=(NUMBER % 2 + 1).cast(pl.String))(place, tables)


def withdrawn_otherwise_spelt(place: Any, tables: Tables) -> None:
    some = (
        tables["consents"]
        .head(3)
        .with_columns(patient=ID.str.to_uppercase(), withdrawn_at=pl.lit("2024-05-01"))
    )
    place.write_tables({"consents": pl.concat([tables["consents"], some])})


@pytest.mark.parametrize(
    "plant", [as_it_is, float_identifiers, consents_of_others, translated, withdrawn_otherwise_spelt]
)
def test_clean_tables_raise_no_alarm(plant, doctor) -> None:
    findings = [f for f in doctor(plant) if f["topic"] in OF_TABLES]
    assert [f for f in findings if f["state"] != OK] == []
    assert {f["topic"] for f in findings} >= {"tables", "types", "codes", "identity", "consent", "patients"}


def rows_of_several_lines(place: Any, tables: Tables) -> None:
    """A note of two lines in every row but one, whose quote is broken; no contract reads it."""
    path = place.folder / "messages.csv"
    head, *rows = path.read_text().splitlines()
    notes = ['"two\nlines"'] * (len(rows) - 1) + ['"torn']
    lines = [f"{row},{note}" for row, note in zip(rows, notes, strict=True)]
    path.write_text("\n".join([f"{head},note", *lines]) + "\n")


@pytest.mark.parametrize("newlines", ["in_cells", "end_rows"])
def test_rows_of_several_lines_are_read_where_the_mapping_says_so(newlines, doctor) -> None:
    def plant(place: Any, tables: Tables) -> None:
        rows_of_several_lines(place, tables)
        configure(place, settings(messages=f", format: {{newlines: {newlines}}}"))

    found = doctor(plant)
    (read,) = [f["text"] for f in found if f["topic"] == "format"]
    (damaged,) = [f for f in found if f["topic"] == "rows"]
    assert ("a broken quote may take rows after it" in read) == (newlines == "in_cells")
    assert ("messages: 1 rows are damaged" in damaged["text"]) == (newlines == "in_cells")
    assert "format.newlines" in damaged["remedy"]


def test_unknown_words_are_shown_on_the_spot_alone(place, doctor, capsys) -> None:
    doctor(changing("messages", channel=pl.lit("brief")))
    asked = ["doctor", str(place.folder / "t.terms"), "--home", str(place.folder)]
    main(asked)
    assert "brief" not in capsys.readouterr().out
    main([*asked, "--show-values"])
    assert "brief" in capsys.readouterr().out
    assert main([*asked, "--show-values", "--json"]) == 2


def test_status_shows_the_age_of_exports_that_the_policy_bounds(place, doctor, capsys) -> None:
    doctor(grown_old)
    kept = place.folder / "terms" / "t.terms"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes((place.folder / "t.terms").read_bytes())
    asked = ["status", "--home", str(place.folder)]
    assert main([*asked, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["exports"]
    assert (row["table"], row["most"], row["too_old"]) == ("consents", 7, True)
    assert "30 days ago; newest row of 20" in row["text"]
    main(asked)
    assert "FAULT: Export of consents: exported on" in capsys.readouterr().out
    (place.folder / "consents.csv").unlink()
    main([*asked, "--json"])
    (row,) = json.loads(capsys.readouterr().out)["exports"]
    assert row["too_old"]
    assert "cannot be read" in row["text"]
    write_policy(place)
    main([*asked, "--json"])
    assert json.loads(capsys.readouterr().out)["exports"] == []


def test_a_person_may_allow_more_other_words_with_a_reason(place, doctor, capsys) -> None:
    third = changing("messages", channel=pl.when(NUMBER % 3 == 0).then(pl.lit("fax")).otherwise("channel"))
    assert any(f["topic"] == "codes" and f["state"] == FAULT for f in doctor(third))
    write_policy(place, max_other="{share: 0.5, reason: fax is rare elsewhere}")
    assert not any(f["topic"] == "codes" and f["state"] == FAULT for f in doctor(third))
    write_policy(place, max_other="{share: 0.5}")
    assert any("reason" in f["text"] + f["remedy"] for f in doctor(third))


def test_without_consent_nobody_is_said_to_have_consented(place, doctor, terms_with) -> None:
    features = place.terms.contract.to_mapping()["features"]
    consent = {"required": False, "basis": "service evaluation"}
    place.terms = terms_with(contract={"features": features, "consent": consent})
    write_policy(place, require_consent=False)
    (place.folder / "t.terms").unlink()
    save_terms(sign_terms(place.terms, place.operator), place.folder / "t.terms")
    (said,) = [f["text"] for f in doctor(as_it_is) if f["topic"] == "consent"]
    assert "60 of 60 patients have not opted out" in said
    assert "nobody was asked" in said


def test_the_gate_shows_who_is_missing(place, doctor, capsys) -> None:
    women = pl.col("patient").is_in([f"patient-{number}" for number in range(0, 60, 2)])
    doctor(changing("consents", withdrawn_at=pl.when(women).then(pl.lit("2024-01-01"))))
    asked = ["gate", "--terms", str(place.folder / "t.terms"), "--home", str(place.folder)]
    assert main([*asked, "--json"]) == 0
    shares = {(g["group"], g["band"]): g for g in json.loads(capsys.readouterr().out)["groups"]}
    assert shares["sex", "F"]["table_share"] == 0.5
    assert shares["sex", "F"]["learned_from"] == 0
    assert shares["sex", "M"]["learned_share"] == 1.0
    assert main(asked) == 0
    assert "Who is missing" in capsys.readouterr().out


def test_rehearse_and_approve_show_what_the_tables_look_like(place, doctor, capsys) -> None:
    doctor(changing("patients", sex=pl.lit("f")))
    last = str(Path(place.folder / "t.terms"))
    main(["approve", last, "--home", str(place.folder), "--reason", "x", "--yes"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Cells against the contract's words and ranges" in said
    assert "events per patient: median" in said


@pytest.mark.slow
def test_a_table_that_fills_a_sheet_is_a_fault(doctor, tables_of, monkeypatch):
    lengths = {name: len(table) for name, table in tables_with_words(tables_of).items()}
    for rows, found in ((lengths["consents"] + 1, 1), (lengths["consents"], 1), (lengths["consents"] + 2, 0)):
        monkeypatch.setattr("wardround.client.checks.full_sheets._SHEETS", (rows,))
        lines = [one["text"] for one in doctor(lambda place, tables: None) if "spreadsheet" in one["text"]]
        assert len(lines) == found
        assert all(line.startswith(f"consents: {lengths['consents']} rows, as many as") for line in lines)


def test_all_that_is_said_of_a_study_is_said_of_one_reading(doctor, monkeypatch):
    """A database gives another state to each reading; a spreadsheet is loaded whole for each."""
    readings = []

    def counted(*arguments):
        readings.append(arguments)
        return read_tables(*arguments)

    monkeypatch.setattr("wardround.client.checks.study.read_tables", counted)
    found = doctor(lambda place, tables: None)
    assert {"codes", "identity", "age", "consent", "patients"} <= {finding["topic"] for finding in found}
    assert len(readings) == 1
