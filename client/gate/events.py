"""Messages as compact columns: times, label, topic and one column per feature, no raw cells.

Only the contract's columns are read, as a stream, and each cell becomes a bin or a timestamp at once.
"""

from collections.abc import Sequence

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.patient_form import AS_WRITTEN, PatientForm, canonical
from wardround.client.connectors.source import DAMAGED, Tables
from wardround.client.connectors.table_format import TableFormat
from wardround.client.gate.bins import read_features, timestamp_column
from wardround.client.gate.identity import PATIENT
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract

# Both below 0: `label >= 0` asks for a known outcome.
UNREADABLE_LABEL, SET_ASIDE_LABEL = -1, -2
PROPENSITY = "propensity:"  # no column of a contract is called so
_POSITION = "row:"  # no contract column of the name "row" may collide with it


def read_events(tables: Tables, contract: Contract) -> pl.DataFrame:
    """One row per message: row, patient (text), hospital (in a federation), label, features, damaged, empty.

    With times in the contract also decided and outcome (the hospital's wall clock, microseconds since 1970, Int64),
    with topics also topic (lower case), with propensities also ``PROPENSITY`` (above 0, at most 1). label is 1, 0,
    -1 where it is unreadable, or -2 where the contract sets its word aside; everything else unreadable is null.
    damaged: the source could not read the row; empty: no cell holds anything.
    """
    frame = tables.part("messages", contract)
    if frame is None:
        raise ValueError("tables without messages")
    schema = frame.collect_schema()
    keep = [
        pl.col(_POSITION).alias("row"),
        identifier(contract.patient, schema, tables.patient_form).alias(PATIENT),
        _label(contract, schema, tables.format("messages")).alias("label"),
        *([identifier(HOSPITAL_COLUMN, schema)] if tables.by_hospital else []),
        (pl.col(DAMAGED).is_not_null() if DAMAGED in schema else pl.lit(False)).alias("damaged"),
        pl.all_horizontal(pl.col(name).is_null() for name in schema if name != DAMAGED).alias("empty"),
    ]
    times = {"decided": contract.decided_at, "outcome": contract.outcome_at}
    timestamps = {name: column for name, column in times.items() if column is not None}
    keep += [
        pl.col(timestamp_column(column)).dt.timestamp("us").alias(name) for name, column in timestamps.items()
    ]
    if contract.topic is not None:
        topic = parsing.lower_text(contract.topic.column, schema[contract.topic.column])
        keep.append(pl.when(topic != "").then(topic).alias("topic"))
    if contract.propensity is not None:
        drawn = contract.propensity.column
        keep.append(parsing.probability(drawn, schema[drawn], tables.format("messages")).alias(PROPENSITY))
    rows = read_features(
        frame.with_row_index(_POSITION), tables, contract, "messages", keep, list(timestamps.values())
    )
    return rows.collect(engine="streaming")


def read_rows_of_people(
    frame: pl.LazyFrame,
    tables: Tables,
    contract: Contract,
    table: str,
    people: pl.DataFrame,
    keep: Sequence[pl.Expr] = (),
    timestamps: Sequence[str] = (),
) -> pl.DataFrame:
    """Features of a table's rows with each row's patient as ``index`` into ``people``; others' rows are left out.

    keep, timestamps: further columns, as for ``read_features``. In the order of the table.
    """
    schema = frame.collect_schema()
    identity = [name for name in (HOSPITAL_COLUMN, PATIENT) if name in people.columns]
    names = {PATIENT: contract.patient, HOSPITAL_COLUMN: HOSPITAL_COLUMN}
    forms = {PATIENT: tables.patient_form, HOSPITAL_COLUMN: AS_WRITTEN}
    named = [identifier(names[name], schema, forms[name]).alias(name) for name in identity]
    rows = read_features(frame, tables, contract, table, [*named, *keep], timestamps).collect(
        engine="streaming"
    )
    owners = people.select("index", *identity)
    return rows.join(owners, on=identity, how="inner", maintain_order="left").drop(identity)


def identifier(column: str, schema: pl.Schema, form: PatientForm = AS_WRITTEN) -> pl.Expr:
    """Canonical text of an identifier; null where the cell says missing, or is none of this form."""
    dtype = schema[column]
    written = pl.when(parsing.is_given(column, dtype)).then(parsing.text(column, dtype))
    return canonical(written, form).alias(column)


def _label(contract: Contract, schema: pl.Schema, form: TableFormat) -> pl.Expr:
    label = contract.label
    index = parsing.word_index(label.column, schema[label.column], label.words, form)
    # label.words has first those of not engaged, then of engaged, then what is set aside.
    known = len(label.not_engaged) + len(label.engaged)
    outcome = (index >= len(label.not_engaged)).cast(pl.Int8)
    return (
        pl.when(index >= known)
        .then(pl.lit(SET_ASIDE_LABEL, pl.Int8))
        .otherwise(outcome)
        .fill_null(UNREADABLE_LABEL)
    )
