"""What a person sees while a study runs: the round, ε so far, AUC, and what is done when the rounds are over.

On a terminal it is one line that moves; in a log, a pipe or a notebook, which keep every line, few plain ones.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isnan
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.say import complain
from wardround.simulations.report.summary import RoundRow
from wardround.simulations.report.terminal import console

LINE_SECONDS = 10.0
"""Between two plain lines at least."""


class Watcher(Protocol):
    """Shows how far a study has come."""

    def round(self, row: RoundRow) -> None:
        """Show one closed round."""

    def say(self, what: str) -> None:
        """Name what is being done now that the rounds are over."""


@dataclass
class MovingLine:
    """One line that moves; silent where the bar is off."""

    bar: Progress
    task: TaskID

    def round(self, row: RoundRow) -> None:
        """Show one closed round."""
        self.bar.update(self.task, advance=1, seen=_seen(row))

    def say(self, what: str) -> None:
        """Name what is being done now that the rounds are over."""
        self.bar.update(self.task, seen=what)


@dataclass
class PlainProgress:
    """Plain lines on standard error: the first round and the last, and between them one in ``LINE_SECONDS``."""

    rounds: int
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)
    _last: float = field(init=False, default=-LINE_SECONDS)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._begun = self.clock()

    def round(self, row: RoundRow) -> None:
        """Show one closed round, unless one was shown just now."""
        passed = self.clock() - self._begun
        if row.round == self.rounds or passed >= self._last + LINE_SECONDS:
            self._last = passed
            complain(f"{passed:.0f} s: round {row.round} of {self.rounds}, {_seen(row)}")

    def say(self, what: str) -> None:
        """Name what is being done now that the rounds are over."""
        complain(f"{self.clock() - self._begun:.0f} s: {what}")


def _seen(row: RoundRow) -> str:
    auc = "" if isnan(row.auc) else f"  AUC {row.auc:.4f} on held-out patients (simulation only)"
    return f"ε {row.epsilon:.3f}{auc}"


@contextmanager
def watch(shown: bool, terms: Terms) -> Iterator[Watcher]:
    """Show a study's private rounds as they close, on standard error."""
    error = console(to_error=True)
    if shown and (error.is_jupyter or not error.is_terminal):
        yield PlainProgress(terms.training.rounds)
        return
    columns = (
        TextColumn("round"),
        MofNCompleteColumn(),
        BarColumn(12),
        TimeElapsedColumn(),
        TextColumn("{task.fields[seen]}"),
    )
    with Progress(*columns, console=error, disable=not shown, transient=True) as bar:
        yield MovingLine(bar, bar.add_task("rounds", total=terms.training.rounds, seen=""))
