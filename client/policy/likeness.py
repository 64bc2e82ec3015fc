"""Whether two names may be one person's: misspelt, in another order, shortened, or in letters that look alike. Pure.

Every name is spelt by how it looks (after UTS 39, for the letters of names): compatibility forms, accents and capitals
are gone, and Cyrillic and Greek letters are the Latin ones that a reader takes them for.
"""

import unicodedata
from functools import lru_cache
from itertools import permutations

_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХЬаеѕіјкмнорстухьвгпԁԛԝӏ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβεηικνορτυχςωγ" + "øłđı0",  # noqa: RUF001
    "ABESIJKMHOPCTYXbaesijkmhopctyxbbrndqwl" + "ABEZHIKMNOPTYXabenikvoptuxcwy" + "oldio",
)
_DRAWN = (("æ", "ae"), ("œ", "oe"), ("rn", "m"), ("vv", "w"), ("cl", "d"), ("i", "l"), ("1", "l"), ("|", "l"))
_LONG = 8
"""From so many letters on, two wrong ones are taken for a slip; below, one is."""
_MOST_WORDS_TO_ORDER = 4


def could_be_one(one: str, other: str) -> bool:
    """Whether two names could be one person's. Doubt says yes: people then say that they are two.

    >>> could_be_one("López, M.", "Maria Lopez"), could_be_one("Grace Hoper", "Hopper Grace")
    (True, True)
    >>> could_be_one("Ada Byron", "Ida Rhodes")
    False
    """
    fewer, more = sorted((_words(one), _words(other)), key=len)
    if all(any(_fits(word, another) for another in more) for word in fewer):
        return True
    # "GraceHopper" and "Grace Hopper": the same letters, cut elsewhere.
    whole = "".join(fewer)
    return len(fewer) != len(more) and any(
        _slip("".join(order), whole) for order in permutations(more[:_MOST_WORDS_TO_ORDER])
    )


def comparable(one: str, other: str) -> bool:
    """Whether two names are of one and the same script, so that ``could_be_one`` can tell them apart.

    >>> comparable("Мария Иванова", "Maria Ivanova"), comparable("Maria Иванова", "Maria Ivanova")
    (False, False)
    >>> comparable("Maria Ivanova", "Grace Hopper")
    True
    """
    scripts = _scripts(one)
    return len(scripts) == 1 and scripts == _scripts(other)


def has_letters(name: str) -> bool:
    """Whether there is anything to compare."""
    return bool(_words(name))


@lru_cache(4096)
def _scripts(name: str) -> frozenset[str]:
    letters = filter(str.isalpha, unicodedata.normalize("NFKC", name))
    return frozenset(unicodedata.name(letter, "?").partition(" ")[0] for letter in letters)


@lru_cache(4096)
def _words(name: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).translate(_ALIKE).casefold())
    seen = "".join(one for one in plain.translate(_ALIKE) if not unicodedata.combining(one))
    for drawn, alike in _DRAWN:
        seen = seen.replace(drawn, alike)
    return tuple(sorted("".join(one if one.isalnum() else " " for one in seen).split()))


def _fits(word: str, another: str) -> bool:
    shorter, longer = sorted((word, another), key=len)
    return longer.startswith(shorter) if len(shorter) == 1 else _slip(word, another)


def _slip(one: str, other: str) -> bool:
    """Whether one text is the other, typed wrongly."""
    most = 1 if min(len(one), len(other)) < _LONG else 2
    # Each slip changes at most two letters of the set: most pairs are told apart by this alone.
    if abs(len(one) - len(other)) > most or (_letters(one) ^ _letters(other)).bit_count() > 2 * most:
        return False
    return _distance(one, other) <= most


@lru_cache(4096)
def _letters(word: str) -> int:
    found = 0
    for letter in word:
        found |= 1 << (ord(letter) & 63)
    return found


@lru_cache(4096)
def _distance(one: str, other: str) -> int:
    """Count letters put in, left out, exchanged, or swapped with their neighbour (optimal string alignment)."""
    before, row = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, another in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != another))
            if i > 1 and j > 1 and (letter, another) == (other[j - 2], one[i - 2]):
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
