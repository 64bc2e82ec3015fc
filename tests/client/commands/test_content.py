"""``content`` on the command line: every fault at once, exit code 2; decisions by named people, and what they mean."""

import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.client.outreach.content.modules import SPANISH, module_text, write_folder, write_people
from wardround.client.home.terms_folder import keep_pending
from wardround.client.main import main
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.wire.signed_terms import sign_terms

Run = Callable[..., Any]


@pytest.fixture
def run(hospital, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command; give its exit code, its JSON (or text) and its line on standard error."""

    def command(*arguments: object, plain: bool = False) -> tuple[int, Any, str]:
        code = main(
            ["content", *map(str, arguments), "--home", str(hospital.folder), *([] if plain else ["--json"])]
        )
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    return command


def test_what_begin_writes_has_no_fault(hospital, run: Run) -> None:
    code, said, _ = run("begin")
    assert code == 0
    assert [path.rpartition("/")[2] for path in said["written"]] == [
        "guidelines.yaml",
        "visit-reminder.en.txt",
    ]
    assert run("check")[0] == 0
    code, _, error = run("begin")
    assert code == 2
    assert "nothing was overwritten" in error


def test_all_faults_of_a_folder_are_told_at_once(hospital, run: Run) -> None:
    folder = write_folder(hospital.folder / "content", module_text(channel="sms", topic="oncology"))
    (folder / "broken.en.txt").write_text("id: [")
    code, said, error = run("check")
    assert code == 2
    assert len(said["faults"]) == 2
    assert "2 faults" in error
    code, text, _ = run("check", plain=True)
    assert text.count("FAULT: ") == 2


def test_the_contract_of_the_homes_studies_gives_the_words(hospital, run: Run) -> None:
    write_folder(hospital.folder / "content", module_text(topic="visits"))
    code, said, _ = run("check")
    assert (code, said["contract"], said["modules"][0]["not_checked"]) == (0, None, ["the contract's words"])
    keep_pending(hospital.folder / "terms", sign_terms(hospital.terms, hospital.operator))
    code, said, _ = run("check")
    assert (code, said["contract"]) == (2, hospital.terms.contract.name)
    assert "topic=visits" in said["faults"][0]


def test_a_folder_is_checked_without_a_home(hospital, run: Run, tmp_path) -> None:
    folder = write_folder(tmp_path / "draft", module_text())
    contract = tmp_path / "contract.yaml"
    contract.write_text(
        yaml.safe_dump(contract_from_mapping(hospital.terms.contract.to_mapping()).to_mapping())
    )
    shutil.rmtree(hospital.folder)
    assert run("check", folder)[0] == 0
    assert run("check", folder, "--contract", contract)[1]["contract"] == hospital.terms.contract.name
    assert run("check")[0] == 2
    assert "--contract" in run("check", folder, "--terms", "tea")[2]


def test_hostile_files_move_no_terminal(hospital, run: Run) -> None:
    folder = write_folder(hospital.folder / "content", module_text(topic="x<b>"))
    (folder / "a\x1b[2J\u202e.txt").write_text("id: '\x1b[8m'")
    (folder / "b.txt").write_text(module_text(id="\\e[2J", author='"\\e[31m"', channel="[bold]x[/bold]"))
    code, text, error = run("check", plain=True)
    assert code == 2
    assert all(line.isprintable() for line in (text + error).split("\n"))


GRACE = ("--person", "Grace Hopper", "--reason", "plain and kind")


@pytest.fixture
def content(hospital) -> Path:
    """Two modules that nobody approved, valid now."""
    write_people(hospital.folder)
    head = {"valid_from": "2026-01-01", "valid_until": "2990-12-31"}
    return write_folder(hospital.folder / "content", module_text(**head), module_text(**head, **SPANISH))


def states(run: Run) -> dict[str, str]:
    return {one["module"]: one["today"] for one in run("list")[1]["modules"]}


def test_a_module_is_approved_and_retired_by_named_people(content: Path, run: Run) -> None:
    assert set(states(run).values()) == {"waits for approval"}
    code, said, _ = run("approve", "visit.en", "--yes", *GRACE)
    assert (code, said["may_be_sent"], said["decision"]["person"]) == (0, True, "Grace Hopper")
    assert states(run) == {"visit.en": "approved", "visit.es": "waits for approval"}
    assert run("retire", "visit.en", "--person", "Ann", "--reason", "a complaint")[0] == 0
    assert states(run)["visit.en"] == "retired"
    (content / "visit.en.txt").unlink()
    assert run("list")[1]["gone"] == ["visit.en"]
    assert "its file is gone" in run("list", plain=True)[1]


def test_a_folder_that_cannot_be_read_keeps_nobody_from_retiring(content: Path, run: Run) -> None:
    run("approve", "visit.en", "--yes", *GRACE)
    guidelines = (content / "guidelines.yaml").read_bytes()
    (content / "guidelines.yaml").write_text("languages: [")
    assert run("list")[0] == 2
    assert run("retire", "visit.en", "--reason", "a complaint")[0] == 0
    (content / "guidelines.yaml").write_bytes(guidelines)
    assert states(run)["visit.en"] == "retired"


def test_a_person_types_the_modules_name_for_a_yes(
    content: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert run("approve", "visit.en", *GRACE)[0] == 2
    monkeypatch.setattr("sys.stdin", Terminal("visit.en\n"))
    assert run("approve", "visit.en", *GRACE)[0] == 0
    assert states(run)["visit.en"] == "approved"


def test_a_changed_file_waits_again(content: Path, run: Run) -> None:
    run("approve", "visit.en", "--yes", *GRACE)
    path = content / "visit.en.txt"
    path.write_text(path.read_text().replace("see you then", "see you there"))
    assert states(run)["visit.en"] == "changed since it was approved"


def test_a_translation_waits_for_its_original(content: Path, run: Run) -> None:
    code, text, _ = run("approve", "visit.es", "--yes", *GRACE, plain=True)
    assert code == 0
    assert "may not be sent yet: its original is not approved" in text
    assert states(run)["visit.es"] == "its original is not approved"
    run("approve", "visit.en", "--yes", *GRACE)
    assert states(run)["visit.es"] == "approved"


def test_nobody_at_the_terminal_approves_nothing(content: Path, run: Run) -> None:
    code, text, error = run("approve", "visit.en", *GRACE, plain=True)
    assert code == 2
    assert "nobody is at the terminal" in error
    assert "you have a visit on {date}: see you then." in text  # what would have been signed was shown
    assert "the contract's words" in text  # and what no rule looked at
    assert run("approve", "visit.en", "--yes", "--person", "Ada Byron", "--reason", "x")[0] == 2
    assert run("approve", "visit.en", "--yes", "--until", "soon", *GRACE)[0] == 2
    assert set(states(run).values()) == {"waits for approval"}


def told(hospital, capsys: pytest.CaptureFixture[str], command: str) -> list[str]:
    """What doctor or status says of modules that a person must look at."""
    main([command, "--home", str(hospital.folder), "--json"])
    said = json.loads(capsys.readouterr().out)
    if command == "status":
        return list(said["content"])
    return [one["text"] for one in said if one["topic"] == "content" and one["state"] != "ok"]


@pytest.mark.parametrize("command", ["doctor", "status"])
def test_doctor_and_status_tell_of_approvals_that_end_or_hold_no_longer(
    command: str, content: Path, hospital, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(hospital, capsys, command) == []
    run("approve", "visit.en", "--yes", *GRACE)
    assert told(hospital, capsys, command) == []
    soon = (datetime.now(UTC) + timedelta(days=7)).date()
    run("approve", "visit.en", "--yes", *GRACE, "--until", soon)
    assert told(hospital, capsys, command) == [f"visit.en: its approval ends on {soon}"]
    path = content / "visit.en.txt"
    path.write_text(path.read_text().replace("see you then", "see you there"))
    changed = "visit.en: was approved, and may not be sent any more (changed since it was approved)"
    assert told(hospital, capsys, command) == [changed]
    path.unlink()
    assert "its file is gone" in told(hospital, capsys, command)[-1]
    run("retire", "visit.en", "--person", "Ann", "--reason", "a complaint")
    assert not any("visit.en" in line for line in told(hospital, capsys, command))


def test_an_altered_log_approves_nothing(content: Path, hospital, run: Run) -> None:
    run("approve", "visit.en", "--yes", *GRACE)
    log = hospital.folder / "approvals/content.log"
    log.write_bytes(log.read_bytes().replace(b"kind", b"mean", 1))
    code, _, error = run("list")
    assert code == 2
    assert "was altered" in error


GENERATOR = """
import json, sys
given = json.load(sys.stdin)
core = given["module"]["parts"]["core"]
variants = [{"parts": {"core": core + " Reply STOP to stop."}}, {"parts": {"core": core + " Act now, or STOP!"}}]
json.dump({"variants": variants}, sys.stdout)
"""


def test_a_draft_is_never_sent_before_somebody_else_approved_it(content: Path, run: Run, tmp_path) -> None:
    program = tmp_path / "generator"
    program.write_text(f"#!{sys.executable} -I\n{GENERATOR}")
    program.chmod(0o755)
    code, said, _ = run("draft", "visit.en", "--with", program, "--person", "Grace Hopper")
    assert code == 0
    assert [Path(path).name for path in said["drafts"]] == ["visit-v1.en.txt", "visit-v2.en.txt"]
    assert len(said["faults"]) == 1  # of the second, which says act now
    assert set(states(run)) == {"visit.en", "visit.es"}
    assert run("approve", "visit-v1.en", "--yes", *GRACE)[0] == 2  # a draft is no module
    (content / "drafts/visit-v1.en.txt").rename(content / "visit-v1.en.txt")
    assert states(run)["visit-v1.en"] == "waits for approval"
    assert run("approve", "visit-v1.en", "--yes", *GRACE)[0] == 2  # who asked for it is its author
    assert run("approve", "visit-v1.en", "--yes", "--person", "Ida Rhodes", "--reason", "kind")[0] == 0
    assert states(run)["visit-v1.en"] == "approved"


def test_a_draft_that_cannot_be_leaves_nothing(content: Path, run: Run) -> None:
    assert run("draft", "visit.en", "--with", "/bin/false", *GRACE[:2])[0] == 2
    assert run("draft", "visit.en", "--with", "true", *GRACE[:2])[0] == 2
    assert run("draft", "visit.en", "--with", "true", "--count", "0", *GRACE[:2])[0] == 2
    assert run("draft", "visit.en", "--with", "true", "--seconds", "601", *GRACE[:2])[0] == 2
    assert run("draft", "visit.en", "--with", "no-such-program", *GRACE[:2])[0] == 2
    code, _, error = run("draft", "visit.en", "--with", "cat", "--person", "Nobody Known")
    assert code == 2
    assert "people.yaml" in error
    assert not (content / "drafts").exists()
