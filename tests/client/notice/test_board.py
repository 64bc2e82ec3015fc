"""The page for a privacy board: true to terms, policy and ledger, fit to be sent, and no decision."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.notice.test_notice import Text, approve, words_of
from wardround.client.main import main
from wardround.client.notice.odds import odds
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.privacy.gaussian_dp import gaussian_excess, gaussian_parameter
from wardround.protocol.terms.cost import study_epsilon, two_hospitals_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import key_fingerprint


def written(hospital, terms: Terms, out: Path, *arguments: str) -> str:
    file = hospital.folder / f"{terms.fingerprint}.board"
    if not file.exists():
        save_terms(sign_terms(terms, hospital.operator), file)
    assert main(["approve", str(file), "--home", str(hospital.folder), "--page", str(out), *arguments]) == 0
    return out.read_text(encoding="utf-8")


def test_it_says_who_asks_what_is_learned_what_it_costs_and_what_cannot_be_undone(hospital, tmp_path) -> None:
    terms = hospital.terms
    said = words_of(written(hospital, terms, tmp_path / "board.html"))
    epsilon = study_epsilon(terms, 1e-5)["training"]
    excess = gaussian_excess(gaussian_parameter(epsilon, 1e-5), epsilon)
    for fact in (
        f"May the study “{terms.study}” learn from patients here?",
        "consortium proposes it, for the purpose",
        key_fingerprint(hospital.operator.public),
        "It keeps to all limits of this hospital. It waits for a person here to decide.",
        f"At most {odds(epsilon, 1e-5).right_of_100} of 100 such guesses are right.",
        f"learned from {epsilon:.3f} 0.000 {epsilon:.3f} 5",
        f"with a chance of {excess:.1e} it lets through more than that factor",
        "What has left. It stays with the operator",
        "It stays in the model, bounded by ε.",
        "This page decides nothing.",
        terms.fingerprint,
        terms.contract.fingerprint,
        f"{terms.training.rounds} {terms.contract.layout.width} ",
    ):
        assert fact in said, fact
    if len(terms.hospitals) > 1:
        assert f"two of the hospitals: ε = {two_hospitals_epsilon(terms, 1e-5):.3f} at most" in said
    assert "\\x" not in said  # nothing of our own is shown as an escape
    for feature in terms.contract.features:
        assert feature.name.replace("_", " ") in said


def test_writing_it_decides_nothing_and_overwrites_nothing(hospital, tmp_path, capsys) -> None:
    out = tmp_path / "board.html"
    written(hospital, hospital.terms, out, "--json")
    assert json.loads(capsys.readouterr().out) == {
        "study": "tea", "page": str(out), "decision": "pending", "broken": [],
    }  # fmt: skip
    assert hospital.clause() == "approval"
    hospital.stop()
    assert hospital.entries("approved") == []
    before = out.read_bytes()
    file = hospital.folder / f"{hospital.terms.fingerprint}.board"
    assert main(["approve", str(file), "--home", str(hospital.folder), "--page", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert out.read_bytes() == before


def test_a_decision_still_wants_its_reason(hospital, tmp_path, capsys) -> None:
    file = tmp_path / "tea.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), file)
    for word in ("approve", "decline"):
        assert main([word, str(file), "--home", str(hospital.folder), "--json"]) == 2
        assert capsys.readouterr().err == f"{word}: give --reason TEXT; the ledger keeps it\n"
    assert hospital.entries("approved") == hospital.entries("declined") == []


def test_what_the_ledger_has_spent_is_counted_once(hospital, tmp_path) -> None:
    terms = hospital.terms
    approve(hospital)
    hospital.released(1)
    hospital.released(2)
    hospital.stop()
    said = words_of(written(hospital, terms, tmp_path / "board.html"))
    spent = compose_epsilon([PrivacyEvent(terms.noise_multiplier, 1.0, 2)], 1e-5)
    whole = study_epsilon(terms, 1e-5)["training"]
    assert f"learned from {whole:.3f} {spent:.3f} {whole:.3f} 5" in said
    assert "At this time it is approved." in said


@pytest.mark.parametrize(
    ("change", "clause", "words"),
    [
        ({"max_rounds": 1}, "max_rounds", "rounds=12"),
        ({"min_patients": 1_000_000}, "min_patients", "fewer patients pass the gate today"),
        ({"max_delta_times_patients": 0.0001}, "max_delta_times_patients", "at most 0.0001"),
    ],
)
def test_a_limit_that_does_not_hold_stands_on_top_and_no_count_of_patients_anywhere(
    hospital, tmp_path, capsys, change: dict[str, float], clause: str, words: str
) -> None:
    hospital.write_policy(**change)
    said = words_of(written(hospital, hospital.terms, tmp_path / "board.html"))
    assert "It cannot be approved as it stands:" in said
    assert f"{clause} " in said
    assert words in said
    assert "eligible patients" not in said
    capsys.readouterr()
    file = str(hospital.folder / f"{hospital.terms.fingerprint}.board")
    assert main(["gate", "--terms", file, "--home", str(hospital.folder), "--json"]) == 0
    count = json.loads(capsys.readouterr().out)["passed"]["training patients"]
    shown = said.replace(str(hospital.terms.training.public_patients["north"]), "")
    assert f" {count} " not in shown.split("wrote this page on")[0]


def test_many_hospitals_and_a_moment_that_is_none_make_a_page_all_the_same(
    hospital, tmp_path, terms_with
) -> None:
    many = {"north": 40, **{f"h{number}": 10 for number in range(200)}}
    said = words_of(written(hospital, terms_with(training={"public_patients": many}), tmp_path / "many.html"))
    assert "(10) and 141 more" in said
    assert "201 hospitals would train one model together" in said
    late = replace(hospital.terms, expires_at="whenever")
    said = words_of(written(hospital, late, tmp_path / "late.html"))
    assert "whenever; after that the hospital answers no more requests" in said
    assert "It cannot be approved as it stands" in said


def test_it_loads_and_runs_nothing_and_foreign_text_is_text(hospital, tmp_path, terms_with) -> None:
    contract = hospital.terms.contract.to_mapping()
    hostile = "<script>alert(1)</script><img src=x>\u202e"
    contract["consent"] = {**contract["consent"], "basis": "<b>bold</b> & <script>alert(1)</script>"}
    page = written(hospital, terms_with(contract=contract), tmp_path / "board.html")
    reader = Text()
    reader.feed(page)
    assert reader.loads == []
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "default-src 'none'" in page
    assert hostile not in page
    assert "http" not in page.replace("http-equiv", "")
