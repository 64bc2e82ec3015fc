"""Times as a hospital's wall clock shows them: without a zone, in microseconds, days beginning at its own midnight.

How a time is written decides how it is placed:

- with a zone (``Z``, ``+02:00``, a zoned column): converted to the hospital's wall clock;
- without one: it is the table's zone (``format.timezone``), which is the hospital's own unless it is set;
- a day alone stays that day: midnight somewhere else must not turn Friday into Thursday.

Daylight saving: what stands in the hospital's own zone is taken as written. Where a table's other zone is converted, a
time that occurs twice is the first of the two, and one that is skipped is read with the offset from before the gap.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from wardround.client.connectors.table_format import TableFormat

UNITS = {"epoch_seconds": 1e6, "epoch_milliseconds": 1e3, "excel_days": 86_400e6}
"""Numbers that a format may declare to be times: microseconds in one."""
EXCEL_EPOCH = 25_569  # days from Excel's day 0 (1899-12-30) to 1970-01-01
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST, _LAST = (date(*day).toordinal() - _EPOCH for day in ((1, 1, 1), (9999, 12, 31)))
_DAY = {"d": 1, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_TIMESTAMP = pl.Datetime("us")
_DAY_LENGTH = 10
_DAYS = {
    "DD/MM/YYYY": "%d/%m/%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
    "DD.MM.YYYY": "%d.%m.%Y",
    "YYYY/MM/DD": "%Y/%m/%d",
}
_TIMES = (("", 10), (" %H:%M", 16), (" %H:%M:%S", 19))
_PATTERNS = {
    "ISO": r"(?<year>[0-9]{4})-(?<month>[0-9]{1,2})-(?<day>[0-9]{1,2})",
    "DD/MM/YYYY": r"(?<day>[0-9]{1,2})/(?<month>[0-9]{1,2})/(?<year>[0-9]{4})",
    "MM/DD/YYYY": r"(?<month>[0-9]{1,2})/(?<day>[0-9]{1,2})/(?<year>[0-9]{4})",
    "DD.MM.YYYY": r"(?<day>[0-9]{1,2})\.(?<month>[0-9]{1,2})\.(?<year>[0-9]{4})",
    "YYYY/MM/DD": r"(?<year>[0-9]{4})/(?<month>[0-9]{1,2})/(?<day>[0-9]{1,2})",
    "YYYYMMDD": r"(?<year>[0-9]{4})(?<month>[0-9]{2})(?<day>[0-9]{2})",
}
# [0-9], never \d: that matches the digits of every script, and the cast behind it does not.
_TIME = r"(?:(?:[Tt]|,? +)(?<hour>[0-9]{1,2}):(?<minute>[0-9]{2})(?::(?<second>[0-9]{2}))?"
_TAIL = (
    r"(?:[.,](?<fraction>[0-9]+))? *(?<half>[AaPp])?(?:\.?[Mm]\.?)? *"
    r"(?:(?<utc>[Zz]|UTC|GMT)|(?<sign>[+-])(?<hours>[01][0-9]|2[0-3])(?::?(?<minutes>[0-5][0-9]))?)?"
)
_CLOCK = rf"{_TIME}{_TAIL})?$"


def wall_clock(now: datetime, zone: str) -> datetime:
    """Write a time as this zone's wall clock shows it; one without a zone is UTC."""
    instant = now if now.tzinfo is not None else now.replace(tzinfo=UTC)
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def instant_of(wall: datetime, zone: str) -> datetime:
    """Give the instant at which the wall clock shows this, or an earlier one: where daylight saving leaves two.

    Whoever waits for it then looks again a little too early, and never too late.
    """
    return min(wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))


