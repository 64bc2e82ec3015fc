"""A model card for a page: the Markdown that ``server.report.card_text`` wrote, taken apart again. Pure.

Only what that writes is understood; anything else is a paragraph. Each part is text, and escaped like any other.
"""

import re
from typing import Any

_ESCAPED = re.compile(r"\\([\\`*_\[\]<>|#])")
_CELL = re.compile(r"((?:[^\\|]|\\.)*)\|")
TITLE, HEADING, MARK, LIST, TABLE, TEXT = "title", "heading", "mark", "list", "table", "text"


def card_parts(markdown: str) -> list[dict[str, Any]]:
    """Give the parts in order, by ``kind``: with ``text``, with ``lines``, or with ``header`` and ``rows``."""
    return [_part(block) for block in markdown.strip("\n").split("\n\n") if block]


def _part(block: str) -> dict[str, Any]:
    lines = block.split("\n")
    if block.startswith("# "):
        return {"kind": TITLE, "text": _plain(block[2:])}
    if block.startswith("## "):
        return {"kind": HEADING, "text": _plain(block[3:])}
    if block.startswith("**") and block.endswith("**"):
        return {"kind": MARK, "text": _plain(block[2:-2])}
    if all(line.startswith("- ") for line in lines):
        return {"kind": LIST, "lines": [_plain(line[2:]) for line in lines]}
    if len(lines) > 1 and all(line.startswith("|") for line in lines):
        header, _rule, *rows = map(_cells, lines)
        return {"kind": TABLE, "header": header, "rows": rows}
    return {"kind": TEXT, "text": _plain(block)}


def _cells(line: str) -> list[str]:
    return [_plain(cell.strip()) for cell in _CELL.findall(line[1:])]


def _plain(text: str) -> str:
    """Take back what kept Markdown's own characters from their meaning."""
    return _ESCAPED.sub(r"\1", text)
