"""What commands say on the terminal: tables and bars for 80 columns and no colour, JSON for machines."""

import re
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wardround.protocol.terms.limits import Clause
from wardround.protocol.text.say import LONGEST_SHOWN
from wardround.protocol.text.text import visible

BAR_WIDTH = 24


def console() -> Console:
    """Return the terminal; 80 columns where it is none. Markup is off: a name in brackets is a name."""
    return Console(highlight=False, markup=False, emoji=False)


def say(*lines: str) -> None:
    """Write lines, wrapped at words."""
    terminal = console()
    for line in lines:
        terminal.print(_seen(line))


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Sequence[str] = (),
    fixed: Sequence[str] = (),
) -> None:
    """Write a table that folds long cells, but not those of ``right`` (numbers) and ``fixed`` columns."""
    drawn = Table(
        title=_seen(title) if title else None,
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        title_style="bold",
    )
    for column in columns:
        numeric = column in right
        drawn.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or column in fixed,
        )
    for row in rows:
        drawn.add_row(*map(_seen, row))
    console().print(drawn)


def _seen(text: str) -> Text:
    return Text(visible(text, LONGEST_SHOWN))


def clause_table(title: str, clauses: Iterable[Clause]) -> None:
    """Write clauses with both values; what does not hold says NO, a missing approval ``open``."""
    rows = [(_word(c), c.name, shortened(c.asked), shortened(c.allowed)) for c in clauses]
    table(title, ("", "clause", "asked", "this hospital allows"), rows, fixed=("clause",))


def _word(clause: Clause) -> str:
    return "ok" if clause.holds else "open" if clause.name == "approval" else "NO"


def shortened(text: str) -> str:
    """Shorten fingerprints, keys and times, which a person compares by their beginning; JSON has them whole."""
    text = re.sub(r"(\w)=(?=\S)", r"\1 = ", text)  # words, at which a cell may fold
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}(\.\.\.)?", r"\1…", text)
    text = re.sub(r"\b(ed25519:\w{8})[\w-]{35}", r"\1…", text)
    return re.sub(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):[\d.]+(\+00:00)?", r"\1 \2", text)


def clauses_to_plain(clauses: Iterable[Clause]) -> list[dict[str, object]]:
    """Spell clauses for JSON."""
    return [{"clause": c.name, "asked": c.asked, "allowed": c.allowed, "holds": c.holds} for c in clauses]


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """Draw a share as a bar: ``bar(0.5, 4)`` is ``##..``. A share above nothing shows at least one mark."""
    share = min(max(share, 0.0), 1.0)
    full = round(share * width)
    full = max(full, 1) if share > 0 else full
    return "#" * full + "." * (width - full)
