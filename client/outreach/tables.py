"""The tables that outreach alone reads: what patients prefer, what forbids writing to them, and where they are reached.

preferences   patient, kind (topic, channel, language, timezone, contact, personalise), value, wanted, said_at
vetoes        patient, reason (deceased, pregnancy_loss, inpatient, palliative, clinician), starts_at, ends_at
addresses     patient, channel (sms, email, phone, letter, portal), address, since
authorisations  patient, paid_by, topic, signed_at, revoked_at, expires_at (``permission.authorisations``)

No contract names them, and nothing that computes a release may import this room (import-linter). Doubt falls on the
safe side: an unknown reason vetoes, what cannot be read as wanted is not wanted, a date that cannot be read bounds
nothing, and a damaged row counts for everybody whom it may name.
"""

from dataclasses import dataclass, field

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import canonical
from wardround.client.connectors.source import DAMAGED, OUTREACH_TABLES, TableSource, with_words

PATIENT = "patient"
KINDS = ("topic", "channel", "language", "timezone", "contact", "personalise")
REASONS = ("deceased", "pregnancy_loss", "inpatient", "palliative", "clinician")
CHANNELS = ("sms", "email", "phone", "letter", "portal")
WORDS = {"preferences": ("kind", KINDS), "vetoes": ("reason", REASONS), "addresses": ("channel", CHANNELS)}
"""Of each table, the column of words that outreach acts on, and the words."""
_MOMENTS = ("said_at", "starts_at", "ends_at", "since", "signed_at", "revoked_at", "expires_at")


@dataclass(frozen=True, eq=False)
class OutreachTable:
    """One of the tables, parsed; a row that was damaged in its file keeps its place.

    rows: ``patient`` (canonical, null where there is none), ``written`` (as it stood), words in lower case, ``wanted``
    (Boolean), times on the hospital's wall clock, each with ``…_unreadable`` where something stood there, and
    ``damaged``. may_name: of a damaged row, the identifiers that it may hold, as written and one per line (loose forms
    are to be compared, as for withdrawals: ``client.gate.consent_match``); null elsewhere.
    """

    name: str
    rows: pl.DataFrame = field(repr=False)

    @property
    def unknown(self) -> int:
        """Rows whose word outreach does not know; none of a table without such words."""
        if self.name not in WORDS:
            return 0
        column, words = WORDS[self.name]
        return int((~self.rows[column].is_in(words).fill_null(False) & ~self.rows["damaged"]).sum())

    @property
    def unreadable(self) -> int:
        """Rows with a date that cannot be read."""
        flags = [name for name in self.rows.columns if name.endswith("_unreadable")]
        return int(self.rows.select(pl.any_horizontal(flags)).to_series().sum())

    @property
    def nameless(self) -> int:
        """Rows without an identifier of the hospital's form."""
        return int((self.rows[PATIENT].is_null() & ~self.rows["damaged"]).sum())

    @property
    def damaged(self) -> int:
        """Rows that the file's own faults made unreadable."""
        return int(self.rows["damaged"].sum())


def read_outreach(source: TableSource) -> tuple[OutreachTable, ...]:
    """Read whichever of the tables the mapping names; TableError names each column that is missing."""
    source = source.snapshot()
    return tuple(read_table(source, table) for table in OUTREACH_TABLES if source.has(table))


def read_table(source: TableSource, table: str) -> OutreachTable:
    """Read one of them."""
    columns = OUTREACH_TABLES[table]
    place = source.place(table)
    frame = with_words(source.read(table, (PATIENT, *columns)), place)
    schema = frame.collect_schema()
    may_name = pl.col(DAMAGED) if DAMAGED in schema else pl.lit(None, pl.String)
    written = pl.when(parsing.is_given(PATIENT, schema[PATIENT])).then(parsing.text(PATIENT, schema[PATIENT]))
    cells = [canonical(written, place.patient.form).alias(PATIENT), written.alias("written")]
    cells += [may_name.is_not_null().alias("damaged"), may_name.alias("may_name")]
    for name in columns:
        dtype = schema[name]
        if name in _MOMENTS:
            timestamp = parsing.instant(name, dtype, place.format, source.timezone)
            unreadable = parsing.is_given(name, dtype) & timestamp.is_null()
            cells += [timestamp.alias(name), unreadable.alias(f"{name}_unreadable")]
        elif name == "wanted":
            # What cannot be read is a no: doubt never sends a message.
            cells.append(parsing.truth(name, dtype, place.format).fill_null(False).alias(name))
        elif name == "address":
            cells.append(parsing.text(name, dtype).alias(name))
        else:
            cells.append(parsing.lower_text(name, dtype).alias(name))
    return OutreachTable(table, frame.select(cells).collect(engine="streaming"))
