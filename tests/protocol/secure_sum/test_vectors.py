"""The code gives the bytes and numbers of vectors.json, which a second, slow program made; that one meets the RFCs."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.protocol.secure_sum import oracle
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.discrete_gaussian import discrete_gaussian
from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.secure_sum.keys import StudySecret, public_key
from wardround.protocol.secure_sum.label import Slot, SumLabel
from wardround.protocol.secure_sum.masks import mask_integers, seed_commitment
from wardround.protocol.secure_sum.noise_shares import SumSensitivity, noise_shares
from wardround.protocol.secure_sum.roster import Member, Roster
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, open_share, seal_share, share_digest
from wardround.protocol.secure_sum.sharing import deal_shares, recover_secret
from wardround.protocol.secure_sum.thresholds import Thresholds

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
SECRETS = [StudySecret(bytes.fromhex(secret)) for secret in VECTORS["secrets"]]
SEEDS = [bytes.fromhex(seed) for seed in VECTORS["seeds"]]


def roster() -> Roster:
    told = VECTORS["roster"]
    members = [
        Member(
            member["name"],
            member["signing_key"],
            bytes.fromhex(member["sealing_key"]),
            tuple(map(bytes.fromhex, member["slot_keys"])),
        )
        for member in told["members"]
    ]
    slots = tuple(Slot(**slot) for slot in told["slots"])
    return Roster(told["study"], Thresholds(**told["thresholds"]), slots, tuple(members))


def label() -> SumLabel:
    told = {key: value for key, value in VECTORS["label"].items() if key != "version"}
    told["roster"] = bytes.fromhex(told["roster"])
    return SumLabel(**{**told, "slot": Slot(**told["slot"]), "grid": Grid(**told["grid"])})


def test_the_file_is_what_the_slow_program_prints() -> None:
    assert json.loads(json.dumps(oracle.vectors())) == VECTORS


def test_the_slow_program_meets_the_published_answers() -> None:
    # RFC 7748, 5.2
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    answer = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert oracle.x25519(scalar, point).hex() == answer
    # RFC 5869, A.1, the first 32 bytes
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    derived = oracle.hkdf(bytes([11] * 22), bytes(range(13)), info)
    assert derived.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    # FIPS 197, C.3
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert oracle.aes256(bytes(range(32)), block).hex() == "8ea2b7ca516745bfeafc49904b496089"
    # RFC 8439, 2.3.2 (one block)
    nonce = bytes.fromhex("000000090000004a00000000")
    assert (
        oracle._chacha_block(bytes(range(32)), 1, nonce).hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4")
    )


def test_keys_roster_and_label_have_the_bytes_of_the_vectors() -> None:
    assert [public_key(secret.sealing_key()) for secret in SECRETS] == [
        m.sealing_key for m in roster().members
    ]
    for place, slot in enumerate(roster().slots):
        publics = [public_key(secret.slot_key(slot)) for secret in SECRETS]
        assert publics == [member.slot_keys[place] for member in roster().members]
        assert tuple(publics) == roster().slot_keys(slot)
    assert roster().digest.hex() == VECTORS["roster_digest"]
    assert label().digest().hex() == VECTORS["label_digest"]


def test_masked_vectors_have_the_words_of_the_vectors() -> None:
    digest, slot = label().digest(), label().slot
    for index, secret in enumerate(SECRETS, 1):
        integers = np.array(VECTORS["integers"][index - 1])
        private, seed = secret.slot_key(slot), SEEDS[index - 1]
        masked = mask_integers(integers, index, seed, private, roster().slot_keys(slot), digest)
        assert masked.tolist() == VECTORS["masked"][index - 1]
        assert seed_commitment(seed, index, digest).hex() == VECTORS["commitments"][index - 1]


def test_shares_and_seals_have_the_bytes_of_the_vectors() -> None:
    dealt = deal_shares(SEEDS[1], 3, 4, Keystream(bytes.fromhex(VECTORS["dealing_key"])))
    assert [share.hex() for share in dealt] == VECTORS["dealt"]
    assert recover_secret([(1, dealt[0]), (4, dealt[3]), (3, dealt[2])], 3) == SEEDS[1]
    context = SealContext(2, 3, ShareKind.SEED, roster().digest, label().digest())
    digest = share_digest(context, dealt[2])
    assert digest.hex() == VECTORS["share_digest"]
    keys = [member.sealing_key for member in roster().members]
    stream = Keystream(bytes.fromhex(VECTORS["salt_key"]))
    sealed = seal_share(SECRETS[1].sealing_key(), keys[2], context, dealt[2], stream)
    assert sealed.hex() == VECTORS["sealed"]
    assert open_share(SECRETS[2].sealing_key(), keys[1], context, sealed, digest) == dealt[2]


@pytest.mark.parametrize("variance", sorted(VECTORS["noise"]))
def test_noise_has_the_numbers_of_the_vectors(variance: str) -> None:
    drawn = discrete_gaussian(Keystream(bytes.fromhex(VECTORS["noise_key"])), int(variance), 40)
    assert drawn.tolist() == VECTORS["noise"][variance]


def test_counts_and_variances_are_those_of_the_vectors() -> None:
    for hospitals, colluding, threshold, honest in VECTORS["honest"]:
        assert Thresholds(hospitals, colluding, threshold).honest_shares == honest
    for multiplier, clip, exponent, shares, variance in VECTORS["variance"]:
        thresholds = next(
            Thresholds(H, t, q)
            for H, t, q, m in [*VECTORS["honest"], [4, 1, 3, 2], [20, 2, 16, 13]]
            if m == shares
        )
        found = noise_shares(thresholds, multiplier, SumSensitivity(Fraction(clip)), exponent)
        assert found.variance == variance
