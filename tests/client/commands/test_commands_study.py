"""forecast, rehearse, approve, decline, studies, status, operators and ledger: what they say and what they record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardround.client.home.home import load_home
from wardround.client.home.terms_folder import keep_pending
from wardround.client.main import main
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.published_policy import load_policy
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import key_fingerprint, new_key

Run = Callable[..., Any]


@pytest.fixture
def file(hospital, tmp_path: Path) -> Path:
    path = tmp_path / "tea.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), path)
    return path


@pytest.fixture
def run(hospital, capsys, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command; give its exit code, its JSON (or text) and its line on standard error."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)

    def command(*arguments: str, plain: bool = False) -> tuple[int, Any, str]:
        inner = [] if plain else ["--json"]
        code = main([*arguments, "--home", str(hospital.folder), *inner])
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    return command


def head(hospital) -> str:
    ledger = load_home(hospital.folder).open_ledger()
    try:
        return ledger.head
    finally:
        ledger.close()


def test_a_forecast_spends_nothing_and_shows_every_clause(hospital, run: Run, file: Path) -> None:
    before = head(hospital)
    code, said, _ = run("forecast", str(file))
    assert (code, said["permitted"], said["decision"]) == (0, True, "pending")
    terms = hospital.terms
    event = PrivacyEvent(terms.noise_multiplier, 1.0, terms.training.rounds)
    assert said["epsilon"] == compose_epsilon([event], 1e-5)
    held = {clause["clause"]: clause["holds"] for clause in said["clauses"]}
    assert {name for name, holds in held.items() if not holds} == {"approval"}
    assert {
        "operators",
        "purposes",
        "features",
        "models",
        "delta",
        "max_rounds",
        "max_epsilon_for_life",
    } <= set(held)
    assert head(hospital) == before


@pytest.mark.parametrize(
    ("change", "clause"),
    [({"max_rounds": 3}, "max_rounds"), ({"purposes": []}, "purposes"), ({"max_epsilon_for_life": 0.5},
      "max_epsilon_for_life"), ({"min_noise_multiplier": 50}, "min_noise_multiplier")],
)  # fmt: skip
def test_what_the_policy_does_not_allow_is_named_and_stops_every_step(
    hospital, run: Run, file: Path, change: dict[str, Any], clause: str
) -> None:
    hospital.write_policy(**change)
    before = head(hospital)
    for command in (["forecast"], ["rehearse"], ["approve", "--reason", "x", "--yes"]):
        code, _, line = run(*command, str(file))
        assert code == 2
        assert line.startswith(f"{clause}: ")
        assert line.count("\n") == 1
    assert head(hospital) == before


def test_a_rehearsal_computes_a_round_and_leaves_no_trace(hospital, run: Run, file: Path) -> None:
    before = {path: path.read_bytes() for path in hospital.folder.rglob("*") if path.is_file()}
    code, said, _ = run("rehearse", str(file))
    assert code == 0
    assert said["ledger_unchanged"] is True
    assert 0 < said["patients"] < 40
    assert said["epsilon_of_round"] == compose_epsilon([PrivacyEvent(hospital.terms.noise_multiplier)], 1e-5)
    after = {path: path.read_bytes() for path in hospital.folder.rglob("*") if path.is_file()}
    assert {p: b for p, b in after.items() if "-wal" not in p.name and "-shm" not in p.name} == before


def test_a_rehearsal_says_what_an_agent_would_hide(hospital, run: Run, file: Path) -> None:
    (hospital.folder / "messages.csv").unlink()
    code, _, line = run("rehearse", str(file))
    assert code == 2
    assert "no file" in line


def test_an_approval_is_recorded_with_person_and_reason_and_the_agent_then_answers(
    hospital, run: Run, file: Path
) -> None:
    assert hospital.clause() == "approval"
    hospital.stop()
    code, said, _ = run(
        "approve",
        str(file),
        "--reason",
        "reviewed on Monday",
        "--person",
        "officer",
        "--yes",
        "--last-entry",
        "1",
    )
    assert (code, said["decision"], said["person"]) == (0, "approved", "officer")
    assert {clause["clause"] for clause in said["answered_for"]} == {
        "hospital", "min_patients", "max_delta_times_patients", "max_patients",
    }  # fmt: skip
    assert hospital.released().release.round == 1
    (entry,) = hospital.entries("approved")
    assert entry.fields["reason"] == "reviewed on Monday"
    assert entry.fields["terms"] == hospital.terms.fingerprint
    assert entry.hash == said["head"]


@pytest.mark.parametrize(("change", "clause"), [({"min_patients": 1000}, "min_patients")])
def test_too_few_patients_cannot_be_approved(
    hospital, run: Run, tmp_path: Path, terms_with, change: dict[str, Any], clause: str
) -> None:
    hospital.write_policy(**change)
    terms = terms_with(privacy={"delta": change.get("delta", 1e-5)})
    save_terms(sign_terms(terms, hospital.operator), tmp_path / "other.terms")
    before = head(hospital)
    code, _, line = run("approve", str(tmp_path / "other.terms"), "--reason", "x", "--yes")
    assert code == 2
    assert line.startswith(f"{clause}: ")
    assert "nothing was recorded" in line
    assert head(hospital) == before


def test_a_study_that_does_not_name_this_hospital_cannot_be_approved(
    hospital, run: Run, tmp_path: Path, terms_with
):
    terms = terms_with(training={"public_patients": {"south": 40}})
    save_terms(sign_terms(terms, hospital.operator), tmp_path / "other.terms")
    code, _, line = run("approve", str(tmp_path / "other.terms"), "--reason", "x", "--yes")
    assert code == 2
    assert line.startswith("hospital: ")


@pytest.mark.parametrize(("typed", "code"), [("tea\n", 0), ("yes\n", 2), ("", 2)])
def test_a_person_at_the_terminal_answers_by_the_studys_name(
    hospital, run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return typed

    monkeypatch.setattr("sys.stdin", Terminal())
    before = head(hospital)
    assert run("approve", str(file), "--reason", "x", plain=True)[0] == code
    assert (head(hospital) != before) == (code == 0)


def test_nobody_at_the_terminal_approves_nothing(hospital, run: Run, file: Path) -> None:
    code, _, line = run("approve", str(file), "--reason", "x")
    assert code == 2
    assert "--yes" in line


def test_a_decline_after_an_approval_stops_the_study(hospital, run: Run, file: Path) -> None:
    assert run("approve", str(file), "--reason", "x", "--yes", "--last-entry", "1")[0] == 0
    assert hospital.released().release.round == 1
    hospital.stop()
    code, said, _ = run("decline", "tea", "--reason", "second thoughts")
    assert (code, said["decision"]) == (0, "declined")
    assert hospital.clause(2) == "approval"


def test_terms_that_arrived_with_a_plan_are_pending_and_can_be_named(hospital, run: Run) -> None:
    assert hospital.clause() == "approval"
    (row,) = run("studies")[1]
    assert (row["study"], row["decision"], row["operator"], row["rounds_charged"]) == (
        "tea",
        "pending",
        "consortium",
        0,
    )
    assert run("status")[1]["pending"] == ["tea"]
    assert run("forecast", row["terms"][:8])[0] == 0
    assert run("forecast", "coffee")[0] == 2


def test_an_empty_word_names_no_study_nor_do_a_few_digits(hospital, run: Run, file: Path) -> None:
    """``approve "$STUDY" --yes`` with a variable that is not set approved the one study that was known."""
    keep_pending(hospital.folder / "terms", sign_terms(hospital.terms, hospital.operator))
    print_ = hospital.terms.fingerprint
    for name in ("", print_[:1], print_[:7], "a" * 5000):
        code, _, said = run("approve", name, "--reason", "r", "--yes", "--last-entry", "1", plain=True)
        assert (code, "no such study (known studies: tea)" in said) == (2, True)
    assert run("approve", print_[:8].upper(), "--reason", "r", "--yes", "--last-entry", "1")[0] == 0


def test_one_study_in_two_files_is_one(hospital, run: Run, file: Path) -> None:
    """A person puts the operator's file into terms/ (after a loss, say), and the plan brings the same terms."""
    (hospital.folder / "terms").mkdir()
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "terms/spring.terms")
    keep_pending(hospital.folder / "terms", sign_terms(hospital.terms, hospital.operator))
    assert run("forecast", "tea")[0] == 0


