"""A table in which triggers look, parsed: canonical identifiers, words in small letters, times on the wall clock."""

from collections.abc import Collection

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import canonical
from wardround.client.connectors.source import DAMAGED, TableSource, with_words
from wardround.client.outreach.source_names import PATIENT, identifier_name
from wardround.protocol.errors import TableError


def read_rows(
    source: TableSource,
    table: str,
    words: Collection[str] = (),
    times: Collection[str] = (),
    texts: Collection[str] = (),
) -> pl.DataFrame:
    """Give patient and these columns; ``…_given`` says of a time whether anything stood there.

    Rows that are damaged, or name nobody, make nothing due: they are left out. TableError as the source raises it.
    """
    if not source.has(table):
        raise TableError(f"{table}: a trigger reads it, and hospital.yaml does not name it (tables.{table})")
    name, place = identifier_name(source, table), source.place(table)
    frame = with_words(source.read(table, (name, *words, *times, *texts)), place)
    schema = frame.collect_schema()
    if DAMAGED in schema:
        frame = frame.filter(pl.col(DAMAGED).is_null())
    written = pl.when(parsing.is_given(name, schema[name])).then(parsing.text(name, schema[name]))
    columns = [canonical(written, place.patient.form).alias(PATIENT)]
    columns += [parsing.lower_text(word, schema[word]).alias(word) for word in words]
    columns += [parsing.text(text, schema[text]).alias(text) for text in texts]
    for time in times:
        columns.append(parsing.instant(time, schema[time], place.format, source.timezone).alias(time))
        columns.append(parsing.is_given(time, schema[time]).alias(f"{time}_given"))
    return frame.select(columns).drop_nulls(PATIENT).collect(engine="streaming")
