"""What the operator signs and hospitals answer, signed too: how a server writes to agents, by way of the shim."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flwr.app import ConfigRecord, Message
from flwr.common.constant import ErrorCode

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.wire.envelope import (
    SignedRelease,
    SignedSumAnswer,
    answering_speaker,
    decode_answer,
    sign_head,
    sign_sum_request,
    signed_by_hospital,
    sum_answer_signed_by,
)
from wardround.protocol.wire.signed_terms import SignedTerms, signed_terms_to_bytes
from wardround.protocol.wire.signing import SigningKey
from wardround.protocol.wire.speaker import FirstRelease, Speaker, disagreement, understands
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network.messages import messages_of, sum_message
from wardround.server.store.agent_releases import HERE, THEIRS
from wardround.server.store.held_heads import HeldHeads

CLOCKS_APART = timedelta(hours=6)
"""By how much a hospital's clock may be ahead before a fresh plan looks expired to it."""
OTHER_SHIM = "its SuperNode does not run this server's shim: one of the two is of an older release"


@dataclass(frozen=True, kw_only=True, eq=False)
class SignedCodec:
    """How what is asked in one study is signed, and its hospitals' answers are verified: plans out, releases in.

    key: the one that signed the terms. key_of: gives an enrolled hospital's signing key, or None.
    heads: the hospitals' newest ledger heads over all of the operator's studies; each plan names one. hear: told of
    each answer which release gave it.
    """

    signed: SignedTerms
    key: SigningKey = field(repr=False)
    key_of: Callable[[str], str | None]
    heads: HeldHeads
    hear: Callable[[str, Speaker], None]

    def write(self, asks: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Sign each plan, valid until its deadline and CLOCKS_APART beyond it."""
        terms = signed_terms_to_bytes(self.signed)
        until = _expiry(seconds)
        named = [
            replace(plan, ledger_head=self.heads.newest(plan.hospital) or plan.ledger_head) for plan in asks
        ]
        # All plans of a round share their weights: hashed once, however many hospitals are asked.
        digest = asks[0].weights_digest if asks else ""
        heads = [{"head": sign_head(terms, plan, until, self.key, digest)} for plan in named]
        return messages_of(asks, heads, nodes, seconds)

    def requests(self, asks: Sequence[SumRequest], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Sign each request of a secure sum, as plans are signed."""
        terms, until = signed_terms_to_bytes(self.signed), _expiry(seconds)
        messages = []
        for asked in asks:
            named = replace(asked, ledger_head=self.heads.newest(asked.hospital) or asked.ledger_head)
            whole = sign_sum_request(terms, named, until, self.key)
            head = whole[: len(whole) - len(named.body)]
            messages.append(sum_message(named, head, nodes[named.hospital], seconds))
        return messages

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
        """Read a release; a masked one is none."""
        found = self.answer(message, hospital)
        return NoRelease(hospital, "malformed") if isinstance(found, SumAnswer) else found

    def answer(self, message: Message, hospital: str) -> Release | SumAnswer | NoRelease:
        """Read an agent's answer; it counts only with its own hospital's signature."""
        if message.has_error():
            unloaded = message.error.code == ErrorCode.LOAD_CLIENT_APP_EXCEPTION
            return NoRelease(hospital, OTHER_SHIM if unloaded else "error")
        record = message.content.get("answer")
        payload = record.get("answer") if isinstance(record, ConfigRecord) else None
        if not isinstance(payload, bytes):
            late = isinstance(record, ConfigRecord) and record.get("late") is True
            return NoRelease(hospital, "late" if late else "malformed")
        return self._read(payload, hospital)

    def _read(self, payload: bytes, hospital: str) -> Release | SumAnswer | NoRelease:
        try:
            # Read before all else, and unsigned: an answer of another protocol can be neither parsed nor verified here.
            speaker = answering_speaker(payload)
            self.hear(hospital, speaker)
            if not understands(speaker):
                return NoRelease(hospital, disagreement(THEIRS, speaker, HERE))
            answer = decode_answer(payload)
        except FirstRelease as error:
            return NoRelease(hospital, f"its agent answered with {error}")
        except MessageError:
            return NoRelease(hospital, "malformed")
        if isinstance(answer, Refusal):
            return NoRelease(hospital, f"refused: {answer.clause}")
        found = answer.release if isinstance(answer, SignedRelease) else answer.answer
        if found.hospital != hospital:
            return NoRelease(hospital, "wrong hospital")
        key = self.key_of(hospital)
        if key is None or not _signed_by(answer, key):
            return NoRelease(hospital, "wrong signature")
        # Whatever becomes of the answer, its hospital has charged it: kept before anything else is done.
        self.heads.keep(hospital, found.ledger_head)
        return found


@dataclass(frozen=True, eq=False)
class MaskedCodec:
    """Trip 1 of a secure sum: plans out, masked releases in."""

    signed: SignedCodec

    def write(self, asks: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Sign plans."""
        return self.signed.write(asks, nodes, seconds)

    def read(self, message: Message, hospital: str) -> SumAnswer | NoRelease:
        """Read a masked release; a plain one is none."""
        return _sum_answer(self.signed.answer(message, hospital), hospital)


@dataclass(frozen=True, eq=False)
class SumCodec:
    """Set-up and trip 2 of a secure sum: requests out, answers in."""

    signed: SignedCodec

    def write(self, asks: Sequence[SumRequest], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Sign requests."""
        return self.signed.requests(asks, nodes, seconds)

    def read(self, message: Message, hospital: str) -> SumAnswer | NoRelease:
        """Read an answer of a secure sum; a plain release is none."""
        return _sum_answer(self.signed.answer(message, hospital), hospital)


def _sum_answer(found: Release | SumAnswer | NoRelease, hospital: str) -> SumAnswer | NoRelease:
    return NoRelease(hospital, "malformed") if isinstance(found, Release) else found


def _signed_by(answer: SignedRelease | SignedSumAnswer, key: str) -> bool:
    if isinstance(answer, SignedRelease):
        return signed_by_hospital(answer, key)
    return sum_answer_signed_by(answer, key)


def _expiry(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC) + CLOCKS_APART
