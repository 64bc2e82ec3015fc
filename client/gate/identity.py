"""Identifiers become keyed hashes at the door; everything per patient is drawn from that hash alone.

A hash with the hospital's key (``keyed_hash``) gives each patient 32 bytes: 16 are the token, 8 decide between
training and held-out, 8 seed the draw of events. Nothing else has a part in either.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.gate.keyed_hash import HOSPITAL, PATIENT_TOKEN, KeyedHash
from wardround.protocol.arrays import Booleans, Integers
from wardround.protocol.privacy.randomness import Keystream, derive_key

HELDOUT_SHARE = 0.25
PATIENT = "patient"


def hospital_key(key: bytes, hospital: str) -> bytes:
    """Derive the key of one hospital of a simulated federation from the federation's key.

    A single hospital given this key and a federation given ``key`` draw the same for the same patient.
    """
    return KeyedHash(key, HOSPITAL)(hospital.encode())


def identify(pairs: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Give each patient a token and draws; rows sorted by hospital and token, so that a row is an index.

    pairs: unique ``patient`` texts, with ``hospital`` texts in a federation. Adds token_high and token_low
    (the token's halves, big-endian), heldout, seed and index (UInt32).
    """
    names = pairs[PATIENT].to_list()
    if "hospital" in pairs.columns:
        hospitals = pairs["hospital"].to_list()
        keys = {hospital: hospital_key(key, hospital) for hospital in set(hospitals)}
        hashes = {hospital: KeyedHash(one, PATIENT_TOKEN) for hospital, one in keys.items()}
        digests = [hashes[h](name.encode()) for h, name in zip(hospitals, names, strict=True)]
    else:
        keyed = KeyedHash(key, PATIENT_TOKEN)
        digests = [keyed(name.encode()) for name in names]
    # Big-endian: halves then sort as the token's bytes do, on every machine.
    words = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 4).astype(np.uint64)
    people = pairs.with_columns(
        token_high=pl.Series(words[:, 0]),
        token_low=pl.Series(words[:, 1]),
        heldout=pl.Series(words[:, 2] < np.uint64(HELDOUT_SHARE * 2.0**64)),
        seed=pl.Series(words[:, 3]),
    )
    order = ["token_high", "token_low"]
    if "hospital" in pairs.columns:
        order.insert(0, "hospital")
    return people.sort(order).with_row_index("index")


def tokens_of(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Join the halves of tokens: uint8 [n, 16]."""
    return np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)


def drawn_events(seeds: NDArray[np.uint64], starts: Integers, most: int) -> Booleans:
    """Draw at most ``most`` events per patient, uniformly, without looking at them: bool [events].

    seeds: uint64 [patients]. starts: int64 [patients + 1], patient i owns events starts[i]:starts[i + 1].
    Guarantee: which of a patient's events are drawn depends on its seed and on their number alone.
    """
    counts = np.diff(starts)
    drawn = np.ones(starts[-1], np.bool_)
    crowded = np.flatnonzero(counts > most)
    if len(crowded) == 0:
        return drawn
    sizes = counts[crowded]
    ends = np.cumsum(sizes)
    ordinals = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    blocks = np.stack([np.repeat(seeds[crowded], sizes), ordinals.astype(np.uint64)], axis=1)
    # The seed is the secret here: the key of the permutation can be public.
    public = Keystream(derive_key("draw of events"))
    chances = public.keyed_uniform(blocks.astype("<u8").view(np.uint8).reshape(-1, 16))
    order = np.lexsort((chances, np.repeat(np.arange(len(crowded)), sizes)))
    events = np.repeat(starts[crowded], sizes) + ordinals
    # lexsort keeps patients in place, so that ordinals are ranks among the sorted events.
    drawn[events[order][ordinals >= most]] = False
    return drawn
