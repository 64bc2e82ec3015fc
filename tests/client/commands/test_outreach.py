"""``outreach begin`` and ``check`` on the command line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.client.outreach.content.modules import module_text, write_folder
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
