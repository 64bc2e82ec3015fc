"""The declared number: rounded, within what the server counts on, by a place that only the hospital's key knows."""

import hashlib
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from wardround.client.main import main
from wardround.client.policy.declared import declared_number, place_of, step_of, tipping_chance
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.server.algorithm.screen import COUNT_SLACK

KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(250)]


@given(st.integers(0, 10**7), st.sampled_from(KEYS))
def test_a_declared_number_has_one_digit_and_holds_two_thirds_of_the_patients(count: int, key: bytes) -> None:
    declared = declared_number(count, key)
    assert len(str(declared).rstrip("0")) == 1
    assert count < COUNT_SLACK * declared
    assert declared <= max(1.6 * count, 10)
    assert declared == declared_number(count, key)
    assert declared_number(count + 1, key) >= declared


def test_where_it_tips_differs_from_hospital_to_hospital() -> None:
    """No count is a place at which everybody sees one patient: of 250 hospitals a few at most tip at the same."""
    steps = {key: next(n for n in range(1000, 2001) if declared_number(n, key) == 2000) for key in KEYS}
    assert 1250 <= min(steps.values()) < 1300
    assert 1450 < max(steps.values()) <= 1500
    assert len(set(steps.values())) > 150
    most = max(list(steps.values()).count(value) for value in steps.values())
    assert most <= 7  # 250 keys at a chance of 1/250 each
    assert [tipping_chance(number) for number in (1180, 180, 30)] == [1 / 250, 1 / 25, 0.4]  # docs/privacy.md
    assert place_of(1000, KEYS[0]) != place_of(100, KEYS[0])
    assert [step_of(number) for number in (3, 99, 100, 1180)] == [10, 10, 100, 1000]


def test_the_command_prints_a_rounded_number_and_nowhere_the_count(hospital, capsys) -> None:
    file = hospital.folder / "tea.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), file)
    home = ["--home", str(hospital.folder), "--terms", str(file)]
    assert main(["gate", "--json", *home]) == 0
    count = json.loads(capsys.readouterr().out)["passed"]["training patients"]
    assert main(["declare", *home]) == 0
    said = capsys.readouterr().out
    declared = declared_number(count, bytes.fromhex("ab" * 32))
    assert f"north: {declared}\n" in said
    assert str(count) not in said.replace(f"north: {declared}", "")
    assert main(["declare", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out) == {"hospital": "north", "declared": declared}


def test_it_counts_under_a_contract_before_there_are_terms(hospital, capsys, tmp_path: Path) -> None:
    (tmp_path / "tea.yaml").write_text(json.dumps(hospital.terms.contract.to_mapping()))
    home = ["--home", str(hospital.folder), "--contract", str(tmp_path / "tea.yaml")]
    assert main(["declare", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["declared"] >= 10
    (tmp_path / "tea.yaml").write_text("{name: a, name: b}")
    assert main(["declare", *home]) == 2
    assert capsys.readouterr().err.startswith("contract: ")


def test_a_person_may_declare_another_number_of_one_digit(hospital, capsys) -> None:
    home = ["--home", str(hospital.folder)]
    assert main(["declare", "--patients", "2000", *home]) == 0
    assert "north: 2000" in capsys.readouterr().out
    assert main(["declare", "--patients", "1183", *home]) == 2
    assert capsys.readouterr().err == (
        "patients=1183: must be at least 1, with one digit followed by zeros; declare 1000\n"
    )
