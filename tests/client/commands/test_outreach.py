"""``outreach begin`` and ``check`` on the command line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.client.outreach.content.modules import module_text, write_folder, write_people
from wardround.client.main import main

Run = Callable[..., Any]


@pytest.fixture
def run(hospital, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command; give its exit code, its JSON (or text) and its line on standard error."""

    def command(*arguments: object, plain: bool = False) -> tuple[int, Any, str]:
        words = ["outreach", *map(str, arguments), "--home", str(hospital.folder)]
        code = main(words if plain else [*words, "--json"])
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    return command


def test_what_begin_writes_has_no_fault_and_proposes_nothing(hospital, run: Run) -> None:
    assert run("check")[0] == 2
    assert run("begin")[0] == 0
    assert run("check") == (0, {"triggers": [], "faults": []}, "")
    assert "No trigger is declared" in run("check", plain=True)[1]
    code, _, error = run("begin")
    assert code == 2
    assert "nothing was overwritten" in error


def test_a_table_or_module_that_is_not_there_is_a_fault(hospital, run: Run) -> None:
    run("begin")
    path = hospital.folder / "outreach.yaml"
    trigger = {"when": "booked", "topic": "visits", "days": [1, 7], "standard": ["visit", "visti"]}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "triggers": {"visit": trigger}}))
    write_folder(hospital.folder / "content", module_text())
    code, said, error = run("check")
    assert code == 2
    assert "3 faults" in error
    assert [fault.partition(": ")[2] for fault in said["faults"]] == [
        "reads appointments, which hospital.yaml does not name (tables.appointments)",
        "visit.en: is about screening, and the trigger about visits",
        "visti: there is no such module; did you mean visit? see content list",
    ]


@pytest.fixture
def due(hospital, run: Run) -> Any:
    """A simulated hospital with one approved module, and three patients who booked."""
    hospital.become_simulated(7)
    head = {"valid_from": "2024-01-01", "valid_until": "2990-12-31"}
    write_people(hospital.folder)
    write_folder(hospital.folder / "content", module_text(**head))
    path = hospital.folder / "hospital.yaml"
    plain = yaml.safe_load(path.read_text())
    booked = "".join(f"patient-{n},2024-06-03 10:00,booked\n" for n in range(3))
    rows = {
        "appointments": f"patient,starts_at,status\n{booked}",
        "addresses": "patient,channel,address,since\npatient-0,sms,555 0100 000,2024-01-01\n",
    }
    for name, text in rows.items():
        (hospital.folder / f"{name}.csv").write_text(text)
        plain["tables"][name] = {"path": f"{name}.csv"}
    path.write_text(yaml.safe_dump(plain))
    consents = hospital.folder / "consents.csv"
    consents.write_text(consents.read_text() + "patient-0,purpose,outreach_contact,2023-01-01,,\n")
    run("begin")
    path = hospital.folder / "outreach.yaml"
    trigger = {"when": "booked", "topic": "screening", "days": [1, 7], "standard": ["visit"]}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "triggers": {"visit": trigger}}))
    return hospital


def approve(hospital) -> None:
    words = ["content", "approve", "visit.en", "--yes", "--person", "Grace Hopper", "--reason", "kind"]
    assert main([*words, "--home", str(hospital.folder)]) == 0


def test_propose_says_who_is_due_and_by_which_rule_others_are_held(due, run: Run, capsys) -> None:
    assert run("propose")[1]["by_trigger"]["visit"] == {"due": 3, "proposed": 0, "standard": 0} | {
        "held: contact": 2,
        "held: content": 1,
    }
    approve(due)
    capsys.readouterr()
    code, said, _ = run("propose")
    assert code == 0
    assert said["by_trigger"]["visit"]["proposed"] == 1
    text = run("propose", plain=True)[1]
    assert "contact 2" in text
    assert "Nothing was sent" in text
    assert "patient-" not in text
    assert run("propose", "--as-of", "2024-06-03T12:00")[1]["void"] == {"its time passed": 1}
    assert "must be a date and time" in run("propose", "--as-of", "soon")[2]


def test_a_real_homes_clock_is_the_machines(hospital, run: Run) -> None:
    assert "only for a simulated home" in run("propose", "--as-of", "2024-06-03T12:00")[2]


def test_a_visitors_question_leaves_nothing_behind(due, run: Run, capsys) -> None:
    approve(due)
    capsys.readouterr()
    held = run("context", "--topic", "screening", "--channel", "sms")[1]
    assert (held["module"], held["rule"]) == (None, "content")  # it greets by name
    path = due.folder / "content/visit.en.txt"
    path.write_text(
        module_text(
            valid_from="2024-01-01", valid_until="2990-12-31", parts={"core": "Come by. Reply STOP to end."}
        )
    )
    approve(due)
    capsys.readouterr()

    def left() -> dict[str, int]:
        # SQLite makes and removes files of its own around a ledger that is read.
        files = (one for one in due.folder.rglob("*") if one.is_file() and "ledger" not in one.name)
        return {str(one): one.stat().st_mtime_ns for one in files}

    before = left()
    code, shown, _ = run("context", "--topic", "screening", "--channel", "sms")
    assert (code, shown["module"], shown["text"]) == (0, "visit.en", "Come by. Reply STOP to end.")
    assert "Come by." in run("context", "--topic", "Screening", "--channel", "sms", plain=True)[1]
    assert left() == before
