"""One number for each patient, from the hospital's tables and the outreach journal.

A patient is counted in when something is first proposed for them while the protocol runs. That depends on what is due
and on nobody's arm: every arm gets at least the standard message. Whatever people then decided, and whatever was sent,
the patient counts in the arm that was drawn (intention to treat). Times are on the hospital's wall clock.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import canonical
from wardround.client.connectors.source import TableSource, with_words
from wardround.client.outreach.journal.tokens import tokens
from wardround.client.outreach.measure.arms import drawn_arms
from wardround.client.outreach.measure.protocol import CountedRows, MeasuredGroups, Outcome, OutreachProtocol
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.client.outreach.measure.protocol_settings import NO
from wardround.protocol.errors import ConfigurationError

PATIENT, TOKEN, TIME = "patient", "token", "time:"
NOT_KNOWN = "not known"
_MOST_GROUPS = 20


def counted_in(entries: pl.DataFrame, signed: SignedProtocol, timezone: str) -> pl.DataFrame:
    """Give the patients of a protocol: ``token``, ``arm``, ``since`` (when they were counted in), ``closed_on``.

    entries: the journal's proposals to patients: token, arm, made_at. closed_on: the first day on which all outcomes of
    the patient's window are known.
    """
    ends = min(signed.protocol.ends, (signed.ended or date.max) - timedelta(days=1))
    within = pl.col("since").dt.date().is_between(signed.protocol.starts, ends)
    return (
        with_windows(entries, signed.protocol.outcome.days, timezone)
        .filter(within & pl.col("arm").is_in(list(signed.protocol.arms)))
        .sort("since", TOKEN)
        .unique(TOKEN, keep="first", maintain_order=True)
        .select(TOKEN, "arm", "since", "closed_on")
        .sort(TOKEN)  # the order of a keyed hash: chance's, whatever the tables'
    )


def with_windows(entries: pl.DataFrame, days: int, timezone: str) -> pl.DataFrame:
    """Add ``since``, when each was proposed, and ``closed_on``, the first day on which all its outcomes are known."""
    return entries.with_columns(_wall("made_at", timezone).alias("since")).with_columns(
        (pl.col("since") + timedelta(days=days + 1)).dt.date().alias("closed_on")
    )


def outcome_of_each(
    people: pl.DataFrame, outcome: Outcome, source: TableSource, key: bytes, at: str = "since"
) -> pl.DataFrame:
    """Add ``outcome``, from 0 to 1: the mean of the rows of each window; null where none counts.

    people: ``token`` and the time ``at`` which the window begins; one row may be one patient, or one occasion.
    """
    rows = read_rows(source, outcome.rows, key, outcome.column).with_columns(
        pl.when(pl.col(outcome.column).is_in(outcome.yes))
        .then(1.0)
        .when(pl.col(outcome.column).is_in(outcome.no))
        .then(0.0)
        .alias("value")
    )
    numbered = people.with_row_index("row")
    found = rows.drop_nulls("value").join(numbered.select("row", TOKEN, at), on=TOKEN)
    window = (pl.col(TIME) > pl.col(at)) & (pl.col(TIME) <= pl.col(at) + timedelta(days=outcome.days))
    means = found.filter(window).group_by("row").agg(pl.col("value").mean().alias("outcome"))
    joined = numbered.join(means, on="row", how="left", maintain_order="left").drop("row")
    return joined.with_columns(pl.col("outcome").fill_null(0.0)) if outcome.without == NO else joined


def group_of_each(people: pl.DataFrame, groups: MeasuredGroups, source: TableSource, key: bytes) -> list[str]:
    """Give each patient's group: a word in small letters, a band, or ``NOT_KNOWN``; rare words beyond 20 are one."""
    frame, dtype = _read(source, groups.table, (groups.column,), key)
    if groups.edges:
        number = parsing.number(groups.column, dtype[groups.column], source.place(groups.table).format)
        band = sum(((number >= edge).cast(pl.Int8) for edge in groups.edges), pl.lit(0, pl.Int8))
        group = band.replace_strict(dict(enumerate(_bands(groups.edges))), return_dtype=pl.String)
    else:
        group = parsing.lower_text(groups.column, dtype[groups.column])
    known = (
        frame.with_columns(group.alias("group"))
        .drop_nulls("group")
        .group_by(TOKEN)
        .agg(pl.col("group").min())
    )
    found = people.join(known, on=TOKEN, how="left", maintain_order="left")["group"].fill_null(NOT_KNOWN)
    common = found.value_counts(sort=True)["group"].to_list()[:_MOST_GROUPS]
    return [word if word in common else "other" for word in found.to_list()]


