"""Keyed randomness: every draw that privacy rests on (noise, Poisson sampling) comes from here.

AES-256 in counter mode turns a 256-bit key into a stream of words, uniforms and Gaussians; AES-256 as a
keyed permutation turns a patient's token into that patient's own uniform. In production the key is fresh
from the operating system; a simulation derives it from its seed. Neither torch's nor NumPy's generators
are touched: the one has a seed of 32 bits, the other is not cryptographic.

Gaussians: Box and Muller 1958. Floating-point samplers can betray the unnoised value by which results are
reachable at all (Mironov 2012; Holohan and Braghin 2021, "Secure random sampling in differential privacy",
who sum several Gaussians against it). Here ``mechanism.add_noise`` rounds to a public grid of stddev/1024
instead, a cell of which holds about 2**40 equally fine draws: that closes the same hole for every value and
costs nothing, where summing would double the time.
"""

import hashlib
import hmac
import math
import os
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from wardround.protocol.arrays import Floats

KEY_BYTES = 32
_BLOCK = 1 << 14  # Gaussians worked on at once: temporaries stay in the processor's cache
_FIRST_COUNTER = modes.CTR(bytes(16))  # a key is used for one stream only, so every stream starts at zero

Part = str | int | bytes


class Keystream:
    """One stream of random numbers, fixed by its key; each call goes on where the last one stopped.

    Guarantees: streams of different keys, and a stream's children, are independent as long as AES-256 and
    HMAC-SHA-256 are secure. Not for sharing between threads, nor to be kept across a fork (both sides
    would draw the same noise). ``repr`` shows nothing of the key.
    """

    __slots__ = ("_encryptor", "_key")

    def __init__(self, key: bytes) -> None:
        """Start the stream of a 32-byte key; ValueError for any other length."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"key of {len(key)} bytes: must have {KEY_BYTES}")
        self._key = key
        self._encryptor: CipherContext | None = None  # many a stream only has children

    def __repr__(self) -> str:
        """Show that there is a key, not which."""
        return "Keystream(…)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be copied or pickled: two copies of one stream would add the same noise twice."""
        raise TypeError("a Keystream can be neither copied nor pickled: derive a child, or pass the key on")

    def words(self, count: int) -> bytes:
        """Return the next ``count`` 64-bit words of the stream as little-endian bytes."""
        if self._encryptor is None:
            self._encryptor = Cipher(algorithms.AES(self._key), _FIRST_COUNTER).encryptor()
        return self._encryptor.update(bytes(8 * count))

    def uniform(self, count: int) -> Floats:
        """float64 [count], uniform on the open interval (0, 1): odd multiples of 2**-53."""
        return _uniforms(np.frombuffer(self.words(count), "<u8"))

    def gaussian(self, count: int) -> Floats:
        """float64 [count], standard normal, |value| < 8.6 (beyond lies 1e-17 of the mass)."""
        return gaussians([self], count).reshape(count)

    def keyed_uniform(self, tokens: NDArray[np.uint8]) -> Floats:
        """Draw one uniform per token: uint8 [n, 16] -> float64 [n], in (0, 1).

        Guarantee: a token's value depends on the key and that token alone, not on its neighbours, their
        number or order, nor on what the stream was used for before. ValueError for another shape or type.
        """
        if tokens.dtype != np.uint8 or tokens.ndim != 2 or tokens.shape[1] != 16:
            raise ValueError(f"tokens {tokens.dtype}{list(tokens.shape)}: must be uint8 [n, 16]")
        # A key of its own: under the stream's key a token could coincide with a counter block. Tokens are
        # distinct by construction, so the code-book mode is exactly the pseudo-random function wanted here.
        key = hmac.digest(self._key, b"keyed_uniform", "sha256")
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        words = np.frombuffer(encryptor.update(tokens.tobytes()), "<u8")
        return _uniforms(words[::2])

    def child(self, *parts: Part) -> "Keystream":
        """Derive an independent stream named by ``parts``; the same names give the same child."""
        # The label keeps children apart from the key of `keyed_uniform`, whatever the parts spell.
        return Keystream(hmac.digest(self._key, b"child" + _encode(parts), "sha256"))


def fresh_keystream() -> Keystream:
    """Start a stream whose key the operating system draws now and nobody keeps."""
    return Keystream(os.urandom(KEY_BYTES))


def derive_key(*parts: Part) -> bytes:
    """Derive 32 bytes from parts, for simulations and tests: SHA-256 over an encoding that is one-to-one."""
    return hashlib.sha256(b"wardround key" + _encode(parts)).digest()


def gaussians(streams: Sequence[Keystream], count: int) -> Floats:
    """Draw the next ``count`` standard normals of each stream: float64 [streams, count].

    Guarantee: row i depends on ``streams[i]`` alone, bit for bit, whatever stands beside it.
    """
    out = np.empty((len(streams), count))
    rows = max(1, _BLOCK // max(1, count))
    for first in range(0, len(streams), rows):
        batch = streams[first : first + rows]
        for start in range(0, count, _BLOCK):
            width = min(_BLOCK, count - start)
            pairs = (width + 1) // 2
            words = b"".join([stream.words(2 * pairs) for stream in batch])
            uniforms = _uniforms(np.frombuffer(words, "<u8")).reshape(len(batch), 2, pairs)
            _box_muller(uniforms, out[first : first + rows, start : start + width])
    return out


def _box_muller(uniforms: Floats, out: Floats) -> None:
    """Turn uniforms [rows, 2, pairs] into out [rows, 2 pairs or one fewer], first cosines, then sines."""
    pairs = uniforms.shape[2]
    # Cosine and sine from the tangent of the half angle: NumPy's tangent is vectorised, those are not.
    tangent = np.tan((uniforms[:, 1] - 0.5) * math.pi)
    square = tangent * tangent
    radius = np.sqrt(np.log(uniforms[:, 0]) * -2.0) / (1.0 + square)
    np.multiply(radius, 1.0 - square, out=out[:, :pairs])
    radius *= tangent
    np.multiply(radius[:, : out.shape[1] - pairs], 2.0, out=out[:, pairs:])


def _uniforms(words: NDArray[np.uint64]) -> Floats:
    """Map words to (0, 1): 52 random bits as a mantissa in [1, 2), less 1 - 2**-53, which is exact."""
    mantissa = words >> np.uint64(12)
    mantissa |= np.uint64(0x3FF0000000000000)
    values = mantissa.view(np.float64)
    values -= 1.0 - 2.0**-53
    return values


def _encode(parts: Sequence[Part]) -> bytes:
    """Write parts so that no two lists of parts share an encoding: type, length, value each."""
    pieces = []
    for part in parts:
        kind, raw = _tagged(part)
        pieces.append(kind + len(raw).to_bytes(8, "little") + raw)
    return b"".join(pieces)


def _tagged(part: Part) -> tuple[bytes, bytes]:
    if isinstance(part, bytes):
        return b"b", part
    if isinstance(part, str):
        return b"s", part.encode()
    if isinstance(part, bool) or not isinstance(part, int):
        raise TypeError(f"key part of type {type(part).__name__}: must be str, int or bytes")
    return b"i", str(part).encode()
