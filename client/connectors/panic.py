"""Panics of the libraries that read tables, as what they are: faults of a table.

Polars, pyarrow and other libraries written in Rust raise ``pyo3_runtime.PanicException`` where they give up (a date
beyond the calendar, a damaged Parquet file). It is a ``BaseException``, and passed every handler of 0.1.0: one cell
made a hospital fall silent after the charge.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from wardround.protocol.errors import TableError


@contextmanager
def panics_are_faults() -> Iterator[None]:
    """Raise TableError, with type and place alone, in the place of a panic; whatever else is raised passes."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as panic:
        reason = f"a library gave up on them ({described(panic)})"
        raise TableError(f"tables: {reason}; correct the export, or name other columns") from None


def described(error: BaseException) -> str:
    """Name the type and the place: the text of an error of others may hold a patient's value."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


@contextmanager
def libraries_are_mute() -> Iterator[None]:
    """Write our own lines to standard error, and nobody else's: a panic's message and backtrace may quote a cell.

    Does nothing where standard error was replaced already. Processes started within inherit the silence.
    """
    before: TextIO = sys.stderr
    if before is not sys.__stderr__:
        yield
        return
    # The descriptor, not sys.stderr alone: native code writes to the former.
    number = before.fileno()
    with (
        os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as ours,
        Path(os.devnull).open("wb") as nowhere,
    ):
        before.flush()
        os.dup2(nowhere.fileno(), number)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(ours.fileno(), number)
