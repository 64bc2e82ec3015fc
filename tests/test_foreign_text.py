"""What others wrote has one way in and one way to a person's eyes; no file has a way of its own (rule 11)."""

import logging
import re

import pytest

import wardround.client.commands.terminal
import wardround.protocol.text.log
import wardround.protocol.text.say
import wardround.simulations.report.terminal
from tests.builders import ROOT
from wardround.protocol.text.text import visible

ROOMS = ("api", "protocol", "client", "server", "conf", "deploy", "pages", "simulations")


def lines_with(pattern: str) -> dict[str, list[str]]:
    """Give the lines of our code in which a pattern stands, by file."""
    found: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            lines = [line.strip() for line in path.read_text().splitlines() if re.search(pattern, line)]
            if lines:
                found[str(path.relative_to(ROOT))] = lines
    return found


def test_json_and_yaml_are_read_in_one_place() -> None:
    readers = (
        r"json\.loads?\(|JSONDecoder|msgspec|orjson"
        r"|yaml\.(safe_|full_|unsafe_)?(load|parse|compose|scan)|yaml\.\w*Loader"
    )
    allowed = {
        "protocol/text/plain.py",
        # A hospital's own export, a million lines of it: each is bounded, its numbers stay text, and a fault in one is
        # one damaged row (tests/client/connectors/test_fhir.py and test_fhir_json.py).
        "client/connectors/fhir_json.py",
        # These two run in the rivals' own environment, on numbers that the benchmark wrote a second before.
        "simulations/bench/flower_opacus.py",
        "simulations/bench/pfl_users.py",
        # A program for 0.1.0's own process, which has no readers of ours; it reads what we wrote a second before.
        "simulations/methods/release_0_1_0.py",
    }
    assert set(lines_with(readers)) == allowed


@pytest.mark.parametrize(
    "pattern", [r"(import|from) pickle", r"allow_pickle=True", r"\bmarshal\b", r"\beval\(", r"\bexec\("]
)
def test_nothing_that_runs_is_read(pattern: str) -> None:
    found = lines_with(pattern)
    code = {
        path: [line for line in lines if "allow_pickle=False" not in line] for path, lines in found.items()
    }
    assert {path: lines for path, lines in code.items() if lines} == {}


def test_one_function_prints() -> None:
    """Each sink makes visible what it writes; any other way to a terminal or a log would not."""
    writers = (
        r"(?<![\w.])print\(|std(out|err)\.(write|buffer)|print_exc|writelines|Console\("
        r"|(?<!Line)(?<!set)Formatter\(|basicConfig|input\("
    )
    assert {path: len(lines) for path, lines in lines_with(writers).items()} == {
        "api/__init__.py": 2,  # a user's program, in the docstring
        "client/commands/terminal.py": 1,
        "protocol/errors.py": 1,  # a user's program too
        "protocol/text/log.py": 1,
        "protocol/text/say.py": 5,
        "simulations/methods/release_0_1_0.py": 1,  # within 0.1.0's own process, to a pipe
        "simulations/report/terminal.py": 1,
    }
    assert set(lines_with(r"StreamHandler|FileHandler|lastResort")) == set()
    assert set(lines_with(r"write_log_line|LogHandler\(")) == {
        "client/main.py",
        "protocol/text/log.py",
        "protocol/text/say.py",
    }
    assert set(lines_with(r"\.print\(")) == {
        "client/commands/terminal.py",
        "simulations/report/table.py",
        "simulations/report/terminal.py",
    }
    assert "LineFormatter" in (ROOT / "conf/hydra/hydra_logging/wardround.yaml").read_text()


def reported(text: str, style: str) -> None:
    with wardround.protocol.text.log.log_as(style):
        wardround.protocol.text.log.report(text)


@pytest.mark.parametrize(
    "text", ["x\x1b[8m", "a\u202eb", "a\nINFO released", "a\x9b2J", "[bold]x[/bold] [link=y]", "\x07"]
)
def test_the_sinks_show_what_they_are_given(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown, sinks = visible(text), 0
    for write in (
        lambda: wardround.protocol.text.say.say(text),
        lambda: wardround.protocol.text.say.complain(text),
        lambda: wardround.protocol.text.say.prompt(text),
        lambda: wardround.client.commands.terminal.say(text),
        lambda: wardround.client.commands.terminal.table(text, ("a",), [(text,)]),
        lambda: wardround.simulations.report.terminal.show(text),
        lambda: wardround.protocol.text.say.show_fault(ValueError, ValueError(text), None),
        lambda: reported(text, "plain"),
        lambda: reported(text, "text"),
    ):
        write()
        out, err = capsys.readouterr()
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out + err)  # a table's own bold
        assert shown in plain
        assert all(line.isprintable() for line in plain.split("\n"))
        sinks += 1
    assert sinks == 9


def test_a_log_record_is_one_line_whatever_its_arguments_hold() -> None:
    record = logging.LogRecord(
        "wardround", 20, "x", 1, "study %s", ("x\n2026-11-28 INFO released\x1b[2J",), None
    )
    assert (
        wardround.protocol.text.say.LineFormatter("%(message)s").format(record)
        == r"study x\n2026-11-28 INFO released\x1b[2J"
    )


def test_pages_escape_markup() -> None:
    """Every page's environment escapes by itself; ``test_what_an_operator_names_cannot_become_markup`` looks."""
    assert set(lines_with(r"(?<!\w)Environment\(")) == set(lines_with("autoescape=True"))
    assert not lines_with(r"autoescape=(?!True)|select_autoescape")