def test_status_counts_what_the_ledger_holds_and_says_which_round_is_next(
    hospital, run: Run, file: Path
) -> None:
    assert run("status")[1]["next"] == []
    assert run("approve", str(file), "--reason", "x", "--yes", "--last-entry", "1")[0] == 0
    for number in (1, 2, 3):
        hospital.released(number)
    hospital.stop()
    said = run("status")[1]
    spent = compose_epsilon([PrivacyEvent(hospital.terms.noise_multiplier, 1.0, 3)], 1e-5)
    rows = {(row["account"], row["scope"]): row for row in said["budget"]}
    assert rows["training", "for life"] == {
        "account": "training",
        "scope": "for life",
        "spent": spent,
        "cap": 5.0,
        "unmasked": spent,
    }
    assert rows["training", "operator consortium"]["cap"] == 3.0
    assert rows["training", "study tea"]["cap"] == 1.0
    assert [row["next"] for row in said["next"]] == ["round 4 of 12"]
    assert [(entry["kind"], entry.get("round")) for entry in said["last"][-2:]] == [
        ("charged", 3),
        ("released", None),
    ]
    hospital.write_policy(max_epsilon_for_life=spent * 1.01)
    assert run("status")[1]["next"][0]["next"].startswith("none: max_epsilon_for_life would be ")
    text = run("status", plain=True)[1]
    assert "###" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_repeat_costs_nothing_in_status(hospital, run: Run, approved) -> None:
    hospital.released()
    before = run("status")[1]["budget"]
    hospital.released()
    assert run("status")[1]["budget"] == before


