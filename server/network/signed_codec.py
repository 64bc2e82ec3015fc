"""Plans signed by the operator, answers signed by hospitals: how a server writes to agents, by way of the shim."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flwr.app import ConfigRecord, Message
from flwr.common.constant import ErrorCode

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.wire.envelope import (
    SignedSumAnswer,
    answering_speaker,
    decode_answer,
    sign_head,
    signed_by_hospital,
)
from wardround.protocol.wire.signed_terms import SignedTerms, signed_terms_to_bytes
from wardround.protocol.wire.signing import SigningKey
from wardround.protocol.wire.speaker import Speaker, disagreement, understands
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network.messages import messages_of
from wardround.server.store.agent_releases import HERE, THEIRS
from wardround.server.store.held_heads import HeldHeads

CLOCKS_APART = timedelta(hours=6)
"""By how much a hospital's clock may be ahead before a fresh plan looks expired to it."""
OTHER_SHIM = "its SuperNode does not run this server's shim: one of the two is of an older release"


@dataclass(frozen=True, kw_only=True, eq=False)
class SignedCodec:
    """How one study's plans are signed, and its hospitals' answers verified.

    key: the one that signed the terms. key_of: gives an enrolled hospital's signing key, or None.
    heads: the hospitals' newest ledger heads over all of the operator's studies; each plan names one. hear: told of
    each answer which release gave it.
    """

    signed: SignedTerms
    key: SigningKey = field(repr=False)
    key_of: Callable[[str], str | None]
    heads: HeldHeads
    hear: Callable[[str, Speaker], None]

    def write(self, plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Sign each plan, valid until its deadline and CLOCKS_APART beyond it."""
        terms = signed_terms_to_bytes(self.signed)
        until = datetime.fromtimestamp(time.time() + seconds, UTC) + CLOCKS_APART
        named = [
            replace(plan, ledger_head=self.heads.newest(plan.hospital) or plan.ledger_head) for plan in plans
        ]
        # All plans of a round share their weights: hashed once, however many hospitals are asked.
        digest = plans[0].weights_digest if plans else ""
        heads = [{"head": sign_head(terms, plan, until, self.key, digest)} for plan in named]
        return messages_of(plans, heads, nodes, seconds)

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
        """Read an agent's answer; a release counts only with its own hospital's signature."""
        if message.has_error():
            unloaded = message.error.code == ErrorCode.LOAD_CLIENT_APP_EXCEPTION
            return NoRelease(hospital, OTHER_SHIM if unloaded else "error")
        record = message.content.get("answer")
        payload = record.get("answer") if isinstance(record, ConfigRecord) else None
        if not isinstance(payload, bytes):
            late = isinstance(record, ConfigRecord) and record.get("late") is True
            return NoRelease(hospital, "late" if late else "malformed")
        return self._answer(payload, hospital)

    def _answer(self, payload: bytes, hospital: str) -> Release | NoRelease:
        try:
            # Read before all else, and unsigned: an answer of another protocol can be neither parsed nor verified here.
            speaker = answering_speaker(payload)
            self.hear(hospital, speaker)
            if not understands(speaker):
                return NoRelease(hospital, disagreement(THEIRS, speaker, HERE))
            answer = decode_answer(payload)
        except MessageError:
            return NoRelease(hospital, "malformed")
        if isinstance(answer, SignedSumAnswer):
            return NoRelease(hospital, "malformed")
        if isinstance(answer, Refusal):
            return NoRelease(hospital, f"refused: {answer.clause}")
        if answer.release.hospital != hospital:
            return NoRelease(hospital, "wrong hospital")
        key = self.key_of(hospital)
        if key is None or not signed_by_hospital(answer, key):
            return NoRelease(hospital, "wrong signature")
        # Whatever becomes of the release, its hospital has charged it: kept before anything else is done.
        self.heads.keep(hospital, answer.release.ledger_head)
        return answer.release