def patients_with_rows(
    protocol: OutreachProtocol,
    rows: CountedRows,
    source: TableSource,
    key: bytes,
    since: datetime,
    until: datetime,
) -> Mapping[str, int]:
    """Count patients with such a row in this time, by drawn arm: of the whole hospital, in the journal or forgotten."""
    found = read_rows(source, rows, key).filter(pl.col(TIME).is_between(since, until))
    names = found[PATIENT].unique().drop_nulls().to_list()
    arms = drawn_arms(names, key, protocol.name, protocol.arms)
    return {arm: arms.count(arm) for arm in protocol.arms}


def patients_of(source: TableSource, table: str, key: bytes) -> pl.DataFrame:
    """Give everybody whom a table names: ``patient`` (canonical) and ``token``, once each."""
    frame, _ = _read(source, table, (), key)
    return frame.select(PATIENT, TOKEN).drop_nulls().unique()


def read_rows(source: TableSource, rows: CountedRows, key: bytes, *further: str) -> pl.DataFrame:
    """Read the rows that count: ``patient`` (canonical), ``token``, ``TIME``, and further columns in small letters."""
    frame, dtype = _read(source, rows.table, tuple(dict.fromkeys((*rows.columns, *further))), key)
    time = parsing.instant(rows.time, dtype[rows.time], source.place(rows.table).format, source.timezone)
    cells = [
        parsing.lower_text(name, dtype[name]).alias(name) for name in dict.fromkeys((*rows.where, *further))
    ]
    read = frame.select(PATIENT, TOKEN, time.alias(TIME), *cells)
    for column, words in rows.where.items():
        read = read.filter(pl.col(column).is_in(words).fill_null(False))
    return read.drop_nulls([TOKEN, TIME])


def _read(
    source: TableSource, table: str, columns: tuple[str, ...], key: bytes
) -> tuple[pl.DataFrame, Mapping[str, pl.DataType]]:
    if not source.has(table):
        raise ConfigurationError(
            f"protocol.yaml: reads {table}, which hospital.yaml does not name (tables.{table})"
        )
    place = source.place(table)
    frame = with_words(source.read(table, (PATIENT, *columns)), place)
    schema = frame.collect_schema()
    written = pl.when(parsing.is_given(PATIENT, schema[PATIENT])).then(parsing.text(PATIENT, schema[PATIENT]))
    read = frame.with_columns(canonical(written, place.patient.form).alias(PATIENT)).collect(
        engine="streaming"
    )
    names = read[PATIENT].unique()
    known = pl.DataFrame({PATIENT: names, TOKEN: tokens(names, key)})
    return read.join(known, on=PATIENT, how="left"), schema


def _wall(column: str, timezone: str) -> pl.Expr:
    time = pl.col(column).str.strptime(pl.Datetime("us", "UTC"), "%Y-%m-%dT%H:%M:%SZ")
    return time.dt.convert_time_zone(timezone).dt.replace_time_zone(None)


def _bands(edges: tuple[float, ...]) -> list[str]:
    shown = [f"{edge:g}" for edge in edges]
    between = [f"{low} to under {high}" for low, high in pairwise(shown)]
    return [f"under {shown[0]}", *between, f"{shown[-1]} or more"]
