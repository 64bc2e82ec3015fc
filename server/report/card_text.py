"""A plain document, sections of paragraphs, lists and tables, as Markdown and as one self-contained HTML page."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#f6f7f9;margin:0}
main{max-width:56rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
section{background:#fff;border:1px solid #e1e5ea;border-radius:.5rem;padding:.25rem 1.25rem 1rem;margin-top:1rem}
.mark{font-weight:600;padding:.75rem 1.25rem;border-radius:.5rem;margin:1rem 0;border:1px solid}
.yes{background:#eaf5ee;border-color:#9ccfae}.no{background:#fdf0e7;border-color:#eab98f}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;width:100%}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #e9ecf0;vertical-align:top}
th{color:#5a6675;font-weight:600}td+td{font-variant-numeric:tabular-nums}
figure{margin:1rem 0}figcaption{font-size:.9rem;color:#5a6675;max-width:42rem}
code{font-size:.85em;overflow-wrap:anywhere}
"""


@dataclass(frozen=True)
class Items:
    """A list."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class CardTable:
    """A table with a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CardFigure:
    """A picture of our own making, as SVG, with its words; Markdown has the words alone."""

    svg: str
    caption: str


Block = str | Items | CardTable | CardFigure


@dataclass(frozen=True)
class CardSection:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


def to_markdown(title: str, mark: str, sections: Sequence[CardSection]) -> str:
    """Write Markdown; texts that came from data cannot make markup."""
    parts = [f"# {_plain(title)}", f"**{_plain(mark)}**"]
    for section in sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [_markdown(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def to_html(title: str, mark: str, good: bool, sections: Sequence[CardSection]) -> str:
    """Write one page that fetches nothing and runs nothing; every text is escaped."""
    body = "".join(
        f"<section><h2>{html.escape(section.title)}</h2>{''.join(map(block_html, section.blocks))}</section>\n"
        for section in sections
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body><main>"
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="mark {"yes" if good else "no"}">{html.escape(mark)}</p>\n{body}</main></body></html>\n'
    )


def _markdown(block: Block) -> str:
    if isinstance(block, str):
        return _plain(block)
    if isinstance(block, Items):
        return "\n".join(f"- {_plain(line)}" for line in block.lines)
    if isinstance(block, CardFigure):
        return _plain(block.caption)
    rule = "|".join("---" for _ in block.header)
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in (block.header, *block.rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _plain(text: str) -> str:
    """Keep letters and take the meaning from Markdown's own characters."""
    # On one line: a text with line feeds of its own could begin a heading or a list.
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def block_html(block: Block) -> str:
    """Write one block as HTML, escaped."""
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    if isinstance(block, Items):
        return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in block.lines) + "</ul>"
    if isinstance(block, CardFigure):
        return f"<figure>{block.svg}<figcaption>{html.escape(block.caption)}</figcaption></figure>"
    header = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
    )
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>'
