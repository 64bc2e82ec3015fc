"""Who is due by a trigger now, and for what occasion. Pure, over the tables as they were read.

A trigger ends when its goal is reached: the appointment is confirmed or cancelled, another is booked, the refill is
done, the assessment is another. Doubt ends it too: what cannot be read makes nothing due.
"""

from datetime import datetime

import polars as pl

from wardround.client.outreach.triggers.trigger import Trigger

DUE = pl.Schema({"patient": pl.String(), "occasion": pl.String(), "until": pl.Datetime("us")})
"""occasion: what is said once, in words of dates and kinds; until: when it is too late, null for never."""
STATUSES = ("booked", "confirmed", "attended", "missed", "cancelled")
"""Words of an appointment's status."""
_STANDING = ("booked", "confirmed", "attended")


def booked(rows: pl.DataFrame, trigger: Trigger, now: datetime) -> pl.DataFrame:
    """Appointments that every row calls booked, so many days ahead. rows: patient, starts_at, status."""
    ahead = rows.filter(_days("starts_at", now).is_between(-trigger.days[1], -trigger.days[0]))
    alone = pl.col("status").eq("booked").fill_null(False).all().over("patient", "starts_at")
    due = ahead.filter(alone & (pl.col("starts_at") > now))
    return _due(due, pl.col("starts_at").dt.strftime("%Y-%m-%dT%H:%M"), pl.col("starts_at"))


def missed(rows: pl.DataFrame, trigger: Trigger, now: datetime) -> pl.DataFrame:
    """Each patient's last missed appointment, where no other stands since. rows: as above."""
    lost = rows.filter((pl.col("status") == "missed") & (pl.col("starts_at") <= now))
    last = lost.group_by("patient").agg(pl.col("starts_at").max())
    standing = rows.filter(pl.col("status").is_in(_STANDING))
    later = standing.group_by("patient").agg(pl.col("starts_at").max().alias("later"))
    each = last.join(later, on="patient", how="left")
    open_ = (pl.col("later") < pl.col("starts_at")).fill_null(True)
    due = each.filter(open_ & _days("starts_at", now).is_between(*trigger.days))
    return _due(due, pl.col("starts_at").dt.strftime("%Y-%m-%dT%H:%M"))


def recalled(rows: pl.DataFrame, trigger: Trigger, now: datetime) -> pl.DataFrame:
    """Each patient's latest recall of a kind, where nothing says that it is done. rows: kind, due_at, done_at."""
    mine = rows.filter(pl.col("kind").is_in(trigger.kinds)) if trigger.kinds else rows
    latest = mine.drop_nulls("due_at").filter(
        pl.col("due_at") == pl.col("due_at").max().over("patient", "kind")
    )
    done = pl.col("done_at_given").any().over("patient", "kind")
    due = latest.filter(~done & _days("due_at", now).is_between(*trigger.days))
    # Of several kinds the one that has waited longest: one trigger says one thing.
    first = due.sort("due_at", "kind", nulls_last=True).unique("patient", keep="first", maintain_order=True)
    return _due(first, pl.col("kind").fill_null("") + pl.col("due_at").dt.strftime(" %Y-%m-%d"))


def assessed(rows: pl.DataFrame, trigger: Trigger, now: datetime) -> pl.DataFrame:
    """Patients whose latest assessment says nothing but these categories. rows: the trigger's column and time."""
    column, time = trigger.column, trigger.time
    past = rows.filter(pl.col(time) <= now)
    latest = past.filter(pl.col(time) == pl.col(time).max().over("patient"))
    alone = pl.col(column).is_in(trigger.categories).fill_null(False).all().over("patient")
    due = latest.filter(alone & _days(time, now).is_between(*trigger.days))
    return _due(due, pl.col(time).dt.strftime("%Y-%m-%d"))


def interested(rows: pl.DataFrame, trigger: Trigger, now: datetime) -> pl.DataFrame:
    """Patients who looked for the trigger's topic; the caller keeps those who opted in to the source."""
    mine = rows.filter((pl.col("topic") == trigger.topic) & (pl.col("seen_at") <= now))
    last = mine.group_by("patient").agg(pl.col("seen_at").max())
    due = last.filter(_days("seen_at", now).is_between(*trigger.days))
    return _due(due, pl.col("seen_at").dt.strftime("%Y-%m-%d"))


FINDERS = {"booked": booked, "missed": missed, "due": recalled, "assessed": assessed, "interest": interested}
"""By what a trigger looks for."""


def _days(column: str, now: datetime) -> pl.Expr:
    """Whole days of the calendar from a time until now; negative where it lies ahead."""
    return (pl.lit(now.date()) - pl.col(column).dt.date()).dt.total_days()


def _due(rows: pl.DataFrame, occasion: pl.Expr, until: pl.Expr | None = None) -> pl.DataFrame:
    """One row for each patient: the first occasion."""
    never = pl.lit(None, pl.Datetime("us"))
    found = rows.select("patient", occasion=occasion, until=never if until is None else until)
    return found.sort("patient", "occasion").unique("patient", keep="first", maintain_order=True).cast(DUE)
