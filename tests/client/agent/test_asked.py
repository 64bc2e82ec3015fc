"""What an agent does before it decodes anything: a stranger costs next to nothing, and none of it is parsed."""

import hashlib
import itertools
import struct
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.client.small_hospital import small_terms
from wardround.protocol.wire.envelope import decode_answer, sign_request
from wardround.protocol.wire.opening import OPENING_BYTES, STATEMENT_AT
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import Purpose, new_key, public_key_bytes
from wardround.protocol.wire.speaker import ASK, speaker_to_bytes, this_speaker

TOMORROW = datetime.now(UTC) + timedelta(days=1)
WEAK_KEY = "ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # the neutral point: anybody can sign


def clause(hospital, payload):
    return decode_answer(hospital.agent.answer(payload).payload).clause


def crossed(count):
    """Terms' bytes with so many crosses, signed by nobody: what kept an agent of 0.1.0 busy for an hour."""
    names = [f"{i:x}" for i in range(2 * int(count**0.5) + 2)]
    pairs = ",".join(f'["{a}","{b}"]' for a, b in itertools.islice(itertools.combinations(names, 2), count))
    body = f'{{"contract":{{"crosses":[{pairs}]}}}}'.encode()
    return f"wardround-terms-2 {new_key().public} {'0' * 128}\n".encode() + body + b"\n"


def request_of(terms, plan=b"x", operator=None):
    """A request that nobody signed, under the name of the key in its terms' first line."""
    operator = operator or terms.split(b" ")[1].decode()
    statement = struct.pack("<IQ", len(terms), 2**40) + bytes(64)
    named = public_key_bytes(operator) + hashlib.sha256(statement).digest()
    return speaker_to_bytes(ASK, this_speaker()) + named + bytes(64) + statement + terms + plan


@pytest.fixture
def undecoded(monkeypatch):
    """Fails where terms or a plan are decoded."""

    def never(*arguments, **settings):
        raise AssertionError("decoded")

    monkeypatch.setattr("wardround.protocol.wire.signed_terms.decode", never)
    monkeypatch.setattr("wardround.client.agent.verified_plan.decode_plan", never)


