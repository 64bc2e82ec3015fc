"""The researcher's terminal: what a run or a sweep shows; names of jobs and hospitals are text, never markup."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wardround.protocol.text.say import LONGEST_SHOWN
from wardround.protocol.text.text import visible


def console(to_error: bool = False) -> Console:
    """Return the terminal, or standard error's."""
    return Console(stderr=to_error, highlight=False, markup=False, emoji=False)


def draw(table: Table) -> None:
    """Write a table; its cells are made by ``cell``."""
    console().print(table)


def cell(text: object) -> Text:
    """Give a table's cell, title or caption."""
    return Text(visible(text, LONGEST_SHOWN))


def show(*lines: str) -> None:
    """Write lines, none of them broken: paths are to be copied."""
    for line in lines:
        console().print(cell(line), soft_wrap=True)
