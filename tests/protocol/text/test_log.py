"""A line of the log parses back into what was written, whatever others wrote; in JSON each line is one object."""

import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text import log
from wardround.protocol.text.log import FACTS, JSON, PLAIN, TEXT, LogHandler, log_as, log_style, report
from wardround.protocol.text.text import visible

HOSTILE = (
    "a\n2026-11-28T00:00:00.000Z INFO released",
    "x level=ERROR",
    'a "b" c=1',
    "\x1b[2J",
    "a\u202eb",
    "",
    "\\",
    "\ud800",
    " round=7",
)
_PAIR = re.compile(r' (?P<key>[a-z_]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^ "=]+)')


def parsed(line: str) -> tuple[datetime, str, str, dict[str, str]]:
    """Read a line of text back: time, level, message, and keys with values."""
    time, level, rest = line.split(" ", 2)
    if rest.startswith('"'):
        message, end = json.JSONDecoder().raw_decode(rest)
    else:
        end = next((found.start() for found in [re.search(r" [a-z_]+=", rest)] if found), len(rest))
        message = rest[:end]
    pairs = {}
    while end < len(rest):
        found = _PAIR.match(rest, end)
        assert found is not None, rest
        value, end = found["value"], found.end()
        pairs[found["key"]] = json.loads(value) if value.startswith('"') else value
    return datetime.fromisoformat(time), level, message, pairs


def written(style: str, capsys: pytest.CaptureFixture[str], line: str, **facts: object) -> str:
    """Report one line, and give what was written of it."""
    with log_as(style):
        report(line, logging.WARNING, **facts)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.removesuffix("\n")


def test_a_line_has_time_level_message_and_what_it_is_about(capsys) -> None:
    line = written(TEXT, capsys, "round 3: 2 of 3 hospitals", round=3, accepted=["north", "west"], used=True)
    assert re.fullmatch(
        r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ WARNING round 3: 2 of 3 hospitals "
        r"round=3 accepted=north,west used=true",
        line,
    )
    assert abs(parsed(line)[0] - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("other", HOSTILE)
def test_a_line_parses_back_whatever_others_wrote(capsys, text: str, other: str) -> None:
    line = written(TEXT, capsys, text, hospital=other, round=3)
    assert line.isprintable()
    _, level, message, pairs = parsed(line)
    assert (level, message, pairs) == (
        "WARNING",
        visible(text),
        {"hospital": visible(other), "round": "3"},
    )


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_line_parses_back(text: str, other: str) -> None:
    line = log._written(TEXT, datetime.now(UTC), "INFO", text, {"study": other})
    assert line.isprintable()
    assert parsed(line)[2:] == (visible(text), {"study": visible(other)})


@pytest.mark.parametrize("text", HOSTILE)
def test_each_line_of_json_is_one_object_with_its_facts(capsys, text: str) -> None:
    facts = {"rejected": {text: text}, "accepted": [text], "seconds": 1.5, "at": None, "big": float("nan")}
    line = written(JSON, capsys, text, **facts)
    assert line.isascii()
    assert line.isprintable()
    plain, shown = json.loads(line), visible(text)
    assert datetime.fromisoformat(plain.pop("time")).tzinfo is not None
    assert plain == {
        "level": "WARNING",
        "message": shown,
        "rejected": {shown: shown},
        "accepted": [shown],
        "seconds": 1.5,
        "at": None,
        "big": "nan",
    }


def test_a_fact_cannot_change_time_level_or_message(capsys) -> None:
    plain = json.loads(written(JSON, capsys, "a", time="never", message="b"))
    assert (plain["message"], plain["time"] != "never") == ("a", True)


def test_a_very_long_message_is_cut_and_stays_json(capsys) -> None:
    assert len(json.loads(written(JSON, capsys, '"' * 10**6))["message"]) == 4000


def test_at_a_terminal_a_person_sees_the_line_alone(capsys) -> None:
    assert written(PLAIN, capsys, "round 3", round=3) == "round 3"


def test_a_record_of_logging_is_such_a_line_with_its_facts_and_its_traceback_joined(capsys) -> None:
    logger = logging.Logger("of this test")
    for style in (PLAIN, TEXT, JSON):
        logger.handlers = [LogHandler(style)]
        try:
            raise ValueError("x\n\x1b[2J")
        except ValueError:
            logger.exception("study %s failed", "a\nb", extra={FACTS: {"study": "tea"}})
    plain, text, machine = capsys.readouterr().err.splitlines()
    assert parsed(plain)[1:] == parsed(text)[1:]
    assert parsed(text)[1] == "ERROR"
    assert parsed(text)[3] == {"study": "tea"}
    assert json.loads(machine)["study"] == "tea"
    assert json.loads(machine)["message"] == parsed(text)[2]
    assert parsed(text)[2].startswith(r"study a\nb failed\nTraceback")


def test_a_file_gets_text_a_terminal_plain_lines_and_the_environment_decides() -> None:
    assert (log_style({}, terminal=True), log_style({}, terminal=False)) == (PLAIN, TEXT)
    for style in (PLAIN, TEXT, JSON):
        assert log_style({"WARDROUND_LOG": style}, terminal=True) == style
    with pytest.raises(ConfigurationError, match="WARDROUND_LOG=jsn: is no style; use plain, text or json"):
        log_style({"WARDROUND_LOG": "jsn"}, terminal=False)


def test_a_librarys_log_is_taken_over_and_loses_its_colours(capsys, monkeypatch) -> None:
    from flwr.supercore.logger import FLOWER_LOGGER

    before = FLOWER_LOGGER.handlers, FLOWER_LOGGER.propagate, FLOWER_LOGGER.level
    try:
        log.take_over("flwr", {"WARDROUND_LOG": JSON})
        FLOWER_LOGGER.info("Starting \x1b[92mFlower\x1b[0m")
        [line] = capsys.readouterr().err.splitlines()
        assert json.loads(line)["message"] == r"Starting \x1b[92mFlower\x1b[0m"
        FLOWER_LOGGER.handlers = []
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        log.take_over("flwr", {})
        assert FLOWER_LOGGER.handlers == []
    finally:
        FLOWER_LOGGER.handlers, FLOWER_LOGGER.propagate, FLOWER_LOGGER.level = before
