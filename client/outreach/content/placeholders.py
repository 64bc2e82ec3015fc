"""Placeholders: the places of a text where a patient's own details go, as in ``{first_name}``. No template language.

A text is cut once into what stands there and placeholders. A value is never looked at again for placeholders, so a
name that spells one stays a name. A value is one visible line within its placeholder's bound, and nothing that a
telephone or a mail program would turn into a link: a first name must not become an address that somebody else chose.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.text.text import is_line

LINK = "link"
"""The placeholder that every module has: its own link, the same for all patients."""
PREFERENCES = "preferences"
"""The placeholder of the message's own link to the patients' page, which the program fills in, and no table."""
LINKS = (LINK, PREFERENCES)

_PLACEHOLDER = re.compile(r"\{([a-z][a-z_]{0,29})\}")
# Telephones turn four numbers with dots between them into a link too; a date has three.
_ADDRESS = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)"
_LINK_LIKE = re.compile(rf"://|//|\bwww\.|@|\w[.](?:xn--|[^\W\d_]{{2,}})|{_ADDRESS}", re.IGNORECASE)
# Browsers read these as dots in a host's name; NFKC turns the full-width one into a usual dot.
_DOTS = str.maketrans(dict.fromkeys((0x3002, 0x2024, 0x2027, 0x30FB), "."))


@dataclass(frozen=True)
class Placeholder:
    """A place in a text."""

    name: str


def pieces(text: str) -> tuple[str | Placeholder, ...]:
    """Cut a text into what stands there and placeholders; a brace that belongs to no placeholder stays where it is.

    >>> pieces("Dear {first_name}, hello")
    ('Dear ', Placeholder(name='first_name'), ', hello')
    """
    cut = _PLACEHOLDER.split(text)
    return tuple(
        Placeholder(part) if index % 2 else part for index, part in enumerate(cut) if index % 2 or part
    )


def placeholder_names(text: str) -> tuple[str, ...]:
    """Name the placeholders of a text, each once, in their order."""
    return tuple(dict.fromkeys(piece.name for piece in pieces(text) if isinstance(piece, Placeholder)))


def without_placeholders(text: str, filler: str = "") -> str:
    """Give a text with ``filler`` in the place of each placeholder."""
    return "".join(filler if isinstance(piece, Placeholder) else piece for piece in pieces(text))


def looks_like_link(text: str) -> bool:
    """Whether a telephone or a mail program may turn part of a text into a link.

    >>> [looks_like_link(text) for text in ("St. Mary, 9 a.m., 12/03", "evil.example/x", "me@example")]
    [False, True, True]
    """
    return _LINK_LIKE.search(unicodedata.normalize("NFKC", text).translate(_DOTS)) is not None


def value_fault(name: str, value: object, allowed: Mapping[str, int]) -> str | None:
    """Say why a value cannot stand in a placeholder, None where it can. It never quotes the value: that is a patient's.

    allowed: placeholder → most characters.
    """
    if name not in allowed:
        return f"placeholder {{{name}}} is not one that the guidelines allow"
    if not is_line(value, allowed[name]):
        return f"placeholder {{{name}}} must be one line of 1 to {allowed[name]} visible characters"
    if name != PREFERENCES and looks_like_link(str(value)):
        return f"placeholder {{{name}}} holds what looks like a link"
    return None
