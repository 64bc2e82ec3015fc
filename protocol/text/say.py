"""The one way from our programs to a terminal or a log: line by line, each as a person can see it (rule 11).

A line may quote what others wrote: a study's name that clears the screen, a column that writes a line into the log.
Every writer therefore passes here, or through ``client.commands.terminal`` and ``simulations.report.terminal``,
which draw tables and do the same; ``tests/test_foreign_text.py`` finds any other. Line breaks of our own are
further arguments.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

from wardround.protocol.text.text import visible

LONGEST_SHOWN = 4000  # characters of one line


def say(*lines: str) -> None:
    """Write lines to standard output."""
    sys.stdout.write(_joined(lines))
    sys.stdout.flush()


def complain(*lines: str) -> None:
    """Write lines to standard error."""
    sys.stderr.write(_joined(lines))
    sys.stderr.flush()


def write_log_line(line: str) -> None:
    """Write to standard error one line that ``protocol.text.log`` made, which is visible, and whole, already."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def prompt(*lines: str) -> None:
    """Write lines to standard error, and leave the cursor behind the last."""
    sys.stderr.write(_joined(lines).removesuffix("\n") + " ")
    sys.stderr.flush()


def say_json(value: object, default: Callable[[object], object] | None = None) -> None:
    """Write one JSON value in ASCII, the rest escaped; ``default`` spells what JSON has no form for."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, default=default) + "\n")
    sys.stdout.flush()


def show_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write a fault of ours with its traceback; for ``sys.excepthook``, whose own writes what it is given."""
    before = error.__cause__ or error.__context__
    if before is not None:
        show_fault(type(before), before, before.__traceback__)
    frames = [line for frame in traceback.format_tb(trace) for line in frame.splitlines()]
    complain("Traceback (most recent call last):", *frames, f"{kind.__name__}: {error}")


class LineFormatter(logging.Formatter):
    """Makes one visible line of a record, whatever its arguments hold; a traceback's lines are joined too."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        return visible(super().format(record), LONGEST_SHOWN)


def _joined(lines: tuple[str, ...]) -> str:
    return "".join(f"{visible(line, LONGEST_SHOWN)}\n" for line in lines)
