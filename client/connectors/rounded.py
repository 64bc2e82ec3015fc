"""Identifiers that a spreadsheet rounded: whom they may still mean.

Excel shows a number of twelve digits as ``4.91761E+11``, and saves it so as CSV. What is left may be every patient
whose number begins so. A withdrawal counts for all of them, whether the rounded number stands where people withdraw or
where patients are known.
"""

import re
from bisect import bisect_left, bisect_right

import polars as pl

from wardround.client.connectors.patient_form import loose_texts, tidied

_EXPONENT = re.compile(r"([0-9])(?:[.,]([0-9]{1,20}))?[eE]\+([0-9]{2})")
_NUMBER = "^[0-9]{1,40}$"
_Range = tuple[int, int]


def are_rounded(texts: pl.Series) -> pl.Series:
    """Say which identifiers, as written, may have lost digits: Boolean.

    >>> are_rounded(pl.Series(["4.91761E+11", "4,9E+11", "4.91761E+05", "12E45", None])).to_list()
    [True, True, False, False, False]
    """
    rounded = [place for place, _ in _ranges(texts)]
    return pl.repeat(False, len(texts), dtype=pl.Boolean, eager=True).scatter(rounded, True)


def whom_rounded_mean(texts: pl.Series, people: pl.DataFrame) -> pl.Series:
    """Give ``index`` (UInt32) of whom a text may mean where one of the two was rounded; nobody where none was.

    texts: identifiers as written. people: index and patient.
    """
    known = people["patient"]
    theirs, ours = _ranges(texts), _ranges(known)
    found: set[int] = set()
    if theirs:
        numbers = sorted(_numbers(known))
        for low, high in _merged([span for _, span in theirs]):
            found |= {
                place
                for _, place in numbers[bisect_left(numbers, (low, 0)) : bisect_left(numbers, (high + 1, 0))]
            }
    if ours:
        named = _merged([*(span for _, span in theirs), *((one, one) for one, _ in _numbers(texts))])
        lows = [low for low, _ in named]
        for place, (low, high) in ours:
            last = bisect_right(lows, high) - 1
            if last >= 0 and named[last][1] >= low:
                found.add(place)
    return people["index"].gather(sorted(found)).sort()


def _merged(ranges: list[_Range]) -> list[_Range]:
    """Join ranges that overlap, so that no patient is looked at for thousands of them; ascending."""
    joined: list[_Range] = []
    for low, high in sorted(set(ranges)):
        if joined and low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined


def _ranges(texts: pl.Series) -> list[tuple[int, _Range]]:
    """Give place and range of numbers of each text that may have lost digits."""
    # By the raw text first: nearly all tables have none, and a million texts take seconds to tidy.
    looks = texts.str.contains(r"[eE]\+[0-9]").fill_null(False)
    places = looks.arg_true()
    if places.is_empty():
        return []
    seen = tidied(texts.gather(places))
    kept = seen.str.contains(f"^{_EXPONENT.pattern}$").fill_null(False)
    each = zip(places.filter(kept).to_list(), seen.filter(kept).to_list(), strict=True)
    return [(place, span) for place, text in each if (span := _range(text)) is not None]


def _range(text: str) -> _Range | None:
    whole, fraction, power = _EXPONENT.fullmatch(text).groups(default="")  # type: ignore[union-attr]
    lost = int(power) - len(fraction)
    if lost <= 0:
        return None
    value = int(whole + fraction) * 10**lost
    return value - 10**lost // 2, value + 10**lost // 2


def _numbers(texts: pl.Series) -> list[_Range]:
    """Give number and place of each text that is a whole number, whatever signs stand between its digits."""
    loose = loose_texts(texts)
    places = loose.str.contains(_NUMBER).fill_null(False).arg_true()
    return [(int(text), place) for text, place in zip(loose.gather(places), places, strict=True)]
