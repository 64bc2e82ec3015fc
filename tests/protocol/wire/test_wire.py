"""Plans and releases as bytes: one spelling, bounded, and one error for whatever else arrives."""

import dataclasses
import json
import struct
import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.protocol.errors import MessageError
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.text.bounds import LARGEST_VECTOR
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.text import NAME, is_line
from wardround.protocol.wire.envelope import sign_request
from wardround.protocol.wire.opening import OPENING_BYTES, decode_opening
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.wire import (
    LARGEST_MESSAGE,
    decode_plan,
    decode_release,
    encode_plan,
    encode_release,
    release_signing_bytes,
)

KEY = new_key()
names = st.from_regex(NAME, fullmatch=True)
lines = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=200).filter(is_line)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def vectors(values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(values, max_size=30).map(lambda numbers: np.array(numbers, dtype=np.float32))


plans = st.builds(
    RoundPlan,
    study=names,
    hospital=lines,
    round=st.integers(0, 100_000),
    terms_fingerprint=digests,
    weights=vectors(finite),
    ledger_head=st.none() | digests,
)
releases = st.builds(
    Release,
    study=names,
    hospital=lines,
    round=st.integers(0, 100_000),
    terms_fingerprint=digests,
    weights_digest=digests,
    vector=vectors(st.floats(width=32)),
    ledger_head=st.just("") | digests,
    simulation=st.booleans(),
)
PLAN = RoundPlan(
    study="s", hospital="Jardim Camburí", round=3, terms_fingerprint="ab" * 32, weights=np.ones(4, "f4")
)
RELEASE = Release(
    study="s",
    hospital="h",
    round=3,
    terms_fingerprint="ab" * 32,
    weights_digest="cd" * 32,
    vector=np.arange(4, dtype=np.float32),
)


def fields_of(message: RoundPlan | Release) -> dict[str, object]:
    values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in values.items()}


def forged(header: bytes, vector: bytes = b"", magic: bytes = b"wardrnd1") -> bytes:
    return struct.pack("<8sI", magic, len(header)) + header + vector


def changed_header(**changes: object) -> bytes:
    whole = encode_release(RELEASE)
    start = 12 + struct.unpack_from("<I", whole, 8)[0]
    header = json.loads(whole[12:start]) | changes
    return forged(canonical_json({k: v for k, v in header.items() if v is not ...}), whole[start:])


def is_refused_or_one_spelling(payload: bytes) -> None:
    """What decodes must be exactly what its meaning encodes to; all else must be one kind of error."""
    for decode, encode in ((decode_plan, encode_plan), (decode_release, encode_release)):
        try:
            message = decode(payload)
        except MessageError:
            continue
        assert encode(message) == payload  # type: ignore[operator]


def signature_of(plan: RoundPlan) -> bytes:
    """The signature in a request."""
    request = sign_request(b"", plan, datetime(2030, 1, 1, tzinfo=UTC), KEY)
    return decode_opening(request[:OPENING_BYTES]).signature


@given(plans)
def test_a_plan_comes_back_as_it_was(plan: RoundPlan) -> None:
    back = decode_plan(encode_plan(plan))
    assert fields_of(back) == fields_of(plan)
    assert back.weights.dtype == np.float32
    assert back.weights_digest == plan.weights_digest
    assert signature_of(back) == signature_of(plan)


@given(releases)
def test_a_release_comes_back_bit_for_bit(release: Release) -> None:
    back = decode_release(encode_release(release))
    assert fields_of(back) == fields_of(release)
    assert release_signing_bytes(back) == release_signing_bytes(release)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_one_way(payload: bytes) -> None:
    is_refused_or_one_spelling(payload)
    is_refused_or_one_spelling(forged(payload))


@pytest.mark.slow
@settings(max_examples=300)
@given(st.one_of(plans.map(encode_plan), releases.map(encode_release)), st.data())
def test_damaged_messages_are_refused_in_one_way(payload: bytes, data: st.DataObject) -> None:
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damage = data.draw(st.sampled_from(["cut", "flip", "insert", "delete", "double"]))
        if damage == "cut":
            del damaged[at:]
        elif damage == "insert":
            damaged[at:at] = data.draw(st.binary(max_size=5))
        elif damage == "delete":
            del damaged[at : at + data.draw(st.integers(1, 9))]
        elif damage == "double":
            damaged[at:at] = damaged[at : at + 40]
        elif damaged:
            damaged[at] ^= data.draw(st.integers(1, 255))
    is_refused_or_one_spelling(bytes(damaged))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(
    st.sampled_from(["kind", "study", "round", "parameters", "ledger_head", "simulation", "extra"]),
    json_values,
)
def test_headers_of_other_types_are_refused_in_one_way(key: str, value: object) -> None:
    header = json.loads(encode_release(RELEASE)[12:-16]) | {key: value}
    is_refused_or_one_spelling(
        forged(json.dumps(header, sort_keys=True, separators=(",", ":")).encode(), bytes(16))
    )


def test_every_truncation_and_every_trailing_byte_is_refused() -> None:
    for payload, decode in ((encode_plan(PLAN), decode_plan), (encode_release(RELEASE), decode_release)):
        for length in range(len(payload)):
            with pytest.raises(MessageError):
                decode(payload[:length])
        with pytest.raises(MessageError, match="nothing may follow"):
            decode(payload + b"\0")


