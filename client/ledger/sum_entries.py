"""The ledger's word in a secure sum: one roster for a study, one set of survivors for a slot, whatever is asked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from wardround.client.ledger.budget import Charge
from wardround.client.ledger.fields import Field, utc_text
from wardround.client.ledger.port import Key
from wardround.client.ledger.sum_history import AnsweredSlot
from wardround.client.ledger.writing import LedgerWriter
from wardround.protocol.errors import Refusal

_NOTHING_LEFT = "nothing left the hospital"


@dataclass(frozen=True, kw_only=True)
class SlotAnswer:
    """One answer for a slot's survivors, before it leaves.

    operator: the key that signed the terms. label: of the sum, hex. request: SHA-256 of the body answered, hex.
    payload: the answer's bytes. held: the head that the request names.
    """

    operator: str
    study: str
    terms: str
    account: str
    round: int
    label: str
    survivors: Sequence[int]
    request: str
    expires_at: datetime
    held: str | None = None
    payload: bytes = field(repr=False)


class KeptAnswer(NamedTuple):
    """What leaves for a slot: the entry that says so, and the answer's bytes, as they were stored first."""

    entry: AnsweredSlot
    payload: bytes


class SecondSurvivors(Refusal):
    """A request that contradicts the one that was answered for its slot."""


class SumEntries(LedgerWriter):
    """Guarantee: what these methods return is on the disk before they return, and never another for one question."""

    def sign_roster(
        self, operator: str, study: str, terms: str, digest: str, now: datetime, held: str | None = None
    ) -> str:
        """Record the one roster of a study before it is signed; returns the entry's hash, for a repeat too.

        Refusal ``roster`` for a second one, ``recovered`` where entries of the study may be missing.
        """
        with self._writing(now, _NOTHING_LEFT):
            first = self._standing(operator, terms)
            self._require_open(first, terms)
            signed = self._chain.sums.roster((first, terms))
            if signed is None:
                fields = {"operator": first, "study": study, "terms": terms, "roster": digest}
                return self._append("roster", now, {**fields, "held": held or ""})
            if signed.digest != digest:
                raise Refusal(
                    "roster",
                    f"roster={digest[:12]}: this hospital signed roster {signed.digest[:12]} under these terms, and "
                    "signs no second one; a roster that cannot be completed wants a new study",
                )
            return signed.hash

    def answer_slot(self, answer: SlotAnswer, now: datetime) -> KeptAnswer:
        """Record a slot's survivors, and store the answer, before it leaves; a repeat gets what was stored first.

        Refusal ``slot`` for other survivors or another label than the slot's, ``recovered`` as for a roster,
        ``set_up`` without one, ``answered`` where the stored answer is deleted.
        """
        with self._writing(now, _NOTHING_LEFT):
            first = self._standing(answer.operator, answer.terms)
            self._require_open(first, answer.terms)
            if self._chain.sums.roster((first, answer.terms)) is None:
                raise Refusal("set_up", "this ledger holds no roster of the study; set it up first")
            slot = (first, answer.terms, answer.account, answer.round)
            survivors = survivors_text(answer.survivors)
            before = self._chain.sums.answered(slot)
            if before is not None:
                return self._kept(before, answer.label, survivors)
            charged = self._chain.charges.get(slot)
            if charged is not None and charged.label != answer.label:
                raise Refusal(
                    "label", f"label={answer.label[:12]}: this hospital's own release is of another sum"
                )
            # The entry is made first: its hash is the name that the bytes are stored under.
            expiry = utc_text(answer.expires_at)
            head = self._append(
                "survivors",
                now,
                {
                    "operator": first,
                    "study": answer.study,
                    "terms": answer.terms,
                    "account": answer.account,
                    "round": answer.round,
                    "label": answer.label,
                    "survivors": survivors,
                    "request": answer.request,
                    "answer": hashlib.sha256(answer.payload).hexdigest(),
                    "expires_at": expiry,
                    "held": answer.held or "",
                },
            )
            self._store.keep(head, answer.payload, expiry)
        return KeptAnswer(AnsweredSlot(head, answer.label, survivors, answer.request), answer.payload)

    def record_contradiction(self, slot: Key, study: str, requests: Sequence[str], now: datetime) -> None:
        """Record, once for a slot, that its operator signed two requests for it that contradict each other.

        requests: SHA-256 of both as they are kept, hex. Refusal where no entry can be written.
        """
        with self._writing(now, _NOTHING_LEFT):
            if slot in self._chain.sums.contradicted or self._chain.sums.answered(slot) is None:
                return
            operator, terms, account, number = slot
            first, second = requests
            fields: dict[str, Field] = {
                "operator": operator,
                "study": study,
                "terms": terms,
                "account": account,
                "round": number,
                "first": first,
                "second": second,
            }
            self._append("contradiction", now, fields)

    def kept_answer(
        self, operator: str, terms: str, account: str, round_number: int, label: str, survivors: Sequence[int]
    ) -> KeptAnswer | None:
        """Look up what was answered for a slot; None where nothing was. Refusals as ``answer_slot``."""
        with self._reading() as chain:
            first = self._standing(operator, terms)
            self._require_open(first, terms)
            before = chain.sums.answered((first, terms, account, round_number))
            return None if before is None else self._kept(before, label, survivors_text(survivors))

    def _require_unanswered(self, charge: Charge) -> None:
        """Refuse to charge for a sum whose survivors were answered, or whose study may miss entries."""
        if not charge.label:
            return
        self._require_open(charge.operator, charge.terms)
        slot = (charge.operator, charge.terms, charge.account, charge.round)
        if self._chain.sums.answered(slot) is not None:
            raise Refusal(
                "survivors",
                f"round={charge.round}: its survivors were answered before this hospital's own release left; it is "
                "not among them",
            )

    def _kept(self, before: AnsweredSlot, label: str, survivors: str) -> KeptAnswer:
        if (before.label, before.survivors) != (label, survivors):
            raise SecondSurvivors(
                "slot",
                "this slot was answered for other survivors or under another label, and is answered once: two signed "
                "requests prove that the operator's server lied; see ledger evidence",
            )
        payload = self._stored(before)
        if payload is None:
            raise Refusal("answered", "this slot was answered, and its bytes are deleted")
        return KeptAnswer(before, payload)

    def _standing(self, operator: str, terms: str) -> str:
        """Give an operator's first key; Refusal where its key is out of use, or a person declined these terms.

        Within the write: the policy was asked before, minutes ago where a program was stopped or a model was checked,
        and what a person takes back must count from the moment in which the ledger says so.
        """
        first = self._first(operator)
        if self._chain.decision(terms, operator) == "declined":
            raise Refusal("approval", f"terms {terms} were declined while this was being answered")
        return first

    def _first(self, operator: str) -> str:
        first = self._chain.identify(operator)
        if first is None:
            raise Refusal("operators", f"operator={operator}: this key is out of use")
        return first

    def _require_open(self, operator: str, terms: str) -> None:
        if self._chain.sums.is_closed((operator, terms)):
            raise Refusal(
                "recovered",
                "this ledger was recovered after the study began: other survivors may have been answered in what was "
                "lost, so no sum of it is answered any more",
            )


def survivors_text(survivors: Sequence[int]) -> str:
    """Spell survivors for an entry: their indices in the roster, ascending, from 1."""
    return " ".join(map(str, sorted(survivors)))
