"""``gate``: every count and every column is true, on tables whose faults are known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from wardround.client.commands.gate import PASSED
from wardround.client.main import main
from wardround.protocol.wire.signed_terms import save_terms, sign_terms


def message(
    patient: str,
    topic: str = "screening",
    decided: str = "2024-03-01",
    due: str = "2024-03-05",
    opened: str = "1",
):
    return patient, decided, due, opened, topic


def faulty_tables() -> tuple[dict[str, pl.DataFrame], dict[str, int]]:
    """Twenty good patients of six messages each, and beside them a known number of each fault."""
    good = [f"good-{number}" for number in range(20)]
    rows = [
        message(name, decided=f"2024-03-{day:02d}", due=f"2024-04-{day:02d}")
        for name in good
        for day in range(1, 7)
    ]
    faults = {
        "no identifier": [message("")],
        "unreadable date": [message("good-0", decided="soon"), message("good-0", due="2024-02-31")],
        "outcome before decision": [message("good-1", due="2024-02-01")],
        "decided in the future": [message("good-2", decided="2990-01-01", due="2990-01-02")],
        "past retention": [
            message("good-3", decided=f"1990-01-{day:02d}", due="1990-02-01") for day in range(1, 4)
        ],
        "no consent for the purpose": [message("withdrawn")] * 2
        + [message("silent")] * 3
        + [message("expired")] * 4,
        "sensitive topic without opt-in": [message("good-4", "maternity")] * 2,
        "topic not chosen": [message("chooser", "wellness")] * 2,
        "outcome not yet known": [message("waiting", due="2990-01-01")],
        "unreadable label": [message("unsure", opened="maybe")],
    }
    rows += [row for some in faults.values() for row in some] + [message("chooser")]
    consents = [
        (name, "purpose", "engagement", "2023-01-01", "", "")
        for name in (*good, "chooser", "waiting", "unsure")
    ]
    consents += [
        ("withdrawn", "purpose", "engagement", "2023-01-01", "2024-01-01", ""),
        ("expired", "purpose", "engagement", "2023-01-01", "", "2024-01-01"),
        ("silent", "purpose", "another", "2023-01-01", "", ""),
        ("chooser", "topic", "screening", "2023-01-01", "", ""),
    ]
    messages = pl.DataFrame(rows, ["patient", "decided", "due", "opened", "topic"], orient="row")
    names = ["patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at"]
    tables = {
        "messages": messages.with_columns(channel=pl.lit("sms")),
        "patients": pl.DataFrame({"patient": good, "age": ["33"] * 20, "diagnosis": ["none"] * 20}),
        "consents": pl.DataFrame(consents, names, orient="row"),
    }
    return tables, {reason: len(some) for reason, some in faults.items()}


@pytest.fixture
def gate(hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    tables, _ = faulty_tables()
    hospital.write_tables(tables)
    terms = tmp_path / "tea.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), terms)

    def run() -> dict[str, Any]:
        assert main(["gate", "--home", str(hospital.folder), "--terms", str(terms), "--json"]) == 0
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return run


@pytest.fixture
def counted(gate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return gate()


def test_each_reason_is_counted_as_it_is(counted: dict[str, Any]) -> None:
    _, expected = faulty_tables()
    aside = counted["set_aside"]
    assert {reason: aside[reason] for reason in expected} == expected


def test_all_messages_are_accounted_for_once(counted: dict[str, Any]) -> None:
    tables, expected = faulty_tables()
    passed, aside = counted["passed"], counted["set_aside"]
    before_the_label = [
        reason for reason in expected if reason not in ("outcome not yet known", "unreadable label")
    ]
    total = sum(passed[f"{part} events"] for part in ("training", "heldout", "undecided"))
    total += aside["beyond K events of a training patient"] + sum(
        aside[reason] for reason in before_the_label
    )
    assert total == len(tables["messages"])
    assert passed["undecided events"] == passed["undecided patients"] == 2


def test_training_and_held_out_patients_are_the_good_ones_and_k_bounds_the_former(
    counted: dict[str, Any],
) -> None:
    passed = counted["passed"]
    # "chooser" has one good message; every other good patient has six, of which K = 4 are kept in training.
    assert passed["training patients"] + passed["heldout patients"] == 21
    assert 0 < passed["heldout patients"] < 21
    assert counted["set_aside"]["beyond K events of a training patient"] % 2 == 0
    assert passed["training events"] in (4 * passed["training patients"], 4 * passed["training patients"] - 3)


def test_a_damaged_row_of_the_consents_takes_out_all_whom_it_may_name(hospital, gate, counted) -> None:
    """A quote stands open; the identifier is the first field or the second; one is sure to be the second."""
    lines = (
        'good-5,"purpose,engagement,2023-01-01,,',
        "good-6,GOOD-7,purpose,engagement,2023-01-01,,2999-01-01",
        "Doe,good-8,purpose,engagement,,2024-01-01,",
    )
    with (hospital.folder / "consents.csv").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    found = gate()
    reason = "no consent for the purpose"
    assert found["set_aside"][reason] == counted["set_aside"][reason] + 4 * 6
    people = [sum(one["passed"][f"{part} patients"] for part in PASSED) for one in (counted, found)]
    assert people[0] - people[1] == 4


def test_the_columns_are_those_of_the_contract_and_a_diagnosis_is_not_among_them(hospital, counted) -> None:
    assert counted["columns"] == {
        "messages": ["patient", "decided", "due", "opened", "topic", "channel"],
        "patients": ["patient", "age"],
        "consents": ["patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at"],
    }


def test_without_a_study_the_gate_asks_for_one(hospital, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "--home", str(hospital.folder)]) == 2
    assert "--terms FILE" in capsys.readouterr().err
