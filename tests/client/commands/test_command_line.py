"""The hospital's command line: one line per error, exit codes, a quick --help, and no text of others."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from tests.builders import ROOT
from wardround.client import main as door
from wardround.client.commands.arguments import COMMANDS
from wardround.protocol.errors import TableError


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from wardround.client.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'polars', 'numpy', 'flwr', 'rich'} & set(sys.modules)\n"
        "sys.exit(1 if heavy or code else 0)"
    )
    started = time.process_time()
    ran = subprocess.run([sys.executable, "-P", "-c", program], cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
                         capture_output=True, text=True, timeout=60)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert all(f"\n    {command.name}" in ran.stdout for command in COMMANDS)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("docter",), "docter: unknown command; did you mean doctor?"),
        (("approve", "x"), "approve: give --reason TEXT"),
        (("forecast",), "the following arguments are required: TERMS"),
        (("ledger", "show", "--last", "all"), "--last: all: must be a whole number"),
        (("status", "--home", "a", "--home", "b"), "--home: is given twice"),
        (("doctor", "--jsn"), "--jsn: unknown flag; did you mean --json? allowed: --help, --home, --json"),
        (("status", "--home", "/nowhere"), "run init first"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert line in printed.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (TableError("messages: column age\nis missing"), 2, "messages: column age\\nis missing\n"),
        (ValueError("could not parse 'SECRET'"), 1, "fault: ValueError at "),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_the_text_of_other_peoples_errors_is_never_shown(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(options: object) -> None:
        raise error

    monkeypatch.setattr(door, "import_module", lambda name: SimpleNamespace(run=run))
    assert door.main(["status"]) == code
    printed = capsys.readouterr().err
    assert printed.startswith(said)
    assert printed.count("\n") == 1
    assert "SECRET" not in printed


def test_options_stand_before_and_after_an_inner_word(hospital, capsys) -> None:
    for arguments in (
        ["ledger", "show", "--home", str(hospital.folder), "--json"],
        ["ledger", "--home", str(hospital.folder), "--json", "show"],
    ):
        assert door.main(arguments) == 0
        assert '"ledger_begun"' in capsys.readouterr().out
