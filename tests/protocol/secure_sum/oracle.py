"""The secure sum once more, slowly, from papers and RFCs: whole numbers and hashlib, nothing of the code under test.

Prints the test vectors: python -m tests.protocol.secure_sum.oracle > tests/protocol/secure_sum/vectors.json
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, isqrt

P25519 = 2**255 - 19
FIELD = 2**256 + 297
VERSION = b"wardround secure sum 1"


# RFC 7748, section 5


def x25519(scalar: bytes, point: bytes) -> bytes:
    k = int.from_bytes(scalar, "little") & ~7 & (2**255 - 1) | 2**254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = (da + cb) ** 2 % P25519, u * (da - cb) ** 2 % P25519
        e = a * a - b * b
        x2, z2 = a * a * b * b % P25519, e * (a * a + 121665 * e) % P25519
    if swap:
        x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, P25519 - 2, P25519) % P25519).to_bytes(32, "little")


def public(scalar: bytes) -> bytes:
    return x25519(scalar, (9).to_bytes(32, "little"))


# RFC 5869


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def listed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def derive(secret: bytes, use: bytes, *parts: bytes, salt: bytes = b"") -> bytes:
    return hkdf(secret, salt, listed(VERSION, use, *parts))


def four(number: int) -> bytes:
    return number.to_bytes(4, "big")


# FIPS 197


def _gf(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a * (b & 1)
        a = a << 1 ^ (0x11B if a & 128 else 0)
        b >>= 1
    return product


def _sbox() -> list[int]:
    box = []
    for value in range(256):
        inverse = next((i for i in range(256) if _gf(value, i) == 1), 0)
        rotated = inverse
        for turn in range(1, 5):
            rotated ^= (inverse << turn | inverse >> (8 - turn)) & 255
        box.append(rotated ^ 0x63)
    return box


SBOX = _sbox()


def aes256(key: bytes, block: bytes) -> bytes:
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = _gf(constant, 2)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[-8], word, strict=True)])
    keys = [[byte for word in words[i : i + 4] for byte in word] for i in range(0, 60, 4)]
    state = [a ^ b for a, b in zip(block, keys[0], strict=True)]
    for number in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            columns = [state[i : i + 4] for i in range(0, 16, 4)]
            state = [
                _gf(c[r], 2) ^ _gf(c[(r + 1) % 4], 3) ^ c[(r + 2) % 4] ^ c[(r + 3) % 4]
                for c in columns
                for r in range(4)
            ]
        state = [a ^ b for a, b in zip(state, keys[number], strict=True)]
    return bytes(state)


def words(key: bytes) -> Iterator[int]:
    """AES-256 in counter mode from zero, as little-endian words of 64 bits."""
    counter = 0
    while True:
        block = aes256(key, counter.to_bytes(16, "big"))
        yield int.from_bytes(block[:8], "little")
        yield int.from_bytes(block[8:], "little")
        counter += 1


def prg(key: bytes, count: int) -> list[int]:
    stream = words(key)
    return [next(stream) for _ in range(count)]


# RFC 8439


def _chacha_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    def little(raw: bytes) -> list[int]:
        return [int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4)]

    start = little(b"expand 32-byte k") + little(key) + [counter] + little(nonce)
    x = start.copy()
    lanes = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    lanes += [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(10):
        for a, b, c, d in lanes:
            for into, by, turned, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[into] = (x[into] + x[by]) % 2**32
                mixed = x[turned] ^ x[into]
                x[turned] = (mixed << turn | mixed >> (32 - turn)) % 2**32
    return b"".join(((a + b) % 2**32).to_bytes(4, "little") for a, b in zip(x, start, strict=True))


def chacha20_poly1305(key: bytes, nonce: bytes, plain: bytes) -> bytes:
    stream = b"".join(_chacha_block(key, 1 + i, nonce) for i in range(len(plain) // 64 + 1))
    cipher = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    one_time = _chacha_block(key, 0, nonce)[:32]
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    text = cipher + bytes(-len(cipher) % 16) + bytes(8) + len(cipher).to_bytes(8, "little")
    total = 0
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return cipher + ((total + int.from_bytes(one_time[16:], "little")) % 2**128).to_bytes(16, "little")


# Shamir 1979


def share(secret: bytes, threshold: int, members: int, stream: Iterator[int]) -> list[bytes]:
    coefficients = [int.from_bytes(secret, "big")]
    while len(coefficients) < threshold:
        drawn = sum(next(stream) << 64 * i for i in range(5)) >> 63
        if drawn < FIELD:
            coefficients.append(drawn)
    return [
        (sum(c * i**n for n, c in enumerate(coefficients)) % FIELD).to_bytes(33, "big")
        for i in range(1, members + 1)
    ]


def recover(shares: dict[int, bytes]) -> int:
    total = 0
    for i, value in shares.items():
        weight = Fraction(1)
        for j in shares:
            weight *= Fraction(j, j - i) if j != i else 1
        total += int.from_bytes(value, "big") * weight.numerator * pow(weight.denominator, -1, FIELD)
    return total % FIELD


# Canonne, Kamath and Steinke 2020, with powers of 2: one proposal at a time, decided by decimals of 60 digits


def discrete_gaussian(stream: Iterator[int], variance: int, count: int) -> list[int]:
    least = isqrt(4624 * variance // 10_000)
    width = next(t for t in range(max(1, least), 10**12) if t * t * 10_000 >= 4624 * variance)
    drawn: list[int] = []
    with localcontext() as context:
        context.prec = 60
        while len(drawn) < count:
            proposal, uniform = next(stream), next(stream)
            low, high = proposal % 2**32, proposal >> 32
            negative, bits = low >> 31, low % 2**31
            zeros = f"{bits:031b}".find("1")
            assert zeros >= 0  # one time in 2**31
            offset, rest = divmod(high * width, 2**32)
            z = width * zeros + offset
            exponent = -Decimal(z * z) / Decimal(2 * variance)
            chance = exponent.exp() * 2**zeros * Decimal("0.625")
            if rest >= 2**32 % width and Decimal(uniform) / 2**64 < chance and not (negative and z == 0):
                drawn.append(-z if negative else z)
    return drawn


# DESIGN: roster, label, masks, seals, the numbers


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha(tag: str, text: bytes) -> bytes:
    return hashlib.sha256(f"wardround secure sum {tag}\n".encode() + text).digest()


def slot_digest(slot: dict) -> bytes:
    return sha("slot", canonical(slot))


def mask(y: list[int], i: int, seed: bytes, private: bytes, publics: list[bytes], label: bytes) -> list[int]:
    masked = [
        a + b for a, b in zip(y, prg(derive(seed, b"mask of one's own", label, four(i)), len(y)), strict=True)
    ]
    for j, other in enumerate(publics, 1):
        if j == i:
            continue
        a, b = min(i, j), max(i, j)
        common = x25519(private, other)
        key = derive(common, b"mask of a pair", label, four(a), four(b), publics[a - 1], publics[b - 1])
        sign = 1 if j < i else -1
        masked = [m + sign * word for m, word in zip(masked, prg(key, len(y)), strict=True)]
    return [m % 2**64 for m in masked]


def seal(private: bytes, receiver: bytes, context: list[bytes], payload: bytes, salt: bytes) -> bytes:
    key = derive(x25519(private, receiver), b"seal", *context, salt=salt)
    return salt + chacha20_poly1305(key, bytes(12), payload)


def honest(H: int, t: int, q: int) -> int:
    return H - t - (H - t) * (H - q) // (q - t)


def variance(sigma: float, delta: Fraction, g: Fraction, m: int) -> int:
    return max(64**2, ceil(((Fraction(sigma) * delta / g) ** 2 + Fraction(5, 2) ** 2) / m))


def key(name: str) -> bytes:
    return hashlib.sha256(b"vector " + name.encode()).digest()


def vectors() -> dict:
    slots = [{"account": "training", "kind": "update", "number": n} for n in (0, 1)]
    names = [f"h{i}" for i in (1, 2, 3, 4)]
    secrets = [key(f"secret {name}") for name in names]
    sealing = [derive(s, b"sealing key") for s in secrets]
    slot_keys = [[derive(s, b"slot key", slot_digest(slot)) for slot in slots] for s in secrets]
    members = [
        {
            "name": name,
            "signing_key": f"ed25519:{name}",
            "sealing_key": public(sealing[i]).hex(),
            "slot_keys": [public(k).hex() for k in slot_keys[i]],
        }
        for i, name in enumerate(names)
    ]
    thresholds = {"hospitals": 4, "colluding": 1, "threshold": 3}
    roster = {"study": "s", "thresholds": thresholds, "slots": slots, "members": members}
    roster_digest = sha("roster", canonical(roster))
    grid = {"exponent": -12, "limit": 2**60, "clip_units": 4096}
    content = {
        "version": 1,
        "study": "s",
        "terms": "ab" * 32,
        "roster": roster_digest.hex(),
        "slot": slots[1],
        "plan": {"round": 3, "account": "training", "words": "Übung", "last": False},
        "weights": "cd" * 32,
        "dimension": 5,
        "grid": grid,
    }
    label = sha("label", canonical(content))
    integers = [[i * 10**9, -i, 2**40 + i, -(2**50), 0] for i in range(1, 5)]
    seeds = [key(f"seed {i}") for i in range(1, 5)]
    privates = [keys[1] for keys in slot_keys]
    publics = [public(k) for k in privates]
    masked = [mask(integers[i], i + 1, seeds[i], privates[i], publics, label) for i in range(4)]
    context = [four(2), four(3), b"seed", roster_digest, label]
    dealt = share(seeds[1], 3, 4, words(key("dealing")))
    return {
        "roster": roster,
        "roster_digest": roster_digest.hex(),
        "label": content,
        "label_digest": label.hex(),
        "secrets": [s.hex() for s in secrets],
        "seeds": [s.hex() for s in seeds],
        "commitments": [sha("seed", label + four(i) + s).hex() for i, s in enumerate(seeds, 1)],
        "integers": integers,
        "masked": masked,
        "dealing_key": key("dealing").hex(),
        "dealt": [s.hex() for s in dealt],
        "salt_key": key("salt").hex(),
        "share_digest": hashlib.sha256(listed(VERSION[:-2] + b" share", *context, dealt[2])).digest().hex(),
        "sealed": seal(
            sealing[1],
            public(sealing[2]),
            context,
            dealt[2],
            b"".join(w.to_bytes(8, "little") for w in prg(key("salt"), 4)),
        ).hex(),
        "noise_key": key("noise").hex(),
        "noise": {str(v): discrete_gaussian(words(key("noise")), v, 40) for v in (1, 3, 64**2, 10**9)},
        "honest": [
            [H, t, q, honest(H, t, q)] for H, t, q in ((3, 1, 3), (20, 2, 16), (81, 8, 65), (300, 30, 240))
        ],
        "variance": [
            [1.5, 1.0, -20, 53, variance(1.5, Fraction(1), Fraction(1, 2**20), 53)],
            [0.01, 1.0, -2, 2, variance(0.01, Fraction(1), Fraction(1, 4), 2)],
            [7.25, 0.1, -30, 13, variance(7.25, Fraction(0.1), Fraction(1, 2**30), 13)],
        ],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
