"""Whether the tables still hold the opt-outs that they held when they were last looked at: HOME/opt-outs.json.

    {"consents":118,"preferences":40,"vetoes":7}

An export that was emptied, cut in half or put back from last year reads well, and whoever opted out since is asked and
written to again. So the rows that take something back are counted, table by table, and remembered. A few fewer are
usual: patients say yes again, and records end. Many fewer are a fault until a person has looked. The file holds counts
alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from wardround.client.checks.finding import Finding, fault, ok
from wardround.client.connectors.source import TableSource, with_words
from wardround.client.gate.consent import read_statements
from wardround.client.home.home import Home
from wardround.client.outreach.source_names import identifier_name
from wardround.client.outreach.tables import read_table
from wardround.protocol.contract.contract import CONSENT_COLUMNS
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json

OPT_OUTS = "opt-outs.json"
USUAL_SHARE, USUAL_ROWS = 0.05, 2
"""How many may go between two looks: this share of them, and so many more."""
_LARGEST = 1000
_NO = {
    "preferences": ~pl.col("wanted"),
    "vetoes": (pl.col("reason") == "deceased").fill_null(False),
    "authorisations": pl.col("revoked_at").is_not_null() | pl.col("revoked_at_unreadable"),
}
"""Of each table that outreach alone reads, the rows that take something back for good."""


@dataclass(frozen=True, kw_only=True)
class OptOutsGone:
    """A table that holds many fewer rows which take something back than it did."""

    table: str
    before: int
    now: int

    @property
    def remedy(self) -> str:
        """Say what a person can do."""
        return (
            f"look at the export of {self.table}, and export it again, whole; if it is right as it is, remove "
            f"{OPT_OUTS} from the home"
        )

    def __str__(self) -> str:
        """State it with counts: for the hospital's own people."""
        return f"{self.table}: {self.now:,} rows take something back, and {self.before:,} did when last looked at"


def opt_outs_gone(home: Home, *, keep: bool) -> list[OptOutsGone]:
    """Count, and give the tables of which many are gone. keep: remember what was counted, where none are gone.

    TableError where a table cannot be read; ConfigurationError where the file is none, or cannot be written.
    """
    now, before = count_opt_outs(home.source), _remembered(home)
    gone = [
        OptOutsGone(table=table, before=rows, now=now.get(table, 0))
        for table, rows in sorted(before.items())
        if are_gone(rows, now.get(table, 0))
    ]
    if keep and not gone and now != before:
        try:
            write_durably(home.folder / OPT_OUTS, canonical_json(now), 0o600)
        except OSError as error:
            raise ConfigurationError(f"{OPT_OUTS}: cannot be written ({error.strerror})") from error
    return gone


def are_gone(before: int, now: int) -> bool:
    """Whether more are gone than is usual.

    >>> are_gone(100, 93), are_gone(100, 92), are_gone(1, 0), are_gone(3, 1), are_gone(0, 0)
    (False, True, True, False, False)
    """
    return before - now > USUAL_ROWS + USUAL_SHARE * before or (now == 0 and before > 0)


def refuse_if_gone(home: Home) -> None:
    """ConfigurationError where many opt-outs are gone: then nobody may be written to before a person has looked."""
    gone = opt_outs_gone(home, keep=True)
    if gone:
        raise ConfigurationError(
            "; ".join((*map(str, gone), f"nothing is proposed or sent: {gone[0].remedy}"))
        )


def opt_outs(home: Home) -> Iterator[Finding]:
    """Say whether they are still there."""
    gone = opt_outs_gone(home, keep=False)
    for one in gone:
        yield fault("opt-outs", str(one), one.remedy)
    if not gone:
        yield ok("opt-outs", "as many rows take something back as when last looked at, or nearly, or more")


def count_opt_outs(source: TableSource) -> dict[str, int]:
    """Count the rows that take something back, of each table that the mapping names."""
    source, found = source.snapshot(), dict[str, int]()
    if source.has("consents"):
        found["consents"] = _of_consents(source)
    for table, no in _NO.items():
        if source.has(table):
            rows = read_table(source, table).rows
            found[table] = int(rows.select((no & ~pl.col("damaged")).sum()).item())
    return found


def _of_consents(source: TableSource) -> int:
    name, place = identifier_name(source, "consents"), source.place("consents")
    frame = with_words(source.read("consents", (name, *CONSENT_COLUMNS)), place)
    rows = read_statements(frame, name, place.patient.form, place.format, source.timezone)
    against = pl.col("withdrawn_at").is_not_null() | pl.col("withdrawn_at_unreadable")
    return int(rows.select(against.sum()).collect(engine="streaming").item())


def _remembered(home: Home) -> Mapping[str, int]:
    path = home.folder / OPT_OUTS
    try:
        content = read_bounded(path, _LARGEST)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{OPT_OUTS}: cannot be read ({error.strerror})") from error
    try:
        plain = read_json(content, _LARGEST)
        rows = {str(table): count for table, count in plain.items()}
    except (ValueError, AttributeError):
        rows = {"": -1}
    known = set(rows) <= {"consents", *_NO}
    if not known or not all(type(count) is int and count >= 0 for count in rows.values()):
        raise ConfigurationError(f"{OPT_OUTS}: is not what this program writes; remove it")
    return rows
