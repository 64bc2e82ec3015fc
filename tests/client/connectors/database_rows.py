"""The property that one row's cells are that row's business, for tables that are changed where they stand."""

import warnings

import polars as pl

from wardround.client.connectors import parsing


def parsed(frame):
    """Read every column as everything that a contract could ask for; what was given, too."""
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    out = {}
    for name, dtype in frame.schema.items():
        for way in (parsing.is_given, parsing.text, parsing.number, parsing.truth, parsing.instant):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                out[f"{way.__name__} {name}"] = frame.select(way(name, dtype).alias("cell")).to_series()
        words = parsing.word_index(name, dtype, ("1", "0", "yes", "é"))
        out[f"word {name}"] = frame.select(words.alias("cell")).to_series()
    return pl.DataFrame(out)


def check_others_stay(read, change, victim):
    """Read, change the row of this key (column ``id``), read again: the others are the same, and all are there."""
    before = _others(read, victim)
    change()
    assert before.equals(_others(read, victim), null_equal=True)


def _others(read, victim):
    frame = read().collect()
    rows = parsed(frame).with_columns(frame["id"].cast(pl.String).alias("key"))
    assert victim in rows["key"].to_list()
    return rows.filter(pl.col("key") != victim).sort("key")
