"""Which characters a person sees, and how the others are written so that they are seen too.

``str.isprintable`` is the ground: it refuses control, bidirectional and other format characters, line and
paragraph separators, every space but the usual one, lone surrogates, and what no one has assigned. Unicode
calls some more "default ignorable" that Python lets pass, and a few that it does not are drawn as nothing.
A terminal draws any number of combining marks over one another, and so over the lines above: hence the limit.
"""

import re
import unicodedata
from functools import lru_cache

MOST_MARKS = 4
"""Combining marks in a row: three stand on a letter in pointed Hebrew, four in Tibetan; towers have dozens."""

_UNSEEN = frozenset(
    map(
        chr,
        (
            0x034F,  # combining grapheme joiner
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x17B4, 0x17B5),  # Khmer inherent vowels
            *range(0x180B, 0x1810),  # Mongolian variation selectors
            0x2800,  # a Braille pattern without dots
            *range(0xFE00, 0xFE10),  # variation selectors
            *range(0xE0100, 0xE01F0),  # and their supplement
            0x1D159,  # a note without a head
            0xFFFC,  # the place of an object that is not there
        ),
    )
)


_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
"""Alphabets whose letters look like one another's."""


def is_visible(text: str) -> bool:
    """Whether a person sees every character of a text, in its place: ``escape`` would change nothing."""
    return (text.isascii() and text.isprintable()) or not any(seen is False for _, seen in _looked_at(text))


def escape(text: str) -> str:
    r"""Write what cannot be seen as ``\x1b``, ``\n``, ``\u202e``; what can be seen stays."""
    if is_visible(text):
        return text
    return "".join(
        one if seen else one.encode("unicode_escape").decode("ascii") for one, seen in _looked_at(text)
    )


def has_word_of_two_alphabets(text: str) -> bool:
    """Whether a word mixes letters of alphabets that look alike: a reader takes it for another word."""
    return any(
        len({alphabet for alphabet in map(_alphabet, word) if alphabet}) > 1
        for word in re.findall(r"\w+", text)
    )


@lru_cache(4096)
def _alphabet(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((alphabet for alphabet in _ALPHABETS if name.startswith(alphabet)), "")


def _looked_at(text: str) -> list[tuple[str, bool]]:
    """Give each character, and whether it can be seen: a mark needs a letter to stand on."""
    looked, marks = [], MOST_MARKS
    for one in text:
        seen = one.isprintable() and one not in _UNSEEN
        if seen and unicodedata.category(one) in ("Mn", "Me"):
            marks += 1
            seen = marks <= MOST_MARKS
        else:
            marks = 0 if seen else MOST_MARKS
        looked.append((one, seen))
    return looked
