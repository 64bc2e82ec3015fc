"""What each patient's consents come to at one time: the last word of each, doubt counting as no.

A consent row speaks of one patient, kind (purpose, topic or source) and value. It is active when its latest
past grant is later than every withdrawal and has not expired. A date that cannot be read counts against
it: as no grant, as withdrawn, as expired. A withdrawal counts at once, even if a clock dates it ahead.
"""

from datetime import datetime

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import PatientForm, canonical
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import TableFormat
from wardround.client.connectors.timestamps import instant_of, wall_clock
from wardround.client.gate.consent_match import (
    whom_damaged_rows_mean,
    whom_rounded_rows_mean,
    whom_rows_mean,
    whom_texts_mean,
)
from wardround.client.gate.consent_words import heard, loose_words, names_nothing
from wardround.client.gate.identity import PATIENT
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract

KEYS = ("index", "kind", "value")


def standing_consents(
    tables: Tables, contract: Contract, people: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """One row per patient (``index``), kind and value that people spoke of, and whether it is ``active``.

    Without a table of consents there are no answers. Kinds and values in lower case. Times without a
    zone, and days, are the hospital's own, as its wall clock shows them. Grants match an identifier strictly, all else
    loosely (``client.gate.consent_match``).
    """
    rows = tables.part("consents", contract)
    withdrawn = whom_texts_mean(tables.withdrawn, people, tables.patient_form)
    if rows is None:
        columns = {"index": pl.UInt32, "kind": pl.String, "value": pl.String, "active": pl.Boolean}
        return _withdrawn_whole(pl.DataFrame(schema=columns), withdrawn, contract)
    form = tables.patient_form
    read = read_statements(rows, contract.patient, form, tables.format("consents"), tables.timezone)
    timestamp = wall_clock(now, tables.timezone)
    read = heard(read, _asked_about(contract), timestamp).filter(_asked(contract))
    asked = read.collect(engine="streaming")
    known = whom_rows_mean(asked, people, form, in_force(timestamp))
    last = last_words(known.lazy(), timestamp).collect()
    damaged = whom_damaged_rows_mean(rows, people, form)
    rounded = whom_rounded_rows_mean(asked, people, in_force(timestamp))
    return _withdrawn_whole(last, pl.concat([damaged, rounded, withdrawn]).unique(), contract)


def read_statements(
    rows: pl.LazyFrame, patient: str, form: PatientForm, cells: TableFormat, zone: str
) -> pl.LazyFrame:
    """Read rows of consents: patient (canonical), written, hospital where there is one, kind, value, and their dates.

    patient: the identifier's column. Dates are on the wall clock of ``zone``; ``…_unreadable`` where something stood
    there that is no date.
    """
    schema = rows.collect_schema()
    written = parsing.text(patient, schema[patient])
    dates = {
        name: parsing.instant(name, schema[name], cells, zone).alias(name)
        for name in ("granted_at", "withdrawn_at", "expires_at")
    }
    faults = [
        (parsing.is_given(name, schema[name]) & dates[name].is_null()).alias(f"{name}_unreadable")
        for name in ("withdrawn_at", "expires_at")
    ]
    return rows.select(
        canonical(written, form).alias(PATIENT),
        written.alias("written"),
        *(parsing.text(name, schema[name]) for name in (HOSPITAL_COLUMN,) if name in schema),
        *(parsing.lower_text(name, schema[name]) for name in ("kind", "value")),
        *dates.values(),
        *faults,
    )


def _asked_about(contract: Contract) -> dict[str, tuple[str, ...]]:
    """Give by kind what this contract asks about, in small letters; of topics those that it names."""
    topics = () if contract.topic is None else contract.topic.sensitive
    values = {"purpose": (contract.purpose,), "source": contract.sources, "topic": topics}
    return {kind: tuple(value.lower() for value in each) for kind, each in values.items()}


def _asked(contract: Contract) -> pl.Expr:
    """Rows that this contract asks about."""
    purpose = (pl.col("kind") == "purpose") & (pl.col("value") == contract.purpose.lower())
    sources = [source.lower() for source in contract.sources]
    source = (pl.col("kind") == "source") & pl.col("value").is_in(sources)
    return purpose | source | ((pl.col("kind") == "topic") & pl.lit(contract.topic is not None))


def in_force(now: datetime) -> pl.Expr:
    """Whether a row by itself is a grant that stands, and says nothing against it. now: on the wall clock."""
    given, ends = (pl.col("granted_at") <= now), (pl.col("expires_at") <= now)
    against = (
        pl.col("withdrawn_at").is_not_null()
        | pl.col("withdrawn_at_unreadable")
        | pl.col("expires_at_unreadable")
    )
    return given.fill_null(False) & ~ends.fill_null(False) & ~against


def _withdrawn_whole(answers: pl.DataFrame, whom: pl.Series, contract: Contract) -> pl.DataFrame:
    """Take everything back for these patients: nothing is active, purpose and topics are refused."""
    if whom.is_empty():
        return answers
    # The topic "" is no message's: its patient becomes one who chose topics, of which none is active.
    kinds = {"kind": ["purpose", "topic"], "value": [contract.purpose.lower(), ""]}
    refused = whom.to_frame().join(pl.DataFrame(kinds), how="cross").with_columns(active=pl.lit(False))
    others = answers.join(refused, on=list(KEYS), how="anti")
    active = pl.col("active") & ~pl.col("index").is_in(whom.implode())
    return pl.concat([others.with_columns(active), refused])


def last_words(rows: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Give ``KEYS`` and ``active``: whether the last word of each patient, kind and value is a grant that stands."""
    past = pl.when(pl.col("granted_at") <= now).then(pl.col("granted_at").dt.timestamp("us"))
    expired = pl.col("expires_at_unreadable") | (pl.col("expires_at") <= now).fill_null(False)
    # The lowest bit says "expired": of grants of the same time one that has expired weighs more.
    grant = rows.with_columns(grant=past * 2 + expired.cast(pl.Int64))
    last = grant.group_by(KEYS).agg(
        pl.col("grant").max(),
        pl.col("withdrawn_at").max().dt.timestamp("us"),
        pl.col("withdrawn_at_unreadable").any(),
    )
    taken = last.with_columns(loose=loose_words("value")).with_columns(
        _whatever_their_words("withdrawn_at"), _whatever_their_words("withdrawn_at_unreadable")
    )
    # `>=`: of a grant and a withdrawal of the same time the withdrawal counts.
    withdrawn = pl.col("withdrawn_at_unreadable") | (
        pl.col("withdrawn_at") >= pl.col("grant") // 2
    ).fill_null(False)
    standing = pl.col("grant").is_not_null() & (pl.col("grant") % 2 == 0) & ~withdrawn
    return taken.select(*KEYS, active=standing.fill_null(False))


def _whatever_their_words(column: str) -> pl.Expr:
    """Give the latest withdrawal of a patient's kind and value, alike in ``loose``, or of the whole kind."""
    alike = pl.col(column).max().over("index", "kind", "loose")
    of_kind = pl.col(column).filter(names_nothing(pl.col("loose"))).max().over("index", "kind")
    return pl.max_horizontal(alike, of_kind).alias(column)


def _date(name: str, schema: pl.Schema, tables: Tables) -> pl.Expr:
    return parsing.instant(name, schema[name], tables.format("consents"), tables.timezone).alias(name)


def next_change(tables: Tables, contract: Contract, now: datetime) -> datetime | None:
    """Return the first instant after ``now`` at which a grant begins or expires, if any.

    Until then, and while the table is the same, consents stand as they stand at ``now``.
    """
    rows = tables.part("consents", contract)
    if rows is None:
        return None
    schema, after = rows.collect_schema(), pl.lit(wall_clock(now, tables.timezone))
    # Withdrawals are not waited for: one counts at once, whatever its date.
    dates = [_date(name, schema, tables) for name in ("granted_at", "expires_at")]
    first = [pl.col(name).filter(pl.col(name) > after).min() for name in ("granted_at", "expires_at")]
    earliest = rows.select(dates).select(pl.min_horizontal(first)).collect().item()
    return instant_of(earliest, tables.timezone) if isinstance(earliest, datetime) else None