def next_midnight(now: datetime, zone: str) -> datetime:
    """Give the instant at which this zone's next day begins."""
    today = wall_clock(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return instant_of(today + timedelta(days=1), zone)


def within_calendar(cell: pl.Expr, unit: str) -> pl.Expr:
    """Keep what lies in the years 1 to 9999, else null: databases know "infinity" and the year 294276."""
    days = cell.to_physical().cast(pl.Int64)
    return pl.when(days.is_between(_FIRST * _DAY[unit], (_LAST + 1) * _DAY[unit] - 1)).then(cell)


def wall_of_instant(cell: pl.Expr, zone: str) -> pl.Expr:
    """Convert UTC without zone to the wall clock of ``zone``."""
    if zone == "UTC":
        return within_calendar(cell, "us")
    local = cell.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return within_calendar(local, "us")


def wall_of_plain(cell: pl.Expr, written: str, zone: str) -> pl.Expr:
    """Convert the wall clock of ``written`` to that of ``zone``."""
    if written == zone:
        return cell
    a_day = pl.duration(days=1)  # no zone has skipped two days running
    return wall_of_instant(
        pl.coalesce(_utc_of_wall(cell, written), _utc_of_wall(cell - a_day, written) + a_day, cell), zone
    )


def timestamp_of_number(value: pl.Expr, form: TableFormat, zone: str) -> pl.Expr:
    """Read numbers as what ``form.dates`` declares: seconds or milliseconds since 1970, or Excel's days."""
    excel = form.dates == "excel_days"
    shifted = value - EXCEL_EPOCH if excel else value
    # Excel's fractions of a day are right to a millisecond, and no better.
    scaled = (shifted * 86_400e3).round() * 1e3 if excel else (shifted * UNITS[form.dates or ""]).round()
    first, last = _FIRST * _DAY["us"], (_LAST + 1) * _DAY["us"] - 1
    timestamp = (
        pl.when(scaled.is_between(first, last)).then(scaled).cast(pl.Int64, strict=False).cast(_TIMESTAMP)
    )
    if not excel:
        return wall_of_instant(timestamp, zone)
    placed = wall_of_plain(timestamp, form.timezone or zone, zone)
    # A whole number is a day alone, and stays that day in every zone.
    return pl.when(value == value.floor()).then(timestamp).otherwise(placed)


def timestamps_of_texts(texts: pl.Series, form: TableFormat, zone: str) -> pl.Series:
    """Parse stripped texts; of days alone each distinct one once, since there are few."""
    if not (texts.str.len_bytes() > _DAY_LENGTH).any():
        distinct = texts.unique()
        if 4 * len(distinct) < len(texts):
            return texts.replace_strict(distinct, _parsed(distinct, form, zone), return_dtype=_TIMESTAMP)
    return _parsed(texts, form, zone)


def _utc_of_wall(cell: pl.Expr, zone: str) -> pl.Expr:
    placed = cell.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _parsed(texts: pl.Series, form: TableFormat, zone: str) -> pl.Series:
    """Read the usual spellings at once, and what is left of the cells by its pattern."""
    timestamps = _of_usual_spelling(texts, form, zone)
    left = timestamps.is_null() & (texts.str.len_bytes() > 0)
    if left.any():
        rows = left.arg_true()
        timestamps = timestamps.scatter(rows, _of_pattern(texts.gather(rows), form, zone))
    return timestamps


def _of_usual_spelling(texts: pl.Series, form: TableFormat, zone: str) -> pl.Series:
    """Day, minutes or seconds of fixed length, then nothing or Z; other rows are null."""
    head = texts.str.slice(0, 19).str.replace("T", " ", literal=True)
    tail = texts.str.slice(19)
    lengths = head.str.len_bytes()
    timestamps = pl.Series(texts.name, [None], _TIMESTAMP).new_from_index(0, len(texts))
    for day in dict.fromkeys(("%Y-%m-%d", _DAYS.get(form.dates or "", "%Y-%m-%d"))):
        for time, length in _TIMES:
            rows = (lengths == length) & timestamps.is_null()
            if rows.any():
                parsed = head.str.to_datetime(day + time, time_unit="us", strict=False, exact=True)
                timestamps = parsed if rows.all() else parsed.zip_with(rows, timestamps)
    usual = (tail == "") | (tail == "Z") | tail.is_null()
    frame = pl.DataFrame(
        {"timestamp": timestamps, "zoned": tail == "Z", "day": lengths == _DAY_LENGTH, "usual": usual}
    )
    if usual.all() and zone == "UTC" and (form.timezone or zone) == zone:
        return frame.select(within_calendar(pl.col("timestamp"), "us")).to_series().alias(texts.name)
    return frame.select(pl.when("usual").then(_placed(form, zone))).to_series().alias(texts.name)


def _placed(form: TableFormat, zone: str) -> pl.Expr:
    """Put ``timestamp`` on the wall clock by what ``day`` (a day alone) and ``zoned`` (then it is UTC) say."""
    timestamp = within_calendar(pl.col("timestamp"), "us")
    elsewhere = wall_of_plain(timestamp, form.timezone or zone, zone)
    return (
        pl.when("day")
        .then(timestamp)
        .when("zoned")
        .then(wall_of_instant(timestamp, zone))
        .otherwise(elsewhere)
    )


def _of_pattern(texts: pl.Series, form: TableFormat, zone: str) -> pl.Series:
    """Read one digit for day or hour, fractions of seconds, 24:00, AM and PM, offsets, and declared numbers."""
    if form.dates in UNITS:
        value = pl.when(pl.col("text").str.contains(r"^[+-]?[0-9]+(?:\.[0-9]+)?$")).then("text")
        numbers = timestamp_of_number(value.cast(pl.Float64, strict=False), form, zone)
    else:
        numbers = pl.lit(None, _TIMESTAMP)
    frame = texts.alias("text").to_frame().with_columns(numbers.alias("number"))
    for dates in ("ISO", form.dates):
        if dates in _PATTERNS:
            parts = pl.col("text").str.extract_groups(f"^{_PATTERNS[dates]}{_CLOCK}")
            read = (
                frame.select(parts.alias("parts"))
                .unnest("parts")
                .select(_of_parts())
                .select(_placed(form, zone))
            )
            frame = frame.with_columns(pl.coalesce("number", read.to_series()).alias("number"))
    return frame["number"].alias(texts.name)


def _of_parts() -> tuple[pl.Expr, ...]:
    """``timestamp`` (UTC where it is ``zoned``), and whether it is a ``day`` alone, of a pattern's groups."""
    hour = pl.col("hour").cast(pl.Int64).fill_null(0)
    half = pl.col("half").str.to_lowercase()
    of_twelve = pl.when(hour.is_between(1, 12)).then(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
    hour = pl.when(half.is_null()).then(hour).otherwise(of_twelve)
    minute, second = (pl.col(name).cast(pl.Int64).fill_null(0) for name in ("minute", "second"))
    fraction = pl.col("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    end_of_day = (hour == 24) & (minute == 0) & (second == 0) & (fraction == 0)
    valid = end_of_day | ((hour < 24) & (minute < 60) & (second < 60))
    day = pl.concat_str("year", pl.col("month").str.zfill(2), pl.col("day").str.zfill(2), separator="-")
    start = day.str.to_datetime("%Y-%m-%d", time_unit="us", strict=False, exact=True)
    offset = pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64).fill_null(0)
    offset = pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset).fill_null(0)
    # The offset is taken off: with one, the result is UTC.
    clock = pl.duration(hours=hour, minutes=minute - offset, seconds=second, microseconds=fraction)
    return (
        pl.when(valid).then(within_calendar(start, "us") + clock).alias("timestamp"),
        (pl.col("utc").is_not_null() | pl.col("sign").is_not_null()).alias("zoned"),
        pl.col("hour").is_null().alias("day"),
    )
