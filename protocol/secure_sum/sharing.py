"""Shamir's secret sharing: 32 bytes in H shares, of which any k give them back and k - 1 tell nothing.

Shamir 1979, "How to share a secret", over the field of the first prime above 2²⁵⁶, so that every secret of 32 bytes
is one of its numbers. Members have the indices 1 … H; index 0 would be the secret itself.
"""

from collections.abc import Sequence
from functools import lru_cache

from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream

PRIME = 2**256 + 297
SHARE_BYTES = 33
_SECRET_BYTES = 32
_FIELD_BITS = 257


def deal_shares(secret: bytes, threshold: int, members: int, stream: Keystream) -> tuple[bytes, ...]:
    """Deal a secret of 32 bytes to ``members`` members, 33 bytes each; ``threshold`` of them give it back.

    Guarantee: threshold - 1 shares are independent of the secret, exactly (coefficients are uniform in the field).
    The stream must be fresh. ValueError for another length or a threshold not from 2 to members.
    """
    if len(secret) != _SECRET_BYTES or not 2 <= threshold <= members:
        raise ValueError(
            f"{len(secret)} bytes, {threshold} of {members}: must be 32 bytes, 2 <= k <= members"
        )
    coefficients = [int.from_bytes(secret, "big")] + [_element(stream) for _ in range(threshold - 1)]
    return tuple(_value(coefficients, index).to_bytes(SHARE_BYTES, "big") for index in range(1, members + 1))


def recover_secret(shares: Sequence[tuple[int, bytes]], threshold: int) -> bytes:
    """Give back the secret from ``threshold`` shares, each with its member's index.

    A wrong share gives a wrong secret, or MessageError; whoever knows a check of the secret must make it.
    MessageError too for another number of shares, for an index below 1 or one that stands twice, and for a value
    outside the field.
    """
    indices = tuple(index for index, _ in shares)
    if len(shares) != threshold:
        raise MessageError(f"{len(shares)} shares: must be {threshold}")
    if min(indices) < 1 or len(set(indices)) != len(indices):
        raise MessageError("shares: indices must be at least 1 and distinct")
    values = [_read(share) for _, share in shares]
    secret = sum(weight * value for weight, value in zip(_weights(indices), values, strict=True)) % PRIME
    if secret >> 8 * _SECRET_BYTES:
        raise MessageError("shares: do not belong together")
    return secret.to_bytes(_SECRET_BYTES, "big")


def _value(coefficients: Sequence[int], index: int) -> int:
    total = 0
    for coefficient in reversed(coefficients):
        total = (total * index + coefficient) % PRIME
    return total


@lru_cache(maxsize=16)
def _weights(indices: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at 0: the same for all secrets that the same members answer for."""
    weights = []
    for index in indices:
        upper = lower = 1
        for other in indices:
            if other != index:
                upper, lower = upper * other % PRIME, lower * (other - index) % PRIME
        weights.append(upper * pow(lower, -1, PRIME) % PRIME)
    return tuple(weights)


def _read(share: bytes) -> int:
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise MessageError("share: must be the 33 bytes of a number of the field")
    return value


def _element(stream: Keystream) -> int:
    """Draw a uniform number of the field: 257 bits, drawn again where they are too large, every other time."""
    while True:
        number = int.from_bytes(stream.words(5), "little") >> (320 - _FIELD_BITS)
        if number < PRIME:
            return number
