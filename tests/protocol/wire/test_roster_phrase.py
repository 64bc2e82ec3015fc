"""A roster as eight words: one spelling, no order; what fewer words would be worth, and that they are refused."""

import hashlib
from itertools import count

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.spoken_words import BITS_PER_WORD, SPOKEN_WORDS
from wardround.protocol.wire.roster_phrase import (
    PHRASE_COST,
    PHRASE_WORDS,
    ScryptCost,
    phrase_words,
    require_same_phrase,
    roster_phrase,
)
from wardround.protocol.wire.signing import public_key_text

CHEAP = ScryptCost(n=2, r=1, p=1)


def key(word: str) -> str:
    return public_key_text(hashlib.sha256(word.encode()).digest())


ANNA, BERT, CARL = key("anna"), key("bert"), key("carl")
GROUND = 2762518, 458196
ROSTER = {"anna": ANNA, "bert": BERT, "carl": CARL}


def shown_to_anna(number: int) -> dict[str, str]:
    """What a server that lies tells anna: its own keys are bert's and carl's."""
    return {"anna": ANNA, "bert": key(f"fake {number}"), "carl": key("fake carl")}


def shown_to_bert(number: int) -> dict[str, str]:
    return {"anna": key(f"fake {number}"), "bert": BERT, "carl": key("fake carl")}


def test_a_roster_has_one_phrase_in_any_order() -> None:
    words = roster_phrase(ROSTER, CHEAP)
    assert words == roster_phrase(dict(reversed(ROSTER.items())), CHEAP)
    assert len(words.split()) == PHRASE_WORDS
    assert PHRASE_WORDS * BITS_PER_WORD == 88
    # Held: a meeting's hospitals may have different releases.
    assert words == "bubble estate plywood knife supreme nickel good taffeta"


@pytest.mark.slow
def test_the_phrase_at_its_usual_cost() -> None:
    assert roster_phrase(ROSTER) == "maybe trouble gelatin burden lollipop peony north render"


def test_another_key_name_or_hospital_has_another_phrase() -> None:
    swapped = {"anna": BERT, "bert": ANNA, "carl": CARL}
    others = [
        swapped,
        {**ROSTER, "carl": key("fake carl")},
        {"anna": ANNA, "bert": BERT, "karl": CARL},
        {**ROSTER, "dora": key("dora")},
        {"anna": ANNA, "bert": BERT},
    ]
    phrases = {roster_phrase(one, CHEAP) for one in [ROSTER, *others]}
    assert len(phrases) == len(others) + 1


def test_the_words_are_scrypts_from_the_top_bit() -> None:
    """An independent reading: RFC 7914 over the canonical JSON, then a number to the base of 2,048."""
    spelt = f'{{"anna":"{ANNA}","bert":"{BERT}","carl":"{CARL}"}}'.encode()
    digest = hashlib.scrypt(spelt, salt=b"wardround roster phrase 1", n=2, r=1, p=1, dklen=32)
    bits = "".join(f"{byte:08b}" for byte in digest)
    expected = [SPOKEN_WORDS[int(bits[at : at + 11], 2)] for at in range(0, 88, 11)]
    assert roster_phrase(ROSTER, CHEAP).split() == expected


def test_a_trial_costs_128_mib_and_not_less_for_a_shorter_phrase() -> None:
    assert 128 * PHRASE_COST.n * PHRASE_COST.r == 128 * 2**20
    assert PHRASE_COST.p == 4


def colliding(words: int) -> tuple[int, int]:
    """Grind as such a server would: rosters for anna and for bert until one of each reads the same."""
    first: dict[tuple[str, ...], int] = {}
    second: dict[tuple[str, ...], int] = {}
    for number in count():
        one = phrase_words(shown_to_anna(number), words, CHEAP)
        other = phrase_words(shown_to_bert(number), words, CHEAP)
        first.setdefault(one, number)
        second.setdefault(other, number)
        if one in second:
            return number, second[one]
        if other in first:
            return first[other], number
    raise AssertionError


def test_two_words_are_ground_in_a_moment() -> None:
    """22 bits: some 2¹¹ trials, since the server chooses keys in both rosters."""
    left, right = colliding(2)
    assert max(left, right) < 20_000


def test_a_phrase_of_44_bits_was_ground() -> None:
    """Two rosters that a server found in 3 million trials of each kind: one for anna, one for bert, four words alike.

    Neither holds the other's true key. At this cost of a trial it took minutes on one core; at eight words the same
    search is 2⁴⁴ trials, each of two seconds and 128 MiB.
    """
    one, other = shown_to_anna(GROUND[0]), shown_to_bert(GROUND[1])
    assert phrase_words(one, 4, CHEAP) == phrase_words(other, 4, CHEAP)
    assert one["bert"] != BERT
    assert other["anna"] != ANNA
    # What saves them: the other four words.
    assert roster_phrase(one, CHEAP) != roster_phrase(other, CHEAP)


@pytest.mark.parametrize("many", [0, 1, 4, 7, 9])
def test_a_phrase_of_another_length_is_refused_though_its_words_are_right(many: int) -> None:
    heard = " ".join(phrase_words(ROSTER, many, CHEAP))
    with pytest.raises(ConfigurationError, match="must be all 8 words"):
        require_same_phrase(heard, roster_phrase(ROSTER, CHEAP))


def test_the_words_of_another_roster_are_refused() -> None:
    heard = roster_phrase(ROSTER, CHEAP)
    require_same_phrase(f"  {heard.upper()} ", heard)
    with pytest.raises(ConfigurationError, match="somebody has another roster"):
        require_same_phrase(heard, roster_phrase({**ROSTER, "carl": key("fake carl")}, CHEAP))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"anna": ANNA, "bert": ANNA},
        {"an na": ANNA},
        {"anna": ANNA + " "},
        {"anna": "ed25519:" + "A" * 43},
    ],
)
def test_what_has_another_spelling_has_no_phrase(spoilt: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        roster_phrase(spoilt, CHEAP)
