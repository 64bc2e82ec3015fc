"""Every trigger's look at the hospital's tables: who is due, each table read once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from wardround.client.connectors.source import TRIGGER_TABLES, TableSource
from wardround.client.outreach.triggers.due import FINDERS
from wardround.client.outreach.triggers.reading import read_rows
from wardround.client.outreach.triggers.trigger import CARE_TEAMS, WHEN, Trigger

TIMES = ("starts_at", "due_at", "done_at", "seen_at")
"""Columns of these tables that hold times."""


def look(source: TableSource, triggers: Sequence[Trigger], now: datetime) -> dict[str, pl.DataFrame]:
    """Give who is due by each trigger, by its name: ``due.DUE``. now: on the hospital's wall clock.

    source: a snapshot. TableError where a table cannot be read as a whole.
    """
    read: dict[tuple[str, ...], pl.DataFrame] = {}
    found = {}
    for trigger in triggers:
        table = WHEN[trigger.when]
        words, times = _columns(trigger)
        if (key := (table, *words, *times)) not in read:
            read[key] = read_rows(source, table, words, times)
        found[trigger.name] = FINDERS[trigger.when](read[key], trigger, now)
    return found


def _columns(trigger: Trigger) -> tuple[list[str], list[str]]:
    if trigger.when == "assessed":
        return [trigger.column], [trigger.time]
    columns = TRIGGER_TABLES[WHEN[trigger.when]]
    return [one for one in columns if one not in TIMES], [one for one in columns if one in TIMES]


def care_teams(source: TableSource) -> pl.DataFrame:
    """Read who cares for whom: patient, professional, channel, address.

    A professional has one address of a channel: where rows name several, none is guessed, and these rows are left out.
    """
    return _teams(source).filter(pl.col("addresses") == 1).drop("addresses")


def several_addresses(source: TableSource) -> int:
    """Count the professionals of whom rows name several addresses of one channel."""
    return _teams(source).filter(pl.col("addresses") > 1)["professional"].n_unique()


def _teams(source: TableSource) -> pl.DataFrame:
    """Read all rows that name somebody, with the number of addresses that the professional has of the channel."""
    rows = read_rows(source, CARE_TEAMS, ("channel",), (), ("professional", "address"))
    rows = rows.drop_nulls(("professional", "channel", "address")).unique(maintain_order=True)
    spelt = pl.col("address").str.strip_chars().str.to_lowercase()
    return rows.with_columns(addresses=spelt.n_unique().over("professional", "channel"))


def patients_of(due: Mapping[str, pl.DataFrame]) -> pl.Series:
    """Give everybody who is due by any trigger, each once, in a fixed order."""
    each = [frame["patient"] for frame in due.values()]
    return pl.concat([pl.Series("patient", [], pl.String), *each]).unique().sort()
