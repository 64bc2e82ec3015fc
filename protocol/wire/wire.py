"""Plans and releases as bytes: for the agent's socket, Flower's records, and the ledger's stored replies.

    "wardrnd1" | length of header, uint32 | header, canonical JSON | vector, float32

All numbers are little-endian. The header holds the labels of one plan or release, and the vector's length;
the vector takes the rest of the message, no more and no less. There is exactly one spelling of a message,
nothing in it is executed, and a reader allocates at most a small multiple of what arrived. Whatever is
wrong with a message is one MessageError.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from wardround.protocol.arrays import Floats32
from wardround.protocol.errors import MessageError
from wardround.protocol.terms.terms import ACCOUNTS, Release, RoundPlan
from wardround.protocol.text.bounds import LARGEST_HEADER, LARGEST_VECTOR, MOST_ROUNDS
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import ALLOWED_IN_NAMES, LONGEST_LINE, is_digest, is_line, is_name

_MAGIC = b"wardrnd1"
_PREFIX = struct.Struct("<8sI")
LARGEST_MESSAGE = _PREFIX.size + LARGEST_HEADER + 4 * LARGEST_VECTOR  # bytes, 64 MiB and a little

Header = Mapping[str, object]


def encode_plan(plan: RoundPlan) -> bytes:
    """Write a plan; MessageError unless its labels are in bounds and its weights finite float32."""
    return _encode(_plan_header(plan), _PLAN_FIELDS, plan.weights, finite=True)


def encode_plan_head(plan: RoundPlan) -> bytes:
    """Write a plan without the weights at its end: ``head + weights`` (float32, little-endian) is whole."""
    return _encode_head(_plan_header(plan), _PLAN_FIELDS, plan.weights, finite=True)


def split_plan(payload: bytes | memoryview) -> tuple[memoryview, memoryview]:
    """Split a plan into its head and its weights, without copies; MessageError where the head does not end."""
    start = _vector_starts(payload)
    view = memoryview(payload)
    return view[:start], view[start:]


def decode_plan(payload: bytes | memoryview) -> RoundPlan:
    """Read a plan; MessageError for anything but the exact bytes that ``encode_plan`` writes."""
    header, weights = _decode(payload, "plan", _PLAN_FIELDS, finite=True)
    return RoundPlan(weights=weights, **header)


def encode_release(release: Release) -> bytes:
    """Write a release; MessageError unless its labels are in bounds and its vector float32."""
    return _encode(_release_header(release), _RELEASE_FIELDS, release.vector, finite=False)


def decode_release(payload: bytes) -> Release:
    """Read a release; MessageError for anything but the exact bytes that ``encode_release`` writes.

    The vector may hold values that are not finite: the server's screening names the hospital that sent them.
    """
    header, vector = _decode(payload, "release", _RELEASE_FIELDS, finite=False)
    return Release(vector=vector, **header)


def release_signing_bytes(release: Release) -> bytes:
    """Give what a hospital signs: canonical JSON of every label and the SHA-256 of the vector's bytes.

    The labels are study, hospital, round, terms, digest of the weights answered, ledger head, simulation,
    account.
    """
    vector = np.ascontiguousarray(release.vector, dtype="<f4")
    return canonical_json(
        {**_release_header(release), "vector_digest": hashlib.sha256(vector.tobytes()).hexdigest()}
    )


def _plan_header(plan: RoundPlan) -> dict[str, object]:
    return {
        "kind": "plan",
        "study": plan.study,
        "hospital": plan.hospital,
        "round": plan.round,
        "terms_fingerprint": plan.terms_fingerprint,
        "ledger_head": plan.ledger_head,
        "account": plan.account,
    }


def _release_header(release: Release) -> dict[str, object]:
    return {
        "kind": "release",
        "study": release.study,
        "hospital": release.hospital,
        "round": release.round,
        "terms_fingerprint": release.terms_fingerprint,
        "weights_digest": release.weights_digest,
        "ledger_head": release.ledger_head,
        "simulation": release.simulation,
        "account": release.account,
    }


def _encode(header: Header, fields: Mapping[str, Any], vector: Floats32, finite: bool) -> bytes:
    head = _encode_head(header, fields, vector, finite)
    return b"".join([head, vector.astype("<f4", copy=False).tobytes()])


def _encode_head(header: Header, fields: Mapping[str, Any], vector: Floats32, finite: bool) -> bytes:
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float32 or vector.ndim != 1:
        _refuse("vector", "must be float32 [parameters]")
    complete = {**header, "parameters": len(vector)}
    _check(complete, str(header["kind"]), fields)
    _check_finite(vector, finite)
    text = canonical_json(complete)
    return _PREFIX.pack(_MAGIC, len(text)) + text


def _vector_starts(payload: bytes | memoryview) -> int:
    if len(payload) > LARGEST_MESSAGE:
        _refuse(f"{len(payload)} bytes", f"must be at most {LARGEST_MESSAGE}")
    if len(payload) < _PREFIX.size:
        _refuse(f"{len(payload)} bytes", "is cut short")
    magic, length = _PREFIX.unpack_from(payload)
    # The length is a stranger's: it is held to its bound before a byte of the header is copied.
    start = _PREFIX.size + length
    if magic != _MAGIC or length > LARGEST_HEADER or start > len(payload):
        _refuse("prefix", f"must be {_MAGIC.decode()} and a header of at most {LARGEST_HEADER} bytes")
    return int(start)


def _decode(
    payload: bytes | memoryview, kind: str, fields: Mapping[str, Any], finite: bool
) -> tuple[dict[str, Any], Floats32]:
    start = _vector_starts(payload)
    header = _parse(bytes(payload[_PREFIX.size : start]))
    _check(header, kind, fields)
    if len(payload) - start != 4 * header["parameters"]:
        _refuse("vector", "must hold as many parameters as the header says, and nothing may follow")
    # A copy: frombuffer's own array is read-only, and keeps the whole message in memory.
    vector = np.frombuffer(payload, "<f4", offset=start).astype(np.float32)
    _check_finite(vector, finite)
    return {key: value for key, value in header.items() if key not in ("kind", "parameters")}, vector


def _parse(text: bytes) -> dict[str, Any]:
    """Parse a header in its one spelling; writing it anew shows repeated keys, spaces, NaN and the like."""
    try:
        header = read_json(text, LARGEST_HEADER)
        canonical = canonical_json(header) == text
    except ValueError:
        _refuse("header", "must be JSON")
    if not canonical or not isinstance(header, dict):
        _refuse("header", "must be one canonical JSON object")
    return header


def _check(header: Header, kind: str, fields: Mapping[str, Any]) -> None:
    # One key more than the fields, and that is "kind": no other can hide in a header.
    if header.get("kind") != kind or len(header) != 1 + len(fields) or not header.keys() > fields.keys():
        _refuse("header", f"must be a {kind} with {', '.join(fields)}")
    for key, (holds, allowed) in fields.items():
        if not holds(header[key]):
            _refuse(key, allowed)


def _check_finite(vector: Floats32, finite: bool) -> None:
    if finite and not np.isfinite(vector).all():
        _refuse("vector", "must be finite")


def _refuse(part: str, allowed: str) -> NoReturn:
    """Name the part and the bound. The value came from outside and is not repeated."""
    raise MessageError(f"message: {part} {allowed}")


def _is_whole(first: int, last: int) -> Callable[[object], bool]:
    # Not isinstance: to Python, True is an int, and would be a second spelling of round 1.
    return lambda value: type(value) is int and first <= value <= last


_LABELS: dict[str, Any] = {
    "study": (is_name, ALLOWED_IN_NAMES),
    # A simulation's hospitals may come from a table's column; real terms name theirs (``protocol.terms.terms``).
    "hospital": (is_line, f"must be one line of at most {LONGEST_LINE} visible characters"),
    "round": (_is_whole(0, MOST_ROUNDS), f"must be from 0 to {MOST_ROUNDS}"),
    "terms_fingerprint": (is_digest, "must be 64 hexadecimal digits"),
    "parameters": (_is_whole(0, LARGEST_VECTOR), f"must be at most {LARGEST_VECTOR}"),
    "account": (lambda value: value in ACCOUNTS, f"must be one of {', '.join(ACCOUNTS)}"),
}
_PLAN_FIELDS = _LABELS | {
    "ledger_head": (
        lambda value: value is None or is_digest(value),
        "must be null or 64 hexadecimal digits",
    ),
}
_RELEASE_FIELDS = _LABELS | {
    "weights_digest": (is_digest, "must be 64 hexadecimal digits"),
    "ledger_head": (lambda value: value == "" or is_digest(value), "must be empty or 64 hexadecimal digits"),
    "simulation": (lambda value: isinstance(value, bool), "must be true or false"),
}
