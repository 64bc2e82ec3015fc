"""How hard a text is to read, by a published formula of its own language; None for a language without one here.

Only formulas that count letters, words and sentences: syllables need a dictionary of each language (textstat's is
fetched from the network when it is first used). A short text bounds little: a level is a hint to rewrite, not a proof.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardround.client.outreach.content.language import base_language

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)|\n{2,}")
_LONG_WORD = 6  # letters; a LIX long word has more


@dataclass(frozen=True)
class Counts:
    """What a formula reads of a text: numbers of letters and digits, words, sentences, words of over six letters."""

    letters: int
    words: int
    sentences: int
    long_words: int


@dataclass(frozen=True)
class Formula:
    """name: with author and year. unit: what its number is called. higher_is_easier: which way its bound holds."""

    name: str
    unit: str
    higher_is_easier: bool
    level: Callable[[Counts], float]

    def holds(self, level: float, bound: float) -> bool:
        """Whether a level is within the bound."""
        return level >= bound if self.higher_is_easier else level <= bound


def _coleman_liau(of: Counts) -> float:
    return 5.88 * of.letters / of.words - 29.6 * of.sentences / of.words - 15.8


def _gutierrez_de_polini(of: Counts) -> float:
    return 95.2 - 9.7 * of.letters / of.words - 0.35 * of.words / of.sentences


def _gulpease(of: Counts) -> float:
    return 89 + (300 * of.sentences - 10 * of.letters) / of.words


def _lix(of: Counts) -> float:
    return of.words / of.sentences + 100 * of.long_words / of.words


_LIX = Formula("LIX (Björnsson 1968)", "LIX", False, _lix)
FORMULAS: Mapping[str, Formula] = {
    "en": Formula("Coleman–Liau (1975)", "school grade", False, _coleman_liau),
    "es": Formula("Gutiérrez de Polini (1972)", "of 100, higher is easier", True, _gutierrez_de_polini),
    "it": Formula("Gulpease (1988)", "of 100, higher is easier", True, _gulpease),
    "de": _LIX,
    "sv": _LIX,
    "da": _LIX,
}
"""By language, as in ``en``."""


def reading_level(text: str, language: str) -> float | None:
    """Give a text's level in its language's formula; None where there is no formula, or no word.

    text: without placeholders. language: as in ``en`` or ``en-US``.
    """
    formula, counts = formula_of(language), count(text)
    return formula.level(counts) if formula is not None and counts.words else None


def formula_of(language: str) -> Formula | None:
    """Find a language's formula, None where it has none here."""
    return FORMULAS.get(base_language(language))


def count(text: str) -> Counts:
    """Count what the formulas read; a text without a full stop is one sentence."""
    words = _WORD.findall(text)
    letters = [sum(one.isalnum() for one in word) for word in words]
    ends = [part for part in _SENTENCE_END.split(text) if _WORD.search(part)]
    return Counts(sum(letters), len(words), max(len(ends), 1), sum(size > _LONG_WORD for size in letters))
