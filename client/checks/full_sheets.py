"""Tables that end exactly where a spreadsheet does: what an export had beyond is gone, withdrawals among it."""

_SHEETS = (2**16, 2**20)
"""Rows of an .xls and of an .xlsx sheet."""
FULL = "as many as a spreadsheet holds: the rest of the export may be cut off"
FULL_REMEDY = "export it as CSV, without a spreadsheet on the way, or as Parquet"


def full(rows: int) -> bool:
    """Whether a table fills a sheet, with its line of names or without.

    >>> full(1_048_575), full(65_536), full(65_534)
    (True, True, False)
    """
    return rows in _SHEETS or rows + 1 in _SHEETS
