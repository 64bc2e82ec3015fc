"""Trip 1: what hides one hospital's integers in the ring 2⁶⁴, and cancels in the sum.

    y_i = x_i + n_i + PRG(b_i) + Σ_{j<i} PRG(s_ij) - Σ_{j>i} PRG(s_ij)        (Bonawitz et al. 2017, section 4)

b_i is the hospital's own fresh seed of 32 bytes; s_ij is derived from what i's and j's slot keys have in common, with
the label, both indices (lower first) and both public keys. PRG is AES-256 in counter mode, read as words of 64 bits,
little-endian. Whoever lacks one of b_i and s_ij sees uniform words in y_i.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from wardround.protocol.arrays import Integers
from wardround.protocol.secure_sum.keys import KeyUse, agree, derive_key32

Ring = NDArray[np.uint64]
"""Numbers modulo 2⁶⁴."""

_CHUNK = 1 << 13  # words at once, 64 KiB: they stay in the processor's cache
_ZEROS = bytes(8 * _CHUNK)
_FIRST_COUNTER = modes.CTR(bytes(16))  # a key masks one vector of one sum, so every stream starts at zero


def mask_integers(
    integers: Integers, index: int, seed: bytes, private: bytes, slot_keys: Sequence[bytes], label: bytes
) -> Ring:
    """Mask a hospital's noised integers [d]: uint64 [d].

    index: its own, from 1. private: its slot key, of which slot_keys[index - 1] is the public half.
    Guarantee: the sum of all members' results, less their own masks, is the sum of their integers modulo 2⁶⁴.
    The seed must be fresh and the result stored before it leaves: one seed masks one vector.
    """
    masked = integers.astype(np.uint64)
    add_stream(masked, own_mask_key(seed, index, label))
    for other in range(1, len(slot_keys) + 1):
        if other != index:
            key = pair_mask_key(private, index, other, slot_keys, label)
            add_stream(masked, key, negative=other > index)
    return masked


def own_mask_key(seed: bytes, index: int, label: bytes) -> bytes:
    """Give the key of PRG(b_i)."""
    return derive_key32(seed, KeyUse.OWN_MASK, label, index.to_bytes(4, "big"))


def pair_mask_key(private: bytes, own: int, other: int, slot_keys: Sequence[bytes], label: bytes) -> bytes:
    """Give the key of PRG(s_ij), from either side's private slot key; MessageError for a bad public key.

    Both public keys stand in it: two points that differ by one of small order agree on the same secret.
    """
    lower, higher = sorted((own, other))
    indices = (lower.to_bytes(4, "big"), higher.to_bytes(4, "big"))
    common = agree(private, slot_keys[other - 1])
    return derive_key32(
        common, KeyUse.PAIR_MASK, label, *indices, slot_keys[lower - 1], slot_keys[higher - 1]
    )


def seed_commitment(seed: bytes, index: int, label: bytes) -> bytes:
    """Commit to a seed: SHA-256, 32 bytes. Binding; and hiding, as a seed has 256 random bits."""
    return hashlib.sha256(b"wardround secure sum seed\n" + label + index.to_bytes(4, "big") + seed).digest()


def add_stream(vector: Ring, key: bytes, *, negative: bool = False) -> None:
    """Add PRG(key) to a vector in place, or subtract it."""
    encryptor = Cipher(algorithms.AES(key), _FIRST_COUNTER).encryptor()
    combine = np.subtract if negative else np.add
    buffer = bytearray(8 * _CHUNK + 16)
    words = np.frombuffer(buffer, "<u8", count=_CHUNK)
    for start in range(0, len(vector), _CHUNK):
        part = vector[start : start + _CHUNK]
        encryptor.update_into(_ZEROS[: 8 * len(part)], buffer)
        combine(part, words[: len(part)], out=part)
