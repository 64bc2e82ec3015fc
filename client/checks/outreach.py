"""The tables that outreach reads: reached, every column there, and every row one that outreach can act on."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, fault, ok
from wardround.client.checks.full_sheets import FULL, FULL_REMEDY, full
from wardround.client.home.home import Home
from wardround.client.ledger.clock import clock_fault
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.outreach.forgetting import CLOCK_REMEDY, wrong_clock
from wardround.client.outreach.journal.journal import JOURNAL_FILE, open_journal
from wardround.client.outreach.tables import WORDS, OutreachTable, read_outreach


def outreach(home: Home) -> Iterator[Finding]:
    """Look at preferences, vetoes and addresses; nothing where the mapping names none."""
    for table in read_outreach(home.source):
        faults = list(_faults(table))
        yield from faults
        if not faults:
            yield ok("outreach", f"{table.name}: {len(table.rows):,} rows, each can be acted on")


def clock_of_outreach(home: Home, ledger: SqliteLedger) -> Iterator[Finding]:
    """Look whether outreach believes the clock; nothing where it does, or the ledger's own look says what is wrong."""
    if not (home.folder / JOURNAL_FILE).is_file():
        return
    with open_journal(home.folder) as journal:
        wrong = wrong_clock(home.folder, journal, home.clock(), ledger)
    if wrong and not clock_fault(home.clock(), ledger.time):
        yield fault("clock", f"{wrong}; outreach stands still", CLOCK_REMEDY)


def _faults(table: OutreachTable) -> Iterator[Finding]:
    """State each kind of row that outreach has to take at its worst: as a veto, as not wanted."""
    column, words = WORDS.get(table.name, ("", ()))
    for count, what, remedy in (
        (table.damaged, "are damaged", "correct the export: a row is one line, with quotes that close"),
        (table.nameless, "name no patient", f"name the column: tables.{table.name}.patient in hospital.yaml"),
        (
            table.unknown,
            f"have a {column} that is not known",
            f"translate it: tables.{table.name}.values.{column} in hospital.yaml, to {', '.join(words)}",
        ),
        (
            table.unreadable,
            "have a date that cannot be read",
            f"say how dates are written: tables.{table.name}.format.dates in hospital.yaml",
        ),
    ):
        if count:
            share = count / len(table.rows)
            yield fault("outreach", f"{table.name}: {count:,} rows ({share:.0%}) {what}", remedy)
    if full(len(table.rows)):
        yield fault("outreach", f"{table.name}: {len(table.rows):,} rows, {FULL}", FULL_REMEDY)
