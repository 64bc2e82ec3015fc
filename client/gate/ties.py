"""Rows that share a patient and a time, in an order that their own values give: the order of a table never matters.

An export lists the rows of one time in whatever order its database had them in. Which of them are drawn, and the
order in which they are summed, must not follow from that.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

_PLACE = "place:"


def sorted_by_values(rows: pl.DataFrame, keys: Sequence[str], apart: str) -> pl.DataFrame:
    """Sort by ``keys``, whole numbers without nulls; rows that share them by all other columns but ``apart``.

    apart: the column that says where a row stood. Guarantee (test_row_order.py): any permutation of the rows gives
    the same rows, ``apart`` excepted.
    """
    order = rows.select(pl.arg_sort_by(*keys, maintain_order=True)).to_series()
    same = np.ones(max(len(rows) - 1, 0), np.bool_)
    for key in keys:
        column = rows[key].gather(order).to_numpy()
        same &= column[1:] == column[:-1]
    tied = np.append(same, False) | np.insert(same, 0, False) if len(rows) else same
    places = np.flatnonzero(tied)
    if len(places):  # few of many rows: all others need no look at their values
        members = order.gather(places)
        values = [name for name in rows.columns if name not in (*keys, apart)]
        shared = (
            rows.select(*keys, *values).select(pl.all().gather(members)).with_columns(members.alias(_PLACE))
        )
        order = order.scatter(places, shared.sort(*keys, *values, maintain_order=True)[_PLACE])
    return rows.select(pl.all().gather(order))
