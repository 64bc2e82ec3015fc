"""How much one patient may get: at most so many messages on a day, and within any seven days. Pure.

Counted is what the journal says was exported, and what is proposed and may still be.
"""

from typing import TypeVar

import numpy as np
import polars as pl

from wardround.client.outreach.journal.states import EXPORTED, OPEN
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.protocol.arrays import Booleans

COUNTED = (*OPEN, EXPORTED)
"""States of proposals that count."""
WEEK_DAYS = 7


Count = TypeVar("Count", int, pl.Expr)


def at_cap(on_day: Count, in_week: Count, settings: OutreachSettings) -> bool | pl.Expr:
    """Whether one more message is too many. on_day, in_week: what counts already, within 7 days on either side."""
    return (on_day >= settings.per_day) | (in_week >= settings.per_week)


def within_caps(wanted: pl.DataFrame, counted: pl.DataFrame, settings: OutreachSettings) -> Booleans:
    """Give, for each row, whether one more message is within the caps: bool [wanted].

    wanted: token and day (Date) of one message each. counted: the same, of what counts already. Days are of the
    hospital's calendar or the patient's, the same in both.
    """
    rows = wanted.with_row_index("row").join(counted.rename({"day": "other"}), on="token", how="inner")
    apart = (pl.col("other") - pl.col("day")).dt.total_days().abs()
    each = rows.group_by("row").agg(
        day=(apart == 0).sum(),
        # On either side: a message that is planned for the day after counts as much as one of the day before.
        week=(apart < WEEK_DAYS).sum(),
    )
    allowed = np.ones(len(wanted), np.bool_)
    full = each.filter(at_cap(pl.col("day"), pl.col("week"), settings))
    allowed[full["row"].to_numpy()] = False
    return allowed
