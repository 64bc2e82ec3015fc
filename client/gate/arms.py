"""The table of arms: in which arm of a trial a patient is, and from when until when outcomes count.

The arm is the one that was drawn for the patient, whatever was then sent (intention to treat). A patient with rows that
say different things is in no arm; neither is one whose row names no arm of the contract, or no time.
"""

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.gate.bins import timestamp_column
from wardround.client.gate.events import read_rows_of_people
from wardround.protocol.contract.contract import Contract

ARM = "arm:"  # no column of a contract is called so
_SINCE, _UNTIL = "since:", "until:"


def with_arms(events: pl.DataFrame, tables: Tables, contract: Contract, people: pl.DataFrame) -> pl.DataFrame:
    """Add ``ARM``, the place of each event's arm among the contract's words, Int32; null where it is in none.

    events: with index (of the patient in ``people``), and outcome in a contract with times. Nothing is added where the
    contract names no arms. Guarantee (test_arms_table.py): an event's arm comes from its own patient's rows alone; the
    order of the rows never matters.
    """
    if contract.arms is None:
        return events
    rows = _rows(tables, contract, people)
    if rows is None:
        return events.with_columns(pl.lit(None, pl.Int32).alias(ARM))
    joined = events.join(rows, on="index", how="left", maintain_order="left")
    if contract.arms.since is None:
        return joined
    within = (pl.col("outcome") > pl.col(_SINCE)) & (pl.col("outcome") <= pl.col(_UNTIL))
    return joined.with_columns(pl.when(within).then(pl.col(ARM)).alias(ARM)).drop(_SINCE, _UNTIL)


def _rows(tables: Tables, contract: Contract, people: pl.DataFrame) -> pl.DataFrame | None:
    """Give one row for each of ``people`` who is in one arm: index, arm, times. None where there is no table."""
    arms, frame = contract.arms, tables.part("arms", contract)
    if arms is None or frame is None:
        return None
    schema, form = frame.collect_schema(), tables.format("arms")
    keep = [parsing.word_index(arms.column, schema[arms.column], arms.words, form).alias(ARM)]
    times = {_SINCE: arms.since, _UNTIL: arms.until}
    timestamps = {name: column for name, column in times.items() if column is not None}
    keep += [
        pl.col(timestamp_column(column)).dt.timestamp("us").alias(name) for name, column in timestamps.items()
    ]
    rows = read_rows_of_people(frame, tables, contract, "arms", people, keep, list(timestamps.values()))
    return rows.unique().filter(~pl.col("index").is_duplicated())
