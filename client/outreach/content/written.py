"""A module with its placeholders filled, in the form that its reader needs. What is filled in is text, not syntax.

Each form escapes piece by piece: what the module says, and each value, by the rules of where they go. Nothing is cut
out of a module or put together from two: a module is written whole.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.placeholders import (
    LINK,
    LINKS,
    PREFERENCES,
    looks_like_link,
    pieces,
    placeholder_names,
    value_fault,
)
from wardround.client.outreach.content.sms import sms_size
from wardround.protocol.errors import ConfigurationError

FORMS = ("plain", "html", "large_print", "voice")
_PAGE = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body dir="auto"{style}>{body}</body></html>'
)
_LARGE = ' style="font-family: sans-serif; font-size: 18pt; line-height: 1.5; color: #000; background: #fff"'
"""At least 18 points: the least that counts as large print (American Printing House)."""
_FORMULA = "=+-@\t\r\n"
_CUTS = re.compile(r"([;\t\r\n])")
_CALLS = re.compile(r"[|!=]|[^\W\d_]\(")
"""What a formula that begins with a sign does harm by: a function, another program, another sheet."""


def written(module: Module, values: Mapping[str, str], guidelines: Guidelines, form: str = "plain") -> str:
    """Write a module for one patient. values: placeholder → text; form: one of ``FORMS``.

    ConfigurationError where a value is missing or cannot stand in its placeholder (it names the placeholder, never
    the value), where a text message would take more parts than the guidelines allow, and where a form does not exist.
    """
    if form not in FORMS:
        raise ConfigurationError(f"form={form}: must be one of {', '.join(FORMS)}")
    text = module.spoken if form == "voice" else module.text
    for name in placeholder_names(text):
        if name == LINK:
            continue
        fault = value_fault(name, values.get(name), guidelines.placeholders)
        if fault:
            raise ConfigurationError(f"{module.name}: {fault}")
    # Two values side by side, or one beside the text, may spell what neither does alone.
    if looks_like_link(_filled(text, {**values, **dict.fromkeys(LINKS, " ")}, str)):
        raise ConfigurationError(
            f"{module.name}: with its placeholders filled, it holds what looks like a link"
        )
    if form in ("plain", "voice"):
        filled = _filled(text, {**values, LINK: module.link}, str)
        if module.channel == "sms" and form == "plain":
            _check_parts(module, filled, guidelines)
        return filled
    anchors = {LINK: _anchor(module.link), PREFERENCES: _anchor(values.get(PREFERENCES, ""))}
    return _page(module, _filled(text, values, html.escape, anchors), form)


def _check_parts(module: Module, text: str, guidelines: Guidelines) -> None:
    """Refuse what no check beforehand can rule out: a name of letters that take two units each."""
    most = max(guidelines.most_segments, guidelines.most_segments_other)
    if sms_size(text).segments > most:
        raise ConfigurationError(
            f"{module.name}: with its placeholders filled, it takes more than {most} parts (guidelines.yaml: sms)"
        )


def longest_text(module: Module, guidelines: Guidelines, filler: str) -> str:
    """Write a module with every placeholder at its longest, of one letter."""
    return _filled(
        module.text,
        {LINK: module.link, **{name: filler * most for name, most in guidelines.placeholders.items()}},
        str,
    )


def csv_cell(text: str) -> str:
    """Give a text as a cell that no spreadsheet takes for a formula (OWASP, CSV injection).

    Nor for several cells with one among them: where the list separator is a semicolon, as in most of Europe, a
    spreadsheet that opens the file cuts there, and at line ends, whatever is quoted.

    >>> csv_cell("=1+1"), csv_cell("Ada"), csv_cell("Ada;=1+1")
    ("'=1+1", 'Ada', "Ada;'=1+1")
    """
    # Spreadsheets skip spaces, and take full-width signs for the usual ones.
    first = unicodedata.normalize("NFKC", text).lstrip(" ")[:1]
    start, *others = _CUTS.split(text)
    text = start + "".join(f"'{one}" if _is_formula(one) else one for one in others)
    return f"'{text}" if first and first in _FORMULA else text


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet computes something of this; a number behind a sign, or a list's dash, does no harm."""
    seen = unicodedata.normalize("NFKC", text).lstrip(' "')
    return seen.startswith(("=", "@")) or (seen.startswith(("+", "-")) and bool(_CALLS.search(seen)))


def _filled(
    text: str,
    values: Mapping[str, str],
    escape: Callable[[str], str],
    anchors: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Put values in the place of placeholders in one pass, so that a value is never read for placeholders.

    anchors: what stands in the place of links, which is not escaped again.
    """
    done = []
    for piece in pieces(text):
        if isinstance(piece, str):
            done.append(escape(piece))
        elif piece.name in anchors:
            done.append(anchors[piece.name])
        else:
            done.append(escape(values.get(piece.name, "")))
    return "".join(done)


def _anchor(link: str) -> str:
    address = html.escape(link)
    return f'<a href="{address}" rel="noopener noreferrer" referrerpolicy="no-referrer">{address}</a>'


def _page(module: Module, body: str, form: str) -> str:
    paragraphs = "".join(f"<p>{part.replace(chr(10), '<br>')}</p>" for part in body.split("\n\n") if part)
    return _PAGE.format(
        language=html.escape(module.language),
        title=html.escape(module.subject or module.id),
        style=_LARGE if form == "large_print" else "",
        body=paragraphs,
    )
