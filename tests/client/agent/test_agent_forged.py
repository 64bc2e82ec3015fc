"""A thousand plans that are mutated, cut, replayed or forged: no crash, no charge, and a clause for each."""

import json
import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError, Refusal, WardroundError
from wardround.protocol.terms.terms import terms_to_mapping
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.envelope import decode_answer, decode_request, sign_request
from wardround.protocol.wire.opening import OPENING_BYTES, STATEMENT_AT
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_from_bytes, signed_terms_to_bytes
from wardround.protocol.wire.signing import Purpose, new_key
from wardround.protocol.wire.speaker import ASK, speaker_to_bytes, this_speaker

UNREAD = {"message", "terms", "plan", "signature", "expired", "operators"}
ASKS = speaker_to_bytes(ASK, this_speaker())
PLAIN = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ATTACKER = new_key()


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def target(approved):
    """An agent that answered round 1, and the request of round 2 that nobody may get answered."""
    approved.first = approved.request(1)
    approved.stored = approved.agent.answer(approved.first).payload
    approved.second = approved.request(2)
    yield approved
    assert [entry.fields["round"] for entry in approved.entries("charged")] == [1]


def joined(head: bytes, terms: bytes, plan: bytes) -> bytes:
    """A request with another's first bytes, whose length of terms is made to fit."""
    length = struct.pack("<I", len(terms))
    return head[:STATEMENT_AT] + length + head[STATEMENT_AT + 4 : OPENING_BYTES] + terms + plan


def refusal_of(target, payload):
    reply = target.agent.answer(payload)
    answer = decode_answer(reply.payload)
    assert isinstance(answer, Refusal)
    assert len(reply.payload) < 200
    return answer.clause


@given(at=st.floats(0, 1), bit=st.integers(0, 7))
@PLAIN
def test_one_flipped_bit(target, at, bit):
    payload = bytearray(target.second)
    payload[min(int(at * len(payload)), len(payload) - 1)] ^= 1 << bit
    assert refusal_of(target, bytes(payload)) in UNREAD


@given(
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    inserted=st.binary(max_size=64),
    doubled=st.booleans(),
)
@PLAIN
def test_cut_spliced_and_lengthened(target, cut, inserted, doubled):
    first, last = sorted(int(share * len(target.second)) for share in cut)
    payload = target.second[:first] + inserted + target.second[last:] * (1 + doubled)
    if payload != target.second:
        assert refusal_of(target, payload) in UNREAD


@given(payload=st.binary(max_size=400), magic=st.booleans(), protocol=st.integers(0, 2**16 - 1))
@PLAIN
def test_garbage(target, payload, magic, protocol):
    head = ASKS[:8] + struct.pack("<H", protocol) + ASKS[10:] if magic else b""
    assert refusal_of(target, head + payload) in UNREAD


NAMES = st.one_of(st.text(max_size=220), st.sampled_from(["tea", "north", "patient-7"]))


@given(
    study=NAMES,
    hospital=NAMES,
    number=st.integers(-1, 2**40),
    fingerprint=st.one_of(st.none(), st.text(max_size=70), st.just("0" * 64)),
    parameters=st.integers(0, 40),
    expires=st.integers(0, 2**64 - 1),
    stolen=st.booleans(),
)
@PLAIN
def test_forged_with_a_key_of_their_own(
    target, study, hospital, number, fingerprint, parameters, expires, stolen
):
    """Whoever reaches the SuperLink may send anything, the operator's own signed terms included."""
    terms_signer = target.operator if stolen else ATTACKER
    terms = signed_terms_to_bytes(sign_terms(target.terms, terms_signer))
    changes = {"study": study, "hospital": hospital, "weights": np.zeros(parameters, np.float32)}
    if fingerprint is not None:
        changes["terms_fingerprint"] = fingerprint
    plan = target.plan(number, **changes)
    try:
        request = sign_request(terms, plan, datetime.now(UTC) + timedelta(days=1), ATTACKER)
    except Exception:  # not to be written by our own encoder: unsigned then, in another's envelope
        opening = ASKS + bytes(128) + struct.pack("<IQ", 0, expires) + bytes(64)
        request = joined(opening, terms, study.encode(errors="replace"))
    clause = refusal_of(target, request)
    if stolen:
        assert clause in UNREAD
    else:
        assert clause in UNREAD | {"hospital", "study", "terms", "round", "operators"}


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.just(10**4000)
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(plain, path=()):
    """All places in nested mappings and lists."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@given(data=st.data())
@PLAIN
def test_terms_with_anything_in_any_place(target, data):
    """By a listed operator, who signs what no program of ours would write; and by nobody."""
    line, body = decode_request(target.second).terms[:-1].split(b"\n")
    file = json.loads(body)
    path = data.draw(st.sampled_from(list(places(file))))
    holder = file
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(JSON)
    changed = canonical_json(file)
    if changed != body:
        with pytest.raises(ConfigurationError, match="signature"):
            signed_terms_from_bytes(line + b"\n" + changed + b"\n")
    signature = target.operator.sign(Purpose.TERMS, changed).hex()
    forged = f"wardround-terms-2 {target.operator.public} {signature}\n".encode() + changed + b"\n"
    try:
        understood = signed_terms_from_bytes(forged).terms
    except WardroundError:
        request = sign_request(forged, target.plan(2), datetime.now(UTC) + timedelta(days=1), target.operator)
        assert refusal_of(target, request) == "terms"
    else:  # signed, and its one spelling
        assert canonical_json(terms_to_mapping(understood)) == changed


def test_parts_of_honest_requests_do_not_combine(target, terms_with):
    coffee = target.request(2, terms_with(study="cup"))  # whose terms are as long
    first, second, other = map(decode_request, (target.first, target.second, coffee))
    later, at = struct.pack("<Q", second.statement.expires_at + 1), STATEMENT_AT + 4
    mixed = [
        joined(target.first, first.terms, second.plan),
        joined(target.second, second.terms, first.plan),
        joined(target.second[:at] + later + target.second[at + 8 :], second.terms, second.plan),
        joined(target.second, second.terms, other.plan),
    ]
    assert {refusal_of(target, request) for request in mixed} == {"signature"}
    crossed = joined(target.second, other.terms, second.plan)
    assert refusal_of(target, crossed) in {"study", "terms"}


@pytest.mark.slow
def test_a_replay_gets_the_same_bytes_a_thousand_times(target):
    assert {target.agent.answer(target.first).payload for _ in range(1000)} == {target.stored}


def test_refusals_leave_few_entries(target):
    for number in range(200):
        refusal_of(target, b"x" * number)
    assert len(target.entries("refused")) == 1
