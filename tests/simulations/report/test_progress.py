"""Progress in a log: few lines, plain, the first round and the last among them."""

from io import StringIO

import pytest
from rich.console import Console

from tests.builders import simulated_terms
from wardround.simulations.report import progress
from wardround.simulations.report.progress import PlainProgress, watch
from wardround.simulations.report.summary import RoundRow


def row(number: int) -> RoundRow:
    return RoundRow(round=number, auc=0.7, epsilon=number / 10, seconds=1.0)


def test_a_log_gets_the_first_round_the_last_and_few_between(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, *(4.0 * number for number in range(1, 8)), 30.0])
    lines = PlainProgress(7, clock=lambda: next(now))
    for number in range(1, 8):
        lines.round(row(number))
    lines.say("comparing")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == [
        "4 s: round 1 of 7",
        "16 s: round 4 of 7",
        "28 s: round 7 of 7",
        "30 s: comparing",
    ]
    assert "ε 0.700  AUC 0.7000" in err


def test_only_a_terminal_gets_a_line_that_moves(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A notebook and a pipe keep every line, so what moves would be a page of it."""
    terms = simulated_terms()
    for terminal, jupyter, plain in ((True, False, False), (False, False, True), (True, True, True)):
        seen = Console(file=StringIO(), force_terminal=terminal, force_jupyter=jupyter)
        monkeypatch.setattr(progress, "console", lambda to_error, seen=seen: seen)
        with watch(True, terms) as watcher:
            watcher.round(row(1))
        assert isinstance(watcher, PlainProgress) == plain
        err = capsys.readouterr().err
        assert ("round 1" in err) == plain
        assert "\x1b" not in err


def test_nothing_is_shown_where_none_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with watch(False, simulated_terms()) as watcher:
        watcher.round(row(1))
        watcher.say("comparing")
    assert capsys.readouterr().err == ""
