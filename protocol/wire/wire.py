"""Plans and releases as bytes: for the agent's socket, Flower's records, and the ledger's stored replies.

Each is a frame (``protocol.wire.frame``) whose body is the vector, little-endian: float32, or int64 in a simulated
release of a secure sum, which is a kind of its own. The header holds the labels
of one plan or release, and the vector's length; the vector takes the rest of the message, no more and no less. There is
exactly one spelling of a message. Whatever is wrong with it is one MessageError.
"""

import hashlib
from typing import Any

import numpy as np

from wardround.protocol.arrays import Floats32
from wardround.protocol.terms.request import ASKED
from wardround.protocol.terms.terms import ACCOUNTS, Release, RoundPlan
from wardround.protocol.text.bounds import LARGEST_HEADER, LARGEST_SUMMED, LARGEST_VECTOR, MOST_ROUNDS
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.text import ALLOWED_IN_NAMES, LONGEST_LINE, is_digest, is_line, is_name
from wardround.protocol.wire.frame import (
    PREFIX_BYTES,
    Fields,
    Header,
    body_start,
    is_whole,
    kind_of,
    read_header,
    refuse_part,
    write_header,
)

LARGEST_MESSAGE = PREFIX_BYTES + LARGEST_HEADER + 4 * LARGEST_VECTOR  # bytes, 64 MiB and a little


def encode_plan(plan: RoundPlan) -> bytes:
    """Write a plan; MessageError unless its labels are in bounds and its weights finite float32."""
    return _encode(_plan_header(plan), _PLAN_FIELDS, plan.weights, finite=True)


def encode_plan_head(plan: RoundPlan) -> bytes:
    """Write a plan without the weights at its end: ``head + weights`` (float32, little-endian) is whole."""
    return _encode_head(_plan_header(plan), _PLAN_FIELDS, plan.weights, finite=True)


def split_plan(payload: bytes | memoryview) -> tuple[memoryview, memoryview]:
    """Split a plan into its head and its weights, without copies; MessageError where the head does not end."""
    start = body_start(payload, LARGEST_MESSAGE)
    view = memoryview(payload)
    return view[:start], view[start:]


def decode_plan(payload: bytes | memoryview) -> RoundPlan:
    """Read a plan; MessageError for anything but the exact bytes that ``encode_plan`` writes."""
    header, weights = _decode(payload, "plan", _PLAN_FIELDS, finite=True)
    return RoundPlan(weights=weights, **header)


def encode_release(release: Release) -> bytes:
    """Write a release; MessageError unless its labels are in bounds and its vector float32, or int64 and simulated."""
    if not _is_integers(release):
        return _encode(_release_header(release), _RELEASE_FIELDS, release.vector, finite=False)
    # One hospital's share of noise protects little: real integers leave a hospital masked, or not at all.
    if not release.simulation:
        refuse_part("vector", "must be masked: a real hospital's integers leave it in a secure sum alone")
    header = {**_release_header(release), "parameters": len(release.vector)}
    return write_header(header, _INTEGER_FIELDS) + release.vector.astype("<i8", copy=False).tobytes()


def decode_release(payload: bytes) -> Release:
    """Read a release; MessageError for anything but the exact bytes that ``encode_release`` writes.

    The vector may hold values that are not finite: the server's screening names the hospital that sent them.
    """
    if kind_of(payload, LARGEST_MESSAGE) == INTEGER_RELEASE:
        return _decode_integers(payload)
    header, vector = _decode(payload, "release", _RELEASE_FIELDS, finite=False)
    return Release(vector=vector, **header)


def _decode_integers(payload: bytes) -> Release:
    start = body_start(payload, LARGEST_MESSAGE)
    header = read_header(payload, start, INTEGER_RELEASE, _INTEGER_FIELDS)
    if len(payload) - start != 8 * header.pop("parameters"):
        refuse_part("vector", "must hold as many parameters as the header says, and nothing may follow")
    return Release(vector=np.frombuffer(payload, "<i8", offset=start).astype(np.int64), **header)


