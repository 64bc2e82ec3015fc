"""What each patient's consents come to at one moment: the last word of each, doubt counting as no.

A consent row speaks of one patient, kind (purpose, topic or source) and value. It is active when its latest
past grant is later than every withdrawal and has not expired. A date that cannot be read counts against
it: as no grant, as withdrawn, as expired. A withdrawal counts at once, even if a clock dates it ahead.
"""

from datetime import UTC, datetime

import polars as pl

from client import parsing
from client.identity import PATIENT
from protocol.contract import HOSPITAL_COLUMN, Contract

KEYS = ("index", "kind", "value")


def without_zone(now: datetime) -> datetime:
    """Write a moment as UTC without zone; one without zone is taken as UTC."""
    return now if now.tzinfo is None else now.astimezone(UTC).replace(tzinfo=None)


def standing_consents(
    rows: pl.LazyFrame | None, contract: Contract, people: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """One row per patient (``index``), kind and value that people spoke of, and whether it is ``active``.

    rows: the consents table, or None for nobody having said anything. Kinds and values in lower case.
    """
    if rows is None:
        columns = {"index": pl.UInt32, "kind": pl.String, "value": pl.String, "active": pl.Boolean}
        return pl.DataFrame(schema=columns)
    schema = rows.collect_schema()
    identity = [name for name in (HOSPITAL_COLUMN, PATIENT) if name in people.columns]
    dated = [_date(name, schema) for name in ("granted_at", "withdrawn_at", "expires_at")]
    faults = [
        _unreadable(name, schema).alias(f"{name}_unreadable") for name in ("withdrawn_at", "expires_at")
    ]
    read = rows.select(
        parsing.text(contract.patient, schema[contract.patient]).alias(PATIENT),
        *(parsing.text(name, schema[name]) for name in (HOSPITAL_COLUMN,) if name in schema),
        *(parsing.text(name, schema[name]).str.to_lowercase() for name in ("kind", "value")),
        *dated,
        *faults,
    )
    known = read.join(people.lazy().select("index", *identity), on=identity, how="inner")
    return _last_words(known, without_zone(now)).collect()


def _last_words(rows: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    granted = pl.col("granted_at").filter(pl.col("granted_at") <= now).max()
    latest = pl.col("granted_at") == granted
    # Of grants of the same moment the one that expires first holds; a null never expires.
    expired = latest & (pl.col("expires_at_unreadable") | (pl.col("expires_at") <= now))
    withdrawn = pl.col("withdrawn_at_unreadable") | (pl.col("withdrawn_at") >= granted)
    return rows.group_by(KEYS).agg(
        active=granted.is_not_null() & ~expired.fill_null(False).any() & ~withdrawn.fill_null(False).any()
    )


def _date(name: str, schema: pl.Schema) -> pl.Expr:
    return parsing.moment(name, schema[name]).alias(name)


def _unreadable(name: str, schema: pl.Schema) -> pl.Expr:
    return parsing.is_given(name, schema[name]) & parsing.moment(name, schema[name]).is_null()
