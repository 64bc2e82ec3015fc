"""How one table is written: separator, encoding, decimals, dates, time zone, and the words for yes, no and missing.

What a person sets stands. What nobody set is sniffed from the file's first line alone (``client.connectors.files``),
never from patients' cells: one of them must not change how another patient's are read.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from wardround.protocol.text.section import Section

DATES = (
    "DD/MM/YYYY",
    "MM/DD/YYYY",
    "DD.MM.YYYY",
    "YYYY/MM/DD",
    "YYYYMMDD",
    "epoch_seconds",
    "epoch_milliseconds",
    "excel_days",
)
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1")
END_ROWS, IN_CELLS = "end_rows", "in_cells"
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """Settings of one table; the defaults are what is done where nobody says anything.

    separator, encoding: None is sniffed. newlines: whether a line feed always ends a row, or not within quotes. dates:
    how a date may be written beside ISO 8601, which is always read; day and month are never guessed; excel_days are
    Excel's day numbers (1900 system). timezone: the zone of times without one; None is the hospital's own. true,
    false, missing: words beside the usual ones.
    """

    separator: str | None = None
    quote: str = '"'
    newlines: str = END_ROWS
    encoding: str | None = None
    header: bool = True
    sheet: str | None = None
    decimal: str = "."
    thousands: str = ""
    dates: str | None = None
    timezone: str | None = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


PLAIN = TableFormat()


_SEPARATOR_WORDS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def describe_format(form: TableFormat) -> str:
    """Return one line that says how a table is read: what was set, what was sniffed, and how dates are read."""
    names = "first line names the columns" if form.header else "no line of names"
    lasting = form.newlines == IN_CELLS
    words = {"yes": form.true, "no": form.false, "missing": form.missing}
    parts = [
        f"separator {_SEPARATOR_WORDS.get(form.separator, form.separator)}" if form.separator else "",
        f"quote {form.quote or 'none'}" if form.quote != '"' else "",
        form.encoding.upper() if form.encoding else "",
        f"sheet {form.sheet}" if form.sheet else "",
        names if form.separator or form.sheet else "",
        "quoted cells may hold line feeds, so a broken quote may take rows after it" if lasting else "",
        "decimal comma" if form.decimal == "," else "",
        f"thousands {'space' if form.thousands == ' ' else form.thousands}" if form.thousands else "",
        f"dates {form.dates or 'ISO 8601'}",
        f"times without a zone in {form.timezone}" if form.timezone else "",
        *(f"{name} {' or '.join(texts)}" for name, texts in words.items() if texts),
    ]
    return ", ".join(part for part in parts if part)


def format_from_section(section: Section) -> TableFormat:
    """Read the setting ``format`` of a table; ConfigurationError names key, value and what is allowed."""
    found = TableFormat(
        separator=_separator(section),
        quote=section.choice("quote", ('"', "'", ""), '"'),
        newlines=section.choice("newlines", (END_ROWS, IN_CELLS), END_ROWS),
        encoding=section.choice("encoding", _ENCODINGS) if section.has("encoding") else None,
        header=section.boolean("header", True),
        sheet=section.optional_text("sheet"),
        decimal=section.choice("decimal", (".", ","), "."),
        thousands=section.choice("thousands", ("", ",", ".", " ", "'"), ""),
        dates=section.choice("dates", DATES) if section.has("dates") else None,
        timezone=zone_from_section(section, "timezone"),
        true=section.texts("true", ()),
        false=section.texts("false", ()),
        missing=section.texts("missing", ()),
    )
    section.finish()
    if found.newlines == IN_CELLS and not found.quote:
        raise section.fail("newlines", "needs a quote: without one every line feed ends a row")
    if found.decimal == found.thousands:
        raise section.fail("thousands", "must be another character than decimal")
    both = {word.strip().lower() for word in found.true} & {word.strip().lower() for word in found.false}
    if both:
        raise section.fail("true", "and false share a word; give each word one meaning")
    return found


def zone_from_section(section: Section, key: str) -> str | None:
    """Read the name of a time zone (IANA, as in Europe/Madrid); None where it is not given."""
    if not section.has(key):
        return None
    name = section.text(key)
    try:
        ZoneInfo(name)
        pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(name)  # polars brings its own list
    except (KeyError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise section.fail(key, "must be a time zone, as in Europe/Madrid or UTC") from error
    return name


def _separator(section: Section) -> str | None:
    value = section.value("separator", None)
    if value is None:
        return None
    word = "\t" if value in ("tab", "\\t", "\t") else value
    if word not in SEPARATORS:
        raise section.fail("separator", "must be one of , ; | or tab")
    return str(word)
