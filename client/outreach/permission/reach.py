"""Which address reaches a patient by which channel, and which address several patients share. Pure.

The newest address of a channel holds: a patient who asked to be written to elsewhere is written to there alone
(45 CFR 164.522(b)). Of two that are equally new none is known to be right.
"""

from datetime import datetime

import polars as pl

from wardround.client.outreach.tables import CHANNELS, OutreachTable

ADDRESSES = {"index": pl.UInt32, "channel": pl.String, "address": pl.String, "shared": pl.Boolean}


_TELEPHONES = ("sms", "phone")
_LAST_DIGITS = 9
"""Of a telephone's number: how it begins depends on who wrote it (0049, +49, 0)."""


def reach(table: OutreachTable | None, people: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Give ``ADDRESSES``: one row for each patient and channel that an address is known of.

    now: on the hospital's wall clock; an address that begins later is not one yet. An address that one patient alone
    has is not shared, however often it stands in the table.
    """
    if table is None:
        return pl.DataFrame(schema=ADDRESSES)
    rows = table.rows.filter(~pl.col("damaged") & pl.col("channel").is_in(CHANNELS))
    rows = rows.filter((pl.col("since") <= now).fill_null(True)).with_columns(bare=_bare()).drop_nulls("bare")
    rows = rows.with_columns(device=pl.when(_telephone()).then(pl.lit("telephone")).otherwise("channel"))
    # Over all rows, old ones and those that name nobody too: whoever had an address may still read what comes there.
    owners = rows.select("device", "bare", "patient").unique().group_by("device", "bare").len("owners")
    mine = rows.join(people.select("index", "patient"), on="patient", how="inner")
    known = _known(mine).join(owners, on=("device", "bare"), how="left")
    return known.select("index", "channel", "address", shared=pl.col("owners") > 1)


def _known(mine: pl.DataFrame) -> pl.DataFrame:
    """Give each patient's address of a channel: the newest, where it is known to be right."""
    columns = ("index", "channel", "address", "bare", "device")
    several = mine.select("index", "channel").is_duplicated()
    alone, rows = mine.filter(~several), mine.filter(several)
    newest = pl.col("since").fill_null(datetime(1, 1, 1))
    newest = newest == newest.max()
    each = rows.group_by("index", "channel").agg(
        pl.col("address", "bare", "device").filter(newest).first(),
        newest=pl.col("bare").filter(newest).n_unique(),
        # A date that cannot be read may be the newest: then no address is known to be right.
        doubt=pl.col("since_unreadable").any() & (pl.col("bare").n_unique() > 1),
    )
    known = each.filter((pl.col("newest") == 1) & ~pl.col("doubt"))
    return pl.concat([alone.select(columns), known.select(columns)])


def _telephone() -> pl.Expr:
    return pl.col("channel").is_in(_TELEPHONES)


def _bare() -> pl.Expr:
    """Spell an address as it is compared: digits of a telephone, letters and digits in small letters of the rest."""
    digits = pl.col("address").str.replace_all("[^0-9]", "").str.tail(_LAST_DIGITS)
    letters = pl.col("address").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    bare = pl.when(_telephone()).then(digits).otherwise(letters)
    return pl.when(bare != "").then(bare)
