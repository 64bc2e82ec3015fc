"""What a text must not say: guilt, fear, shame, false urgency, claims; and what must not hide in it.

The phrases are the hospital's own, by language (``guidelines.yaml``). They are compared as readers read: without
regard to capitals, accents, punctuation and line breaks. A ``*`` at a word's end stands for its other endings, and at
a phrase's start for other beginnings. A list finds what is on it and no more: people read each text before they
approve it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from wardround.protocol.characters import has_word_of_two_alphabets

CATEGORIES = ("guilt", "fear", "shame", "false_urgency", "claims")
_MARKUP = re.compile(r"<[A-Za-z/!?]|&#?\w+;|!\[|\]\(")
_TEMPLATE = re.compile(r"[{}]")


def phrases_found(text: str, phrases: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Give each category and phrase that a text holds. phrases: by category, in the text's language."""
    read = as_read(text)
    for category, listed in phrases.items():
        for phrase in listed:
            if _pattern(phrase).search(read):
                yield category, phrase


def hidden_faults(text: str) -> Iterator[str]:
    """Say what a reader would not see as it is: markup, braces that are no placeholder, words of two alphabets.

    text: without its placeholders.
    """
    if _MARKUP.search(text):
        yield "holds markup; write plain text (no HTML, no images)"
    if _TEMPLATE.search(text):
        yield "holds a brace that belongs to no placeholder; a placeholder is {name} in small letters"
    if has_word_of_two_alphabets(text):
        yield "holds a word with letters of two alphabets, which look alike"


def as_read(text: str) -> str:
    """Spell a text in small letters without accents, its words between single spaces.

    >>> as_read("Don't  call, por\u2011favor: ¡ALTÓ!")
    'don t call por favor alto'
    """
    return " ".join(re.findall(r"[^\W_]+|\*", bare_letters(text)))


def bare_letters(text: str) -> str:
    """Spell a text in small letters without accents; all else stays."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


@lru_cache(2000)
def _pattern(phrase: str) -> re.Pattern[str]:
    open_start, open_end = phrase.startswith("*"), phrase.endswith("*")
    words = as_read(phrase.strip("*").replace("*", " * ")).split()
    # Bounded, so that no text makes a phrase take more than one pass over it.
    joined = " ".join(map(re.escape, words)).replace(r" \*", r"[^\W_]{0,40}")
    return re.compile(("" if open_start else r"(?<![^\W_])") + joined + ("" if open_end else r"(?![^\W_])"))
