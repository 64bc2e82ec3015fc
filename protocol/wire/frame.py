"""The frame of every plan, release, and message of a secure sum: labels as canonical JSON before a body of bytes.

    "wardrnd1" | length of header, uint32, little-endian | header, canonical JSON | body

There is exactly one spelling of a header, nothing in it is executed, and a reader allocates at most a small multiple
of what arrived. Whatever is wrong is one MessageError, which names the part and the bound and never the value.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from wardround.protocol.errors import MessageError
from wardround.protocol.text.bounds import LARGEST_HEADER
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json

_MAGIC = b"wardrnd1"
_PREFIX = struct.Struct("<8sI")
PREFIX_BYTES = _PREFIX.size

Header = Mapping[str, object]
Fields = Mapping[str, tuple[Callable[[Any], bool], str]]
"""By label: what it must hold, and that in words."""


def write_header(header: Header, fields: Fields) -> bytes:
    """Write a frame up to its body; MessageError for labels that do not fit. ``header["kind"]`` names the kind."""
    _check(header, str(header["kind"]), fields)
    text = canonical_json(header)
    return _PREFIX.pack(_MAGIC, len(text)) + text


def body_start(payload: bytes | memoryview, largest: int) -> int:
    """Say where the body begins; MessageError beyond ``largest`` bytes, or where the header does not end."""
    if len(payload) > largest:
        refuse_part(f"{len(payload)} bytes", f"must be at most {largest}")
    if len(payload) < _PREFIX.size:
        refuse_part(f"{len(payload)} bytes", "is cut short")
    magic, length = _PREFIX.unpack_from(payload)
    # The length is a stranger's: it is held to its bound before a byte of the header is copied.
    start = _PREFIX.size + length
    if magic != _MAGIC or length > LARGEST_HEADER or start > len(payload):
        refuse_part("prefix", f"must be {_MAGIC.decode()} and a header of at most {LARGEST_HEADER} bytes")
    return int(start)


def kind_of(payload: bytes | memoryview, largest: int) -> str:
    """Give the kind that a frame says it is of; MessageError where it says none. Nothing else of it is checked."""
    kind = _parse(bytes(payload[_PREFIX.size : body_start(payload, largest)])).get("kind")
    if not isinstance(kind, str):
        refuse_part("header", "must name its kind")
    return kind


def read_header(payload: bytes | memoryview, start: int, kind: str, fields: Fields) -> dict[str, Any]:
    """Read and check the header of a frame whose body begins at ``start``; its labels without ``kind``."""
    header = _parse(bytes(payload[_PREFIX.size : start]))
    _check(header, kind, fields)
    return {key: value for key, value in header.items() if key != "kind"}


def refuse_part(part: str, allowed: str) -> NoReturn:
    """Name the part and the bound. The value came from outside and is not repeated."""
    raise MessageError(f"message: {part} {allowed}")


def is_whole(first: int, last: int) -> Callable[[object], bool]:
    """Give the check of a whole number within bounds."""
    # Not isinstance: to Python, True is an int, and would be a second spelling of round 1.
    return lambda value: type(value) is int and first <= value <= last


def _parse(text: bytes) -> dict[str, Any]:
    """Parse a header in its one spelling; writing it anew shows repeated keys, spaces, NaN and the like."""
    try:
        header = read_json(text, LARGEST_HEADER)
        canonical = canonical_json(header) == text
    except ValueError:
        refuse_part("header", "must be JSON")
    if not canonical or not isinstance(header, dict):
        refuse_part("header", "must be one canonical JSON object")
    return header


def _check(header: Header, kind: str, fields: Fields) -> None:
    # One key more than the fields, and that is "kind": no other can hide in a header.
    if header.get("kind") != kind or len(header) != 1 + len(fields) or not header.keys() > fields.keys():
        refuse_part("header", f"must be a {kind} with {', '.join(fields)}")
    for key, (holds, allowed) in fields.items():
        if not holds(header[key]):
            refuse_part(key, allowed)