def calls(work):
    """How many calls of Python and C functions a piece of work makes: its work, on any machine."""
    count = 0

    def seen(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_an_unsigned_request_costs_the_same_whatever_its_size(approved, undecoded):
    small, large = request_of(crossed(100)), request_of(crossed(200_000))
    assert len(large) > 2_000_000
    clause(approved, small)  # the first refusal of a day is entered in the ledger
    assert clause(approved, large) == "operators"
    assert calls(lambda: approved.agent.answer(large)) <= calls(lambda: approved.agent.answer(small)) + 20


def test_no_arithmetic_is_done_on_a_strangers_key(approved, monkeypatch):
    def never(*arguments):
        raise AssertionError("verified")

    monkeypatch.setattr("wardround.protocol.wire.opening.verifies", never)
    assert approved.clause(signer=new_key()) == "operators"


def test_strangers_are_told_by_the_first_bytes_alone(approved, undecoded):
    stranger = approved.request(signer=new_key())
    assert decode_answer(approved.agent.screen(stranger[:OPENING_BYTES]).payload).clause == "operators"
    assert approved.agent.screen(approved.request()[:OPENING_BYTES]) is None
    assert OPENING_BYTES < 512


def test_a_listed_operator_who_did_not_sign_is_no_better(approved, undecoded):
    terms = signed_terms_to_bytes(sign_terms(approved.terms, approved.operator))
    forged = request_of(terms, operator=approved.operator.public)
    assert decode_answer(approved.agent.screen(forged[:OPENING_BYTES]).payload).clause == "signature"
    assert clause(approved, forged) == "signature"
    honest = approved.request()
    later = honest[: STATEMENT_AT + 4] + struct.pack("<Q", 2**41) + honest[STATEMENT_AT + 12 :]
    assert decode_answer(approved.agent.screen(later[:OPENING_BYTES]).payload).clause == "signature"
    swapped = honest[:-4] + b"\0\0\0@"
    assert clause(approved, swapped) == "signature"
    expired = approved.request(lives=timedelta(seconds=-1))
    assert decode_answer(approved.agent.screen(expired[:OPENING_BYTES]).payload).clause == "expired"


def test_terms_are_decoded_only_after_their_own_signature(approved, undecoded):
    """The operator signed the plan; the terms between are another's words under the operator's name."""
    signature = new_key().sign(Purpose.TERMS, b"{}").hex()
    terms = f"wardround-terms-2 {approved.operator.public} {signature}\n".encode() + b"{}\n"
    assert clause(approved, sign_request(terms, approved.plan(), TOMORROW, approved.operator)) == "terms"


def test_terms_that_another_key_signed_are_not_decoded(approved, undecoded):
    """A listed operator's plan must not bring a stranger's terms past the door."""
    terms = signed_terms_to_bytes(sign_terms(approved.terms, new_key()))
    assert clause(approved, sign_request(terms, approved.plan(), TOMORROW, approved.operator)) == "terms"


def test_a_revoked_and_a_rotated_key_are_strangers(approved, undecoded):
    ledger, now = approved.agent._ledger, approved.agent._now()
    successor = new_key()
    who = {"reason": "stolen", "person": "officer"}
    ledger.decide("rotated", now, operator=approved.operator.public, successor=successor.public, **who)
    opening = approved.request()[:OPENING_BYTES]
    assert decode_answer(approved.agent.screen(opening).payload).clause == "operators"
    later = approved.request(signer=successor)[:OPENING_BYTES]
    assert approved.agent.screen(later) is None
    ledger.decide("revoked", now, operator=successor.public, **who)
    assert decode_answer(approved.agent.screen(later).payload).clause == "operators"


def test_an_unreadable_policy_refuses_by_its_own_name(approved, undecoded):
    (approved.folder / "policy.yaml").write_text("delta: [")
    assert clause(approved, approved.request()) == "policy"


def test_a_weak_key_opens_no_door(hospital, undecoded):
    terms = f"wardround-terms-2 {WEAK_KEY} {'01' + '00' * 63}\n".encode() + b"{}\n"
    assert clause(hospital, request_of(terms)) == "operators"
    hospital.write_policy(operators={"weak": WEAK_KEY})
    assert clause(hospital, request_of(terms)) == "policy"
    with pytest.raises(Exception, match="successor"):
        hospital.agent._ledger.decide(
            "rotated",
            hospital.agent._now(),
            operator=hospital.operator.public,
            successor=WEAK_KEY,
            reason="x",
            person="y",
        )


def test_a_request_of_an_earlier_version_is_refused_in_one_word(approved):
    assert clause(approved, b"wardask1" + approved.request()[8:]) == "message"
    old = b'{"format":"wardround-terms-1"}' + b" " * 300
    assert clause(approved, sign_request(old, approved.plan(), TOMORROW, approved.operator)) == "terms"


def test_strangers_write_one_entry_and_few_lines(approved, caplog):
    for number in range(300):
        assert clause(approved, request_of(crossed(number))) == "operators"
        assert clause(approved, b"x" * number) == "message"
    assert len(approved.entries("refused")) == 2
    assert len([line for line in caplog.records if "refused" in line.message]) <= 4


def test_a_simulated_hospital_hears_its_listed_operators_alone(hospital, undecoded):
    hospital.become_simulated(seed=7)
    terms = small_terms(simulation=True)
    assert clause(hospital, hospital.request(terms=terms, signer=new_key())) == "operators"
    assert hospital.agent.screen(hospital.request(terms=terms)[:OPENING_BYTES]) is None
    hospital.write_policy(operators={})
    assert clause(hospital, hospital.request(terms=terms)) == "operators"


def test_a_signed_plan_that_is_replayed_fills_no_log(hospital, caplog):
    """Whoever carries it may send it a hundred times a second: the agent's own lines would drive out all others."""
    request = hospital.request()
    assert {clause(hospital, request) for _ in range(50)} == {"approval"}
    assert len([line for line in caplog.messages if line.startswith("refused:")]) == 1


def test_a_plan_does_not_look_through_all_charges(approved):
    """At every plan that would be quadratic over a ledger's life."""

    class Unread(dict):
        def __iter__(self):
            raise AssertionError("looked through")

        keys = values = items = __iter__

    for number in (1, 2, 4):
        approved.released(number)
    chain = approved.agent._ledger._chain
    chain.charges = Unread(chain.charges)
    approved.released(5)
    who = (approved.operator.public, approved.terms.fingerprint, "training")
    assert (chain.rounds_charged(*who), chain.last_round(*who)) == (4, 5)
    assert (chain.rounds_charged(*who[:2], "held_out"), chain.last_round(*who[:2], "held_out")) == (0, 0)
