"""The one byte string that stands for plain data, and its fingerprint: the same on every machine."""

import hashlib
import json
import math

# Floats by Python's repr, the shortest digits that read back the same: one spelling on every machine.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> bytes:
    """Write sorted keys, no spaces, UTF-8, finite numbers; ``ValueError`` for NaN and infinity."""
    return _ENCODER.encode(value).encode()


def fingerprint(value: object) -> str:
    """Hash the canonical form with SHA-256, hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_number(number: float) -> int | float:
    """Write 1.0 as 1, so that a number has one spelling: ``canonical_number(20.0)`` is ``20``."""
    # Beyond 2⁵³ doubles skip whole numbers, and all the digits would claim more than the number holds.
    return int(number) if float(number).is_integer() and abs(number) < 2**53 else float(number)


def comparable(text: str) -> str | float:
    """Give what two texts are compared by: the number they spell ("0" and "0.0" are one), else the text."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return number if math.isfinite(number) else text.strip()
