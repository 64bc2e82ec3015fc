"""The patients key has one hash and a label for each use; what was hashed before is hashed the same for good.

The values were recorded from the code before it was put into one place.
"""

import hashlib
from itertools import combinations

import polars as pl
import pytest

from wardround.client.gate.identity import hospital_key, identify
from wardround.client.gate.keyed_hash import EXPLORED, JOURNAL, STAFF, USES, WHO, KeyedHash
from wardround.client.outreach.journal.tokens import tokens
from wardround.client.outreach.measure.arms import uniform

KEY, LONG = bytes(range(32)), b"k" * 70
NAMES = ["P1", "é 2"]


def test_no_two_uses_share_a_label_and_no_digest_says_anything_of_another() -> None:
    for one, other in combinations(USES, 2):
        assert one.label != other.label
        assert KeyedHash(KEY, one)(b"P1")[:8] != KeyedHash(KEY, other)(b"P1")[:8]
    assert all(len(use.label) <= 16 and len(KeyedHash(KEY, use)(b"P1")) == use.size for use in USES)


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (KEY, [(4681691881439497428, 12664451650830517403, 13734222499713776853),
               (16272795392443264295, 15794984916782144988, 1527699434713908495)]),
        (LONG, [(2344706356814170307, 9973383068946320514, 3118785871140908711),
                (11803946459276682532, 5484144376228095132, 3094165690501402678)]),
    ],
)  # fmt: skip
def test_patients_keep_their_halves_and_draws(key: bytes, rows: list[tuple[int, ...]]) -> None:
    found = identify(pl.DataFrame({"patient": NAMES}), key)
    assert found.select("token_high", "token_low", "seed").rows() == rows


@pytest.mark.parametrize(
    ("key", "inner", "token"),
    [
        (KEY, "ecc71efae9a1169a4e849f9d417fa1015e4baf729879ec3389ab32f9340e1eb8", 2962214008847804418),
        (LONG, "1ee2716f58e82bfa6bc65a295d5b383a8cc50226463b57530b3a33fef10c44fb", 4242795323576298481),
    ],
)
def test_hospitals_of_a_simulation_keep_their_keys(key: bytes, inner: str, token: int) -> None:
    assert hospital_key(key, "north").hex() == inner
    assert identify(pl.DataFrame({"patient": ["P1"], "hospital": ["north"]}), key)["token_high"][0] == token


def test_journals_keep_their_tokens() -> None:
    found = {use: tokens(pl.Series([*NAMES, None]), KEY, use).to_list() for use in (JOURNAL, STAFF)}
    assert found[JOURNAL] == ["601ad0301cf50e8126f637259c6664a9", "c50ffd1de099b56713528992cc437512", None]
    assert found[STAFF] == ["ab12504d9f48b43806971be68df9053d", "3558f85a299c5f4e0cb70d64e5014a55", None]
    assert tokens(pl.Series(NAMES), LONG, STAFF).to_list() == [
        "b34a35ca4a6230a54a5b52e38dcdf964",
        "af30c8464fffca78ee206afec753e53a",
    ]


def test_patients_keep_their_arms_and_draws_among_equal_modules() -> None:
    arms = [float(one).hex() for one in uniform(NAMES, KEY, "calls-2026")]
    assert arms == ["0x1.fb7dfe139acdcp-2", "0x1.3a7bec50e7d1ep-2"]
    assert float(uniform(["P1"], KEY, "calls-2026", EXPLORED)[0]).hex() == "0x1.19b322055fa30p-5"


def test_the_ledger_keeps_who_is_one_patient() -> None:
    """As ``home.patients_known`` hashed it, by the library's own call."""
    before = hashlib.blake2b(b"column", key=KEY, digest_size=32, person=b"wardround who").digest()
    assert KeyedHash(KEY, WHO)(b"column") == before