def release_signing_bytes(release: Release) -> bytes:
    """Give what a hospital signs: canonical JSON of every label and the SHA-256 of the vector's bytes.

    The labels are study, hospital, round, terms, digest of the weights answered, ledger head, simulation,
    account.
    """
    kind = "<i8" if _is_integers(release) else "<f4"
    vector = np.ascontiguousarray(release.vector, dtype=kind)
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
        "roster": plan.roster,
        "asks": plan.asks,
    }


def _release_header(release: Release) -> dict[str, object]:
    return {
        "kind": INTEGER_RELEASE if _is_integers(release) else "release",
        "study": release.study,
        "hospital": release.hospital,
        "round": release.round,
        "terms_fingerprint": release.terms_fingerprint,
        "weights_digest": release.weights_digest,
        "ledger_head": release.ledger_head,
        "simulation": release.simulation,
        "account": release.account,
    }


def _is_integers(release: Release) -> bool:
    vector = release.vector
    return isinstance(vector, np.ndarray) and vector.dtype == np.int64 and vector.ndim == 1


def _encode(header: Header, fields: Fields, vector: Floats32, finite: bool) -> bytes:
    head = _encode_head(header, fields, vector, finite)
    return b"".join([head, vector.astype("<f4", copy=False).tobytes()])


def _encode_head(header: Header, fields: Fields, vector: Floats32, finite: bool) -> bytes:
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float32 or vector.ndim != 1:
        refuse_part("vector", "must be float32 [parameters]")
    head = write_header({**header, "parameters": len(vector)}, fields)
    _check_finite(vector, finite)
    return head


def _decode(
    payload: bytes | memoryview, kind: str, fields: Fields, finite: bool
) -> tuple[dict[str, Any], Floats32]:
    start = body_start(payload, LARGEST_MESSAGE)
    header = read_header(payload, start, kind, fields)
    if len(payload) - start != 4 * header.pop("parameters"):
        refuse_part("vector", "must hold as many parameters as the header says, and nothing may follow")
    # A copy: frombuffer's own array is read-only, and keeps the whole message in memory.
    vector = np.frombuffer(payload, "<f4", offset=start).astype(np.float32)
    _check_finite(vector, finite)
    return header, vector


def _check_finite(vector: Floats32, finite: bool) -> None:
    if finite and not np.isfinite(vector).all():
        refuse_part("vector", "must be finite")


INTEGER_RELEASE = "integer_release"
_LABELS: dict[str, Any] = {
    "study": (is_name, ALLOWED_IN_NAMES),
    # A simulation's hospitals may come from a table's column; real terms name theirs (``protocol.terms.checks``).
    "hospital": (is_line, f"must be one line of at most {LONGEST_LINE} visible characters"),
    "round": (is_whole(0, MOST_ROUNDS), f"must be from 0 to {MOST_ROUNDS}"),
    "terms_fingerprint": (is_digest, "must be 64 hexadecimal digits"),
    "parameters": (is_whole(0, LARGEST_VECTOR), f"must be at most {LARGEST_VECTOR}"),
    "account": (lambda value: value in ACCOUNTS, f"must be one of {', '.join(ACCOUNTS)}"),
}
_PLAN_FIELDS = _LABELS | {
    "ledger_head": (
        lambda value: value is None or is_digest(value),
        "must be null or 64 hexadecimal digits",
    ),
    "roster": (lambda value: value == "" or is_digest(value), "must be empty or 64 hexadecimal digits"),
    "asks": (lambda value: value in ("", *ASKED), f"must be empty or one of {', '.join(ASKED)}"),
}
_RELEASE_FIELDS = _LABELS | {
    "weights_digest": (is_digest, "must be 64 hexadecimal digits"),
    "ledger_head": (lambda value: value == "" or is_digest(value), "must be empty or 64 hexadecimal digits"),
    "simulation": (lambda value: isinstance(value, bool), "must be true or false"),
}
_INTEGER_FIELDS = _RELEASE_FIELDS | {
    "parameters": (is_whole(0, LARGEST_SUMMED), f"must be at most {LARGEST_SUMMED}"),
    "simulation": (lambda value: value is True, "must be true"),
}
