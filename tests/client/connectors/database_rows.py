"""The property that one row's cells are that row's business, for tables that are changed where they stand."""

import warnings

import polars as pl

from wardround.client.connectors import parsing


def check_random_tables(chance, execute, source, kinds, count):
    """Write random tables and change one row of each; kinds: a column's type → what its cells may be."""
    for number in range(count):
        chosen = chance.choices(list(kinds), k=chance.randint(1, 6))
        names = [f"c{place}" for place in range(len(chosen))]

        def cells(chosen=chosen):
            return [chance.choice([*kinds[kind], "null"]) for kind in chosen]

        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, chosen, strict=True))
        rows = ", ".join(f"({row}, {', '.join(cells())})" for row in range(chance.randint(2, 9)))
        execute(f"create table random_{number} (id int, {columns})")
        execute(f"insert into random_{number} values {rows}")  # noqa: S608
        changes = ", ".join(f"{name} = {cell}" for name, cell in zip(names, cells(), strict=True))
        check_others_stay(
            lambda number=number, names=names: source(f"random_{number}").read("messages", ("id", *names)),
            lambda change=f"update random_{number} set {changes} where id = 1": execute(change),  # noqa: S608
            "1",
        )
        execute(f"drop table random_{number}")


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
