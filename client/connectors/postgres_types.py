"""PostgreSQL's types: how a column of each is asked for, so that no cell can break the statement or the reader.

A cell that the calendar does not hold (``infinity``, a year before Christ) arrives as the first day of the year
10000: given, and not readable. Types that are no single value (interval, array, JSON, …) are refused with what to
write in a view.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from wardround.client.connectors.database import quoted
from wardround.client.connectors.kinds import Kind

CATALOGUE = """
WITH RECURSIVE place AS (SELECT to_regclass($1::text)::oid AS oid),
found(position, name, declared, type) AS (
    SELECT a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid
    FROM pg_attribute a JOIN place ON a.attrelid = place.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT position, name, declared, y.typbasetype FROM found JOIN pg_type y ON y.oid = type WHERE y.typtype = 'd'
)
SELECT name::text, declared, y.typname::text AS type, y.typtype::text AS kind, y.typcategory::text AS category,
    row_security_active((SELECT oid FROM place)) AS secured, current_setting('server_encoding') AS encoding
FROM found JOIN pg_type y ON y.oid = type WHERE y.typtype <> 'd' ORDER BY position
"""
"""Query of a table's columns; domains are followed to the type that they rest on."""

_PLAIN = ("bool", "int2", "int4", "int8", "float4", "float8")
_TEXTS = (
    "text", "varchar", "bpchar", "char", "name", "citext", "uuid", "time", "timetz", "bit", "varbit",
    "inet", "cidr", "macaddr", "macaddr8", "oid",
)  # fmt: skip
_MOMENTS = ("date", "timestamp", "timestamptz")
_REMEDIES = {
    "interval": "extract(epoch FROM {}) / 86400",
    "json": "{} ->> 'key'",
    "jsonb": "{} ->> 'key'",
    "hstore": "{} -> 'key'",
    "bytea": "encode({}, 'hex')",
}
# From LATIN5 on the number is not that of the part of ISO 8859.
_LATIN_PARTS = (1, 2, 3, 4, 9, 10, 13, 14, 15, 16)
_CODECS = {f"LATIN{number}": f"iso8859-{part}" for number, part in enumerate(_LATIN_PARTS, 1)}
_CODECS |= {"KOI8R": "koi8-r", "KOI8U": "koi8-u", "EUC_CN": "gb2312", "SQL_ASCII": "utf-8"}


@dataclass(frozen=True)
class CatalogueColumn:
    """One column as the catalogue has it.

    declared: the type as people write it. type, kind, category: pg_type's of what it rests on.
    """

    name: str
    declared: str
    type: str
    kind: str
    category: str

    @property
    def is_text(self) -> bool:
        """Whether its cells are asked for as text."""
        return self.type in (*_TEXTS, "numeric", "money") or self.kind == "e"

    @property
    def is_decimal(self) -> bool:
        """Whether its cells are exact numbers, of any number of digits."""
        return self.type in ("numeric", "money")

    @property
    def holds(self) -> Kind:
        """Say in a word what its cells are."""
        if self.type in ("int2", "int4", "int8"):
            return "whole"
        if self.is_decimal or self.type in ("float4", "float8"):
            return "number"
        if self.type in _MOMENTS:
            return "timestamp"
        if self.type in ("bool", "uuid"):
            return "truth" if self.type == "bool" else "uuid"
        return "text" if self.is_text else "other"

    @property
    def remedy(self) -> str | None:
        """Say what to write in a view in its place; None where it is read as it is."""
        if self.is_text or self.type in (*_PLAIN, *_MOMENTS):
            return None
        return f"{self._single_value()} AS {quoted(self.name)}"

    def _single_value(self) -> str:
        name = quoted(self.name)
        if self.type in _REMEDIES:
            return _REMEDIES[self.type].format(name)
        if self.category == "A":
            return f"{name}[1]"
        return {"r": f"lower({name})", "c": f"({name}).field"}.get(self.kind, f"{name}::text")


def expression(column: CatalogueColumn, encoding: str) -> str:
    """Write what is asked for; ``encoding`` is the server's: text in any but UTF-8 comes as its bytes.

    A server asked to convert would stop at the first byte that its encoding does not know.
    """
    name = quoted(column.name)
    if column.type in _MOMENTS:
        return _within_calendar(name, column.type)
    if not column.is_text:
        return name
    if column.type == "money":  # as text it has the locale's currency and commas
        name = f"{name}::numeric"
    text = f"trim_scale({name})::text" if column.is_decimal else f"{name}::text"
    # SQL_ASCII as a target means: no conversion.
    return text if encoding == "UTF8" else f"convert_to({text}, 'SQL_ASCII')"


def _within_calendar(name: str, kind: str) -> str:
    first, last, beyond = (f"{kind} '{day}'" for day in ("0001-01-01", "9999-12-31", "10000-01-01"))
    return (
        f"CASE WHEN {name} BETWEEN {first} AND {last} THEN {name} WHEN {name} IS NOT NULL THEN {beyond} END"
    )


def decoder(encoding: str) -> Callable[[bytes], str]:
    """Give what makes text of a cell's bytes; a byte that is not of the encoding becomes a mark, in that cell alone.

    Bytes of SQL_ASCII, which says nothing, are UTF-8, and else cp1252.
    """
    codec = _CODECS.get(encoding, encoding.replace("WIN", "cp").lower())
    try:
        codecs.lookup(codec)
    except LookupError:
        codec = "utf-8"

    def decode(cell: bytes) -> str:
        try:
            return cell.decode(codec)
        except UnicodeDecodeError:
            return cell.decode("cp1252" if codec == "utf-8" else codec, "replace")

    return decode


def readable(
    frame: pl.DataFrame, columns: dict[str, CatalogueColumn], encoding: str, patient: str
) -> pl.DataFrame:
    """Make text of bytes, and floats of exact numbers, except where they name the patient."""
    if encoding != "UTF8":
        decode = decoder(encoding)
        frame = frame.with_columns(
            pl.col(name).map_elements(decode, return_dtype=pl.String)
            for name, column in columns.items()
            if column.is_text
        )
    return frame.with_columns(
        pl.col(name).cast(pl.Float64, strict=False)
        for name, column in columns.items()
        if column.is_decimal and name != patient
    )
