"""A study's hospitals and their signing keys as eight words, which a meeting can read aloud.

Whoever reads the same words has the same roster: no server put a key of its own in the place of a hospital's, for any
of them. So one meeting does for everybody what telephone calls do for two.

How hard it is to cheat. A server that shows two rosters to two hospitals chooses keys in both. So it need not hit
given words: any two of its rosters that agree will do, and of 88 bits it needs about 2⁴⁴ trials, not 2⁸⁸. Each trial is
one scrypt of 128 MiB, some two seconds of one core: two million core years. At four words (44 bits) it would be 2²²
trials, which is why fewer than eight words are refused, also as the first ones of eight
(``tests/protocol/wire/test_roster_phrase.py`` grinds such a phrase).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.spoken_words import BITS_PER_WORD, SPOKEN_WORDS
from wardround.protocol.text.text import checked_name
from wardround.protocol.wire.signing import checked_public_key

PHRASE_WORDS = 8
_SALT = b"wardround roster phrase 1"
_MEMORY = 2**20  # bytes beside scrypt's blocks


@dataclass(frozen=True)
class ScryptCost:
    """What one phrase costs to compute (RFC 7914): memory is 128 n r bytes, time is n r p."""

    n: int
    r: int
    p: int


# p raises the time and not the memory, which a hospital's small machine must have.
PHRASE_COST = ScryptCost(n=2**17, r=8, p=4)


def roster_phrase(members: Mapping[str, str], cost: ScryptCost = PHRASE_COST) -> str:
    """Give the eight words of a roster, hospital → signing key; the order of the mapping does not matter.

    cost: another than the usual for tests alone. ConfigurationError for a name or key that is not in its one
    spelling, and where two hospitals have one key.
    """
    return " ".join(phrase_words(members, PHRASE_WORDS, cost))


def require_same_phrase(heard: str, phrase: str) -> None:
    """Return where a meeting heard this roster's phrase; else ConfigurationError.

    Spaces and upper case do not count. Another number of words is refused before anything is compared: fewer could
    be ground.
    """
    words = heard.lower().split()
    line = f"must be all {PHRASE_WORDS} words of the roster: fewer could be imitated"
    require(len(words) == PHRASE_WORDS, "roster", f"{len(words)} words", line)
    if words != phrase.split():
        raise ConfigurationError(
            "roster: the words that you were told are not those of these terms: somebody has another roster; "
            "nothing was done: compare each hospital's key by telephone"
        )


def phrase_words(members: Mapping[str, str], count: int, cost: ScryptCost) -> tuple[str, ...]:
    """Give so many words of a roster; for the tests, which show what fewer than eight are worth."""
    for name, key in members.items():
        checked_name(name, "roster")
        checked_public_key(key)
    require(len(set(members.values())) == len(members), "roster", "…", "two hospitals have one signing key")
    spelt = canonical_json(dict(members))
    room = 128 * cost.r * (cost.n + cost.p) + _MEMORY
    digest = hashlib.scrypt(spelt, salt=_SALT, n=cost.n, r=cost.r, p=cost.p, maxmem=room, dklen=32)
    bits = int.from_bytes(digest, "big")
    return tuple(
        SPOKEN_WORDS[bits >> (256 - BITS_PER_WORD * (place + 1)) & (2**BITS_PER_WORD - 1)]
        for place in range(count)
    )
