"""A table in which triggers look, parsed: canonical identifiers, words in small letters, times on the wall clock."""

from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import canonical
from wardround.client.connectors.source import DAMAGED, TableSource, with_words
from wardround.client.outreach.source_names import PATIENT, identifier_name
from wardround.protocol.errors import TableError

_GIVEN = "_given"


@dataclass(frozen=True, eq=False)
class SeenRows:
    """All rows of a table. rows: patient, null where there is none; words, texts, times; ``damaged``."""

    rows: pl.DataFrame = field(repr=False)

    @property
    def damaged(self) -> int:
        """Rows that the file's own faults made unreadable."""
        return int(self.rows["damaged"].sum())

    @property
    def nameless(self) -> int:
        """Rows without an identifier of the hospital's form."""
        return int((self.rows[PATIENT].is_null() & ~self.rows["damaged"]).sum())

    @property
    def unreadable(self) -> int:
        """Rows with a date that cannot be read."""
        times = [name.removesuffix(_GIVEN) for name in self.rows.columns if name.endswith(_GIVEN)]
        if not times:
            return 0
        wrong = [pl.col(f"{time}{_GIVEN}") & pl.col(time).is_null() for time in times]
        return int(self.rows.select(pl.any_horizontal(wrong)).to_series().sum())

    def unknown(self, column: str, words: Collection[str]) -> int:
        """Rows whose word is none of these."""
        known = self.rows[column].is_in(list(words)).fill_null(False)
        return int((~known & ~self.rows["damaged"]).sum())


def look_at_rows(
    source: TableSource,
    table: str,
    words: Collection[str] = (),
    times: Collection[str] = (),
    texts: Collection[str] = (),
) -> SeenRows:
    """Give every row, with these columns; ``…_given`` says of a time whether anything stood there. TableError."""
    name, place = identifier_name(source, table), source.place(table)
    frame = with_words(source.read(table, (name, *words, *times, *texts)), place)
    schema = frame.collect_schema()
    damaged = pl.col(DAMAGED).is_not_null() if DAMAGED in schema else pl.lit(False)
    written = pl.when(parsing.is_given(name, schema[name])).then(parsing.text(name, schema[name]))
    columns = [canonical(written, place.patient.form).alias(PATIENT), damaged.alias("damaged")]
    columns += [parsing.lower_text(word, schema[word]).alias(word) for word in words]
    columns += [parsing.text(text, schema[text]).alias(text) for text in texts]
    for time in times:
        columns.append(parsing.instant(time, schema[time], place.format, source.timezone).alias(time))
        columns.append(parsing.is_given(time, schema[time]).alias(f"{time}{_GIVEN}"))
    return SeenRows(frame.select(columns).collect(engine="streaming"))


def read_rows(
    source: TableSource,
    table: str,
    words: Collection[str] = (),
    times: Collection[str] = (),
    texts: Collection[str] = (),
) -> pl.DataFrame:
    """Give patient and these columns, as ``look_at_rows`` does.

    Rows that are damaged, or name nobody, make nothing due: they are left out. TableError as the source raises it.
    """
    if not source.has(table):
        raise TableError(f"{table}: a trigger reads it, and hospital.yaml does not name it (tables.{table})")
    rows = look_at_rows(source, table, words, times, texts).rows
    return rows.filter(~pl.col("damaged")).drop("damaged").drop_nulls(PATIENT)
