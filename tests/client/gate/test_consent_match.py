"""Opt-outs are heard however the identifier is spelt; grants only where it is the same."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.builders import PUBLIC, small_contract
from wardround.client.connectors.patient_form import AS_WRITTEN, PatientForm
from wardround.client.connectors.source import DAMAGED, Tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping

NOW = datetime(2024, 6, 1, tzinfo=UTC)
PATIENTS = [f"{number:04d}" for number in range(1, 206)]
OUT = PATIENTS[::3][:60]
OPEN = contract_from_mapping(small_contract(**PUBLIC))
ASKING = contract_from_mapping(small_contract(consent={"required": True, "basis": "consent"}))
COLUMNS = ("patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at")
SPELLINGS = {
    "as it is": lambda name: name,
    "spaces": lambda name: f" {name[:2]} {name[2:]}\u00a0",
    "zero-width": lambda name: f"\ufeff{name[:2]}\u200b{name[2:]}",
    "full-width": lambda name: "".join(chr(0xFF10 + int(digit)) for digit in name),
    "Arabic-Indic": lambda name: "".join(chr(0x660 + int(digit)) for digit in name),
    "without leading zeros": lambda name: name.lstrip("0"),
    "more leading zeros": lambda name: f"000{name}",
    "float": lambda name: f"{name}.0",
    "float without zeros": lambda name: f"{int(name)}.0",
    "decimal comma": lambda name: f"{int(name)},0",
    "quotes": lambda name: f"'{name}'",
    "hyphen": lambda name: f"{name[:2]}-{name[2:]}",
}


NO_NUMBERS = ("spaces", "decimal comma", "quotes", "hyphen")


def messages(names, spell=lambda name: name):
    rows = [(spell(name), "1" if number % 2 else "0", "30") for number, name in enumerate(names)] * 3
    return pl.DataFrame(rows, ("patient", "opened", "age"), orient="row")


def opted_out(names, spell=lambda name: name, **changes):
    row = {"kind": "purpose", "value": "engagement", "withdrawn_at": "2024-03-01", **changes}
    rows = [{**row, "patient": spell(name)} for name in names]
    return pl.DataFrame(rows, dict.fromkeys(COLUMNS, pl.String))


def granted(names, spell=lambda name: name):
    return opted_out(names, spell, granted_at="2023-01-01", withdrawn_at=None)


def patients(tables, contract=OPEN):
    counts = admit(tables, contract, b"k" * 32, NOW).counts
    return counts["training patients"] + counts["heldout patients"]


@pytest.mark.parametrize(
    "form", [PatientForm(), PatientForm(form="number"), AS_WRITTEN], ids=lambda f: f.form
)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_60_of_60_opt_outs_are_honoured_in_each_spelling(spelling, form):
    spell = SPELLINGS[spelling]
    assert patients(Tables(messages(PATIENTS), None, opted_out(OUT, spell), patient_form=form)) == 205 - 60
    left = patients(Tables(messages(PATIENTS, spell), None, opted_out(OUT), patient_form=form))
    # What is no whole number is nobody's identifier under form: number, and nobody is learned from.
    assert left == (0 if form.form == "number" and spelling in NO_NUMBERS else 205 - 60)


def test_names_and_uuids_are_heard_too():
    names = [f"Müller-{letter}" for letter in "abcdef"] + ["STRASSE 7"]
    decomposed, dashed = (lambda n: n.replace("ü", "u\u0308")), (lambda n: n.replace("-", "\u2011"))
    for spell in (str.upper, decomposed, dashed):
        assert patients(Tables(messages(names), None, opted_out(names, spell))) == 0
    keys = [f"550e8400-e29b-41d4-a716-{number:012x}" for number in range(9)]
    for spell in (str.upper, lambda k: f"{{{k}}}", lambda k: f"urn:uuid:{k}", lambda k: k.replace("-", "")):
        for form in (PatientForm(), PatientForm(form="uuid")):
            assert patients(Tables(messages(keys), None, opted_out(keys[:5], spell), patient_form=form)) == 4


def test_both_spellings_in_one_column_are_one_patient():
    both = pl.concat([messages(PATIENTS), messages(PATIENTS[::2], lambda name: f"{name}.0")])
    assert patients(Tables(both)) == 205
    assert patients(Tables(both, patient_form=AS_WRITTEN)) == 205 + 103


def test_a_grant_counts_for_the_same_identifier_alone():
    for spell in (lambda name: name.lstrip("0"), lambda name: f"'{name}'"):
        assert patients(Tables(messages(PATIENTS), None, granted(OUT, spell)), ASKING) == 0
    assert patients(Tables(messages(PATIENTS), None, granted(OUT, lambda name: f" {name}.0")), ASKING) == 60


def test_a_loosely_meant_grant_is_no_opt_out():
    assert patients(Tables(messages(PATIENTS), None, granted(OUT, lambda name: name.lstrip("0")))) == 205


def test_a_later_grant_of_the_patient_beats_a_loose_withdrawal():
    consents = pl.concat([opted_out(["1"]), opted_out(["0001"], granted_at="2024-04-01", withdrawn_at=None)])
    assert patients(Tables(messages(["0001"]), None, consents)) == 1
    assert patients(Tables(messages(["0001"]), None, consents), ASKING) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"withdrawn_at": "perhaps"},
        {"withdrawn_at": None, "granted_at": "perhaps"},
        {"withdrawn_at": None, "granted_at": "2023-01-01", "expires_at": "perhaps"},
        {"withdrawn_at": None, "granted_at": "2023-01-01", "expires_at": "2024-01-01"},
        {"withdrawn_at": "2030-01-01"},
    ],
)
def test_rows_whose_dates_cannot_be_read_stand_against_whom_they_could_mean(row):
    assert patients(Tables(messages(["0001", "0002"]), None, opted_out(["1"], **row))) == 1


def test_a_withdrawal_means_every_patient_whom_it_could_mean():
    names = ["0042", "42", "042-", "43"]
    assert patients(Tables(messages(names), None, opted_out(["42"]))) == 1


def test_a_choice_of_topics_so_spelt_restricts():
    by_topic = {**small_contract(**PUBLIC), "topic": {"column": "topic"}}
    table = messages(["0001", "0002"]).with_columns(topic=pl.lit("refill"))
    choice = opted_out(["1"], kind="topic", value="screening", granted_at="2023-01-01", withdrawn_at=None)
    assert patients(Tables(table, None, choice), contract_from_mapping(by_topic)) == 1


def test_a_damaged_row_withdraws_everything_for_whom_it_could_name():
    consents = granted(PATIENTS).with_columns(pl.lit(None, pl.String).alias(DAMAGED))
    damaged = consents.head(1).select(pl.lit(None, pl.String).alias(name) for name in COLUMNS)
    damaged = damaged.with_columns(pl.lit("2.0\nby phone").alias(DAMAGED))
    tables = Tables(messages(PATIENTS), None, pl.concat([consents, damaged]))
    assert patients(tables, ASKING) == patients(tables) == 204


def test_in_a_federation_a_withdrawal_is_of_its_hospital():
    table = pl.concat([messages(["0001"]).with_columns(hospital=pl.lit(name)) for name in ("north", "south")])
    consents = opted_out(["1"]).with_columns(hospital=pl.lit("north"))
    assert patients(Tables(table, None, consents)) == 1


@pytest.mark.parametrize("spelling", ["as it is", "full-width", "hyphen", "without leading zeros"])
@pytest.mark.parametrize("table", ["without a table", "with grants"])
def test_a_withdrawal_beside_the_tables_takes_everything_back(spelling, table):
    grants = None if table == "without a table" else granted(PATIENTS)
    contract = OPEN if grants is None else ASKING
    spelt = tuple(map(SPELLINGS[spelling], OUT))
    tables = Tables(messages(PATIENTS), consents=grants)
    assert patients(tables, contract) == len(PATIENTS)
    assert patients(replace(tables, withdrawn=spelt), contract) == len(PATIENTS) - len(OUT)
