"""Two requests for the survivors of one sum that contradict each other: what proves that an operator's server lied.

    one request as evidence: opening, with the operator's signature (``protocol.wire.opening``) | head | body

An honest server fixes a sum's survivors once, and asks everybody for the same. Whoever holds two signed requests for
one slot that name other survivors, or another label, can show them to anybody: no hospital can make them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import Survivors
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.wire.opening import (
    OPENING_BYTES,
    decode_opening,
    decode_statement,
    is_statement_signed,
    signed_by_operator,
)
from wardround.protocol.wire.sum_wire import LARGEST_SUM_MESSAGE, SumRequest, SumStep, decode_sum_request
from wardround.protocol.wire.wire import split_plan

LARGEST_EVIDENCE, MOST_PAIRS = 2**27, 100
"""Bytes of a file of such pairs, and how many it holds: with 1000 members a pair has 0.7 MB as it is written."""
_FORM = "wardround evidence of two survivor sets 1"
_MOST_MEMBERS = 1000  # more than a sum may have: the roster that says how many is not at hand


@dataclass(frozen=True, eq=False)
class SignedSurvivors:
    """One request for survivors whose signature was verified. operator: the key that signed it."""

    operator: str
    request: SumRequest
    asked: Survivors

    @property
    def slot(self) -> tuple[str, str, str, str, int]:
        """The sum that it is about: study, terms, roster, account, round."""
        one = self.request
        return one.study, one.terms_fingerprint, one.roster, one.account, one.round


@dataclass(frozen=True, eq=False)
class Contradiction:
    """Two of them for one slot. Signed by two keys they are one operator's where the one succeeded the other."""

    first: SignedSurvivors
    second: SignedSurvivors

    def describe(self) -> str:
        """Say in a line what they prove, with foreign names as the wire allows them."""
        one, other = self.first, self.second
        by = one.operator if one.operator == other.operator else f"{one.operator} and {other.operator}"
        sets = " and ".join(_members(each.asked.survivors) for each in (one, other))
        same = ", under two labels" if one.asked.survivors == other.asked.survivors else ""
        return (
            f"study {one.request.study}, round {one.request.round}, {one.request.account} patients: {by} signed two "
            f"requests for this sum, for the survivors {sets}{same}"
        )


def read_survivors(signed: bytes) -> SignedSurvivors:
    """Read one request as evidence; MessageError unless the operator whom it names signed all of it."""
    opening = decode_opening(signed[:OPENING_BYTES])
    if not (signed_by_operator(opening) and is_statement_signed(opening)):
        raise MessageError("evidence: is not signed by the operator whom it names")
    statement, plan = decode_statement(opening), signed[OPENING_BYTES:]
    if len(plan) > LARGEST_SUM_MESSAGE:
        raise MessageError("evidence: is larger than any request")
    head, body = split_plan(plan)
    digests = hashlib.sha256(head).digest(), hashlib.sha256(body).digest()
    if digests != (statement.head_digest, statement.weights_digest):
        raise MessageError("evidence: is not what was signed")
    request = decode_sum_request(plan)
    if request.step is not SumStep.SURVIVORS:
        raise MessageError("evidence: asks for no survivors")
    return SignedSurvivors(opening.operator, request, Survivors.from_bytes(request.body, _MOST_MEMBERS))


def read_contradiction(first: bytes, second: bytes) -> Contradiction:
    """Read two requests; MessageError unless both are signed, for one slot, and cannot both be an honest server's."""
    one, other = read_survivors(first), read_survivors(second)
    if one.slot != other.slot:
        raise MessageError("evidence: two requests for two sums")
    if (one.asked.label, one.asked.survivors) == (other.asked.label, other.asked.survivors):
        raise MessageError("evidence: both requests name the same survivors of the same sum")
    return Contradiction(one, other)


def evidence_to_bytes(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write pairs of requests as a file that anybody can verify."""
    plain = {"form": _FORM, "pairs": [[first.hex(), second.hex()] for first, second in pairs]}
    return canonical_json(plain) + b"\n"


def evidence_from_bytes(content: bytes) -> list[Contradiction]:
    """Read and verify such a file; MessageError where it has another form, or a pair proves nothing."""
    try:
        plain = read_json(content, LARGEST_EVIDENCE)
        pairs = plain["pairs"] if isinstance(plain, dict) and plain.get("form") == _FORM else None
        raw = [(bytes.fromhex(first), bytes.fromhex(second)) for first, second in pairs or ()]
    except (ValueError, TypeError, KeyError) as error:
        raise MessageError("evidence: has not the form that this program writes") from error
    if pairs is None or len(raw) > MOST_PAIRS:
        raise MessageError(f"evidence: must hold at most {MOST_PAIRS} pairs of requests")
    return [read_contradiction(first, second) for first, second in raw]


def _members(survivors: Sequence[int]) -> str:
    return f"{{{', '.join(map(str, survivors))}}}"