def test_a_plan_is_no_release_and_the_reverse() -> None:
    with pytest.raises(MessageError, match="must be a release"):
        decode_release(encode_plan(PLAN))
    with pytest.raises(MessageError, match="must be a plan"):
        decode_plan(encode_release(RELEASE))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "gradient"},
        {"study": ""},
        {"study": "x" * 201},
        {"study": 5},
        {"study": ...},
        {"hospital": "two\nlines"},
        {"round": -1},
        {"round": 100_001},
        {"round": True},
        {"round": 3.5},
        {"terms_fingerprint": "AB" * 32},
        {"terms_fingerprint": "ab" * 31},
        {"weights_digest": None},
        {"ledger_head": "x"},
        {"ledger_head": "ab" * 32 + "\n"},
        {"simulation": 0},
        {"parameters": 3},
        {"parameters": -4},
        {"parameters": 4.0},
        {"parameters": LARGEST_VECTOR + 1},
        {"examples": 10**12},
    ],
)
def test_labels_out_of_bounds_are_refused(changes: dict[str, object]) -> None:
    decode_release(changed_header())
    with pytest.raises(MessageError):
        decode_release(changed_header(**changes))


@pytest.mark.parametrize(
    "header",
    [b"{}", b"[]", b"null", b"1", b"", b"[" * 4096, b'{"a":' * 800, b"9" * 4096, b'"\\ud800"', b"\xff"],
)
def test_hostile_headers_are_refused(header: bytes) -> None:
    with pytest.raises(MessageError):
        decode_plan(forged(header))


def test_other_spellings_of_the_same_header_are_refused() -> None:
    whole = encode_plan(PLAN)
    header = whole[12:-16]
    decode_plan(forged(header, whole[-16:]))
    for other in (
        header.replace(b":", b": "),
        b" " + header,
        header.replace(b'"round":3', b'"round":3,"round":3'),
        header.replace(b'"round":3', b'"round":3.0'),
        header.replace(b'"study":"s"', b'"study":"\\u0073"'),
        json.dumps(dict(reversed(json.loads(header).items())), separators=(",", ":")).encode(),
    ):
        assert other != header
        with pytest.raises(MessageError):
            decode_plan(forged(other, whole[-16:]))


def test_a_long_header_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageError, match="prefix"):
        decode_plan(forged(b"[" + b"0," * 3000 + b"0]"))


def test_other_magic_is_refused() -> None:
    with pytest.raises(MessageError, match="prefix"):
        decode_plan(b"wardrnd2" + encode_plan(PLAN)[8:])


@pytest.mark.parametrize("weights", [[np.nan], [np.inf], [1.0, -np.inf]])
def test_weights_that_are_not_finite_are_refused_both_ways(weights: list[float]) -> None:
    plan = dataclasses.replace(PLAN, weights=np.array(weights, dtype=np.float32))
    with pytest.raises(MessageError, match="finite"):
        encode_plan(plan)
    whole = encode_plan(dataclasses.replace(PLAN, weights=np.zeros(len(weights), np.float32)))
    with pytest.raises(MessageError, match="finite"):
        decode_plan(whole[: -4 * len(weights)] + plan.weights.tobytes())


@pytest.mark.parametrize(
    "vector", [np.zeros(3), np.zeros(3, np.int32), np.zeros((2, 2), np.float32), [0.0], None]
)
def test_other_vectors_are_not_written(vector: object) -> None:
    with pytest.raises(MessageError, match="float32"):
        encode_release(dataclasses.replace(RELEASE, vector=vector))  # type: ignore[arg-type]


def test_a_huge_message_costs_no_memory() -> None:
    claims = changed_header(parameters=LARGEST_VECTOR)
    long_header = struct.pack("<8sI", b"wardrnd1", 2**32 - 1)
    tracemalloc.start()
    for payload in (claims, long_header):
        with pytest.raises(MessageError):
            decode_release(payload)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    with pytest.raises(MessageError, match="must be at most"):
        decode_release(memoryview(bytes(LARGEST_MESSAGE + 1)))  # type: ignore[arg-type]


def test_vectors_of_strange_memory_are_written_alike() -> None:
    wide = np.arange(8, dtype=np.float32)
    strided = dataclasses.replace(RELEASE, vector=wide[::2])
    dense = dataclasses.replace(RELEASE, vector=wide[::2].copy())
    assert encode_release(strided) == encode_release(dense)
    assert release_signing_bytes(strided) == release_signing_bytes(dense)


@pytest.mark.parametrize(
    "change",
    [
        {"study": "t"},
        {"hospital": "i"},
        {"round": 4},
        {"terms_fingerprint": "ef" * 32},
        {"weights_digest": "ef" * 32},
        {"ledger_head": "ef" * 32},
        {"simulation": True},
        {"vector": np.arange(1, 5, dtype=np.float32)},
    ],
)
def test_what_a_hospital_signs_changes_with_every_part(change: dict[str, object]) -> None:
    assert release_signing_bytes(dataclasses.replace(RELEASE, **change)) != release_signing_bytes(RELEASE)


@pytest.mark.parametrize(
    "change",
    [
        {"study": "t"},
        {"hospital": "i"},
        {"round": 4},
        {"terms_fingerprint": "ef" * 32},
        {"ledger_head": "ef" * 32},
        {"weights": np.zeros(4, np.float32)},
    ],
)
def test_what_an_operator_signs_changes_with_every_part(change: dict[str, object]) -> None:
    assert signature_of(dataclasses.replace(PLAN, **change)) != signature_of(PLAN)