def test_operators_are_rotated_and_revoked_by_the_ledger(hospital, run: Run) -> None:
    new = new_key().public
    assert run("operators", "list")[1][0]["in_use"] is True
    code, said, _ = run("operators", "rotate", hospital.operator.public, new, "--reason", "lost laptop")
    assert (code, said["kind"]) == (0, "rotated")
    (row,) = run("operators", "list")[1]
    assert (row["in_use"], row["revoked"], row["successor"]) == (False, False, new)
    newest = new_key().public
    assert run("operators", "rotate", new, newest, "--reason", "and again")[0] == 0
    (row,) = run("operators", "list")[1]
    assert row["successor"] == newest
    shown = run("operators", "list", plain=True)[1].splitlines()
    assert f"consortium: its key in use is {key_fingerprint(newest)}" in shown
    assert run("operators", "revoke", newest, "--reason", "left the consortium")[0] == 0
    (row,) = run("operators", "list")[1]
    assert (row["in_use"], row["revoked"], row["successor"]) == (False, True, None)
    assert hospital.clause() == "operators"


def test_a_ledger_is_shown_exported_and_verified_away_from_home(
    hospital, run: Run, approved, tmp_path: Path, capsys
) -> None:
    hospital.released()
    shown = run("ledger", "show")[1]
    assert [entry["kind"] for entry in shown] == ["note", "approved", "known_by", "charged", "released"]
    out = tmp_path / "ledger.jsonl"
    exported = run("ledger", "export", str(out))[1]
    assert exported["entries"] == 5
    public = str(hospital.folder / "keys/hospital.key.pub")
    away = [
        "ledger",
        "verify",
        str(out),
        "--key",
        public,
        "--head",
        exported["head"],
        "--json",
        "--home",
        "/nowhere",
    ]
    assert main(away) == 0
    assert json.loads(capsys.readouterr().out)["after_held"] == 0
    assert run("ledger", "verify")[1]["head"] == exported["head"]
    assert run("ledger", "export", str(out))[0] == 2  # never overwrites
    content = bytearray(out.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(content)
    assert main(away) == 2


def test_every_table_fits_80_columns_without_colour(hospital, run: Run, file: Path) -> None:
    assert run("approve", str(file), "--reason", "x", "--yes", "--last-entry", "1")[0] == 0
    hospital.released()
    for command in (["forecast", "tea"], ["rehearse", "tea"], ["studies"], ["status"], ["gate"], ["operators", "list"],
                    ["ledger", "show"], ["ledger", "verify"]):  # fmt: skip
        code, text, line = run(*command, plain=True)
        assert (code, line) == (0, ""), command
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80, command


def test_a_policy_is_shown_and_published_only_where_a_person_says_so(hospital, tmp_path, capsys):
    path = tmp_path / "north.policy"
    hospital.write_policy(contracts=[hospital.terms.contract.fingerprint])
    assert main(["policy", "--home", str(hospital.folder)]) == 0
    shown = capsys.readouterr().out
    assert "max_rounds" in shown
    assert "(notermshere)" in "".join(shown.split())  # folded by the table
    keep_pending(hospital.folder / "terms", sign_terms(hospital.terms, hospital.operator))
    assert main(["policy", "--home", str(hospital.folder)]) == 0
    assert "(small1)" in "".join(capsys.readouterr().out.split())
    assert not path.exists()
    assert main(["policy", "--home", str(hospital.folder), "--publish", str(path), "--json"]) == 0
    published = load_policy(path)
    assert published.hospital == "north"
    assert published.signing_key == hospital.key.public
    assert f'"max_rounds": "{published.limits.max_rounds}"' in capsys.readouterr().out
    assert main(["policy", "--home", str(hospital.folder), "--publish", str(path)]) == 2


def test_status_tells_which_rounds_were_noise_alone_since_when_and_why(approved, run: Run) -> None:
    approved.released(1)
    assert run("status")[1]["noise_alone"] == []
    (approved.folder / "messages.csv").unlink()
    approved.released(2)
    approved.stop()
    (one,) = run("status")[1]["noise_alone"]
    assert (one["study"], one["account"], one["first_round"], one["last_round"]) == ("tea", "training", 2, 2)
    assert one["fault"].startswith("messages: no file")
    said = " ".join(run("status", plain=True)[1].split())
    assert "NOISE ALONE: tea, training patients, round 2: noise alone was sent, and charged, since " in said
