"""The tables in which triggers look: reached, every column there, and no row that makes nothing due by its fault."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, ok, warn
from wardround.client.connectors.source import TRIGGER_TABLES, TableSource
from wardround.client.home.home import Home
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.tables import CHANNELS
from wardround.client.outreach.triggers.declared import declared_faults
from wardround.client.outreach.triggers.due import STATUSES
from wardround.client.outreach.triggers.looking import TIMES, several_addresses
from wardround.client.outreach.triggers.reading import look_at_rows
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.client.outreach.triggers.trigger import CARE_TEAMS
from wardround.protocol.errors import TableError

_WORDS = {"appointments": ("status", STATUSES), CARE_TEAMS: ("channel", CHANNELS)}


def triggers(home: Home) -> Iterator[Finding]:
    """Look at each table that the mapping names, and at what outreach.yaml declares. Told, never a fault of a study."""
    source = home.source.snapshot()
    for table in TRIGGER_TABLES:
        if source.has(table):
            yield from _table(source, table)
    if (home.folder / OUTREACH).exists():
        settings = settings_of(home.folder)
        modules = read_folder(home.content_folder).modules if settings.triggers else ()
        for line in declared_faults(settings, modules, source):
            yield warn("triggers", line, "wardround-hospital outreach check; until then nothing is proposed")


def _table(source: TableSource, table: str) -> Iterator[Finding]:
    try:
        lines = list(_faults(source, table))
    except TableError as error:
        yield warn("triggers", str(error), f"correct the table {table}; until then nothing is proposed")
        return
    for text, remedy in lines:
        yield warn("triggers", f"{table}: {text}", remedy)
    if not lines:
        yield ok("triggers", f"{table}: every row can be read")


def _faults(source: TableSource, table: str) -> Iterator[tuple[str, str]]:
    columns = TRIGGER_TABLES[table]
    word, words = _WORDS.get(table, ("", ()))
    seen = look_at_rows(source, table, tuple({word} - {""}), tuple(one for one in columns if one in TIMES))
    for count, what, remedy in (
        (seen.damaged, "are damaged", "correct the export: a row is one line, with quotes that close"),
        (seen.nameless, "name no patient", f"name the column: tables.{table}.patient in hospital.yaml"),
        (
            seen.unreadable,
            "have a date that cannot be read",
            f"say how dates are written: tables.{table}.format.dates in hospital.yaml",
        ),
        (
            seen.unknown(word, words) if word else 0,
            f"have a {word} that is not known",
            f"translate it: tables.{table}.values.{word} in hospital.yaml, to {', '.join(words)}",
        ),
    ):
        if count:
            yield f"{count:,} rows ({count / len(seen.rows):.0%}) {what}, and make nothing due", remedy
    several = several_addresses(source) if table == CARE_TEAMS else 0
    if several:
        yield (
            f"{several:,} professionals have several addresses of one channel, and get nothing by it",
            "keep one address of a channel for each professional",
        )
