"""What a person sees while a study runs: one line that moves, with the round, seconds, ε so far and AUC."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from wardround.protocol.terms.terms import Terms
from wardround.simulations.report.summary import RoundRow
from wardround.simulations.report.terminal import console


@dataclass
class Watcher:
    """Moves the line; silent where the bar is off."""

    bar: Progress
    task: TaskID

    def round(self, row: RoundRow) -> None:
        """Show one closed round."""
        seen = f"ε {row.epsilon:.3f}  AUC {row.auc:.4f} on held-out patients (simulation only)"
        self.bar.update(self.task, advance=1, seen=seen)

    def say(self, what: str) -> None:
        """Name what is being done now that the rounds are over."""
        self.bar.update(self.task, seen=what)


@contextmanager
def watch(shown: bool, terms: Terms) -> Iterator[Watcher]:
    """Show a study's private rounds as they close, on standard error."""
    columns = (
        TextColumn("round"),
        MofNCompleteColumn(),
        BarColumn(12),
        TimeElapsedColumn(),
        TextColumn("{task.fields[seen]}"),
    )
    with Progress(*columns, console=console(to_error=True), disable=not shown, transient=True) as bar:
        yield Watcher(bar, bar.add_task("rounds", total=terms.training.rounds, seen=""))
