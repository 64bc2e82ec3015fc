"""A hospital's secure sums over all its studies: what it answers to each message, once its policy permits the terms.

    keys → deal → take     (set-up, once for each study)
    planned ⇒ (charge, compute, mask)     (trip 1)
    given     (trip 2)

Each answer is durable before it is returned: the secret before the keys, the roster before the dealing, the opened
shares before the word that they opened, the survivors before the shares. A repeat has the same bytes.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.ledger.sum_entries import KeptAnswer, SecondSurvivors, SlotAnswer
from wardround.client.secure_sum.evidence import SumEvidence
from wardround.client.secure_sum.for_plan import PlannedSum, plan_sum
from wardround.client.secure_sum.member import SumMember, deal, give, member_of, take
from wardround.client.secure_sum.study_keys import StudyKeyFiles, StudyKeys
from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.secure_sum.exchange import (
    BroughtShares,
    Dealing,
    MemberKeys,
    RosterKeys,
    Survivors,
    TakenShares,
)
from wardround.protocol.secure_sum.keys import new_study_secret
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.survivors import check_survivors
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.sum_label import slot_of
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.signing import SigningKey
from wardround.protocol.wire.sum_roster import join_roster, sign_member_keys
from wardround.protocol.wire.sum_wire import SumRequest


@dataclass(frozen=True, eq=False)
class SumStudies:
    """One hospital's sums. key: its signing key, which the terms must name.

    Every method raises Refusal; clauses depend on terms, ledger, messages and the study's own file alone.
    """

    hospital: str
    key: SigningKey
    ledger: SqliteLedger
    files: StudyKeyFiles
    evidence: SumEvidence

    def keys(self, terms: Terms, operator: str, now: datetime) -> MemberKeys:
        """Give this hospital's public keys of a study, signed; they are made when first asked for."""
        self._settings(terms)
        keys = self._stored(terms, operator, now)
        if keys is None:
            # Until the expiry that a person approved; without one as the terms say now, and no longer ever.
            until = self.ledger.approved_until(operator, terms.fingerprint) or self._expiry(terms)
            keys = StudyKeys(new_study_secret(), until)
            self._save(terms, operator, keys)
        return sign_member_keys(
            keys.secret, slots_of(terms), terms=terms.fingerprint, hospital=self.hospital, key=self.key
        )

    def deal(self, request: SumRequest, terms: Terms, operator: str, now: datetime) -> tuple[Dealing, str]:
        """Sign the one roster of a study and deal the slot keys to it; with the head of the ledger's entry.

        Refusal ``roster`` where a key in it is no good, not its owner's or not this hospital's own, and for a second
        roster.
        """
        keys = self._required(terms, operator, now)
        member = self._member(request.body, terms, keys)
        if member.roster.digest.hex() != request.roster:
            raise Refusal("roster", f"roster={request.roster[:12]}: is not the digest of the keys that came")
        # Signed in the ledger first: a file with a roster that no entry names is one whose ledger was put back.
        head = self.ledger.sign_roster(
            operator, terms.study, terms.fingerprint, request.roster, now, request.ledger_head
        )
        if not keys.roster_keys:
            self._save(terms, operator, replace(keys, roster_keys=request.body))
        return deal(member, self.key), head

    def take(
        self, request: SumRequest, terms: Terms, operator: str, now: datetime
    ) -> tuple[TakenShares, str]:
        """Open what all dealers dealt, for good where all of it opens; with the head of the roster's entry."""
        keys = self._required(terms, operator, now)
        member = self._seated(keys, terms, operator, request.roster)
        failed, opened = take(member, _brought(request.body, member.roster))
        if not failed and keys.opened != opened:
            if keys.opened:
                raise Refusal("set_up", "other shares were opened for this roster before; they stay")
            self._save(terms, operator, replace(keys, opened=opened))
        return TakenShares(failed), self._head(terms, operator)

    def planned(self, plan: RoundPlan, terms: Terms, operator: str, now: datetime) -> PlannedSum:
        """Say what sum a plan asks for, ready to mask, before anything is charged.

        Refusal ``set_up`` before set-up is done here, ``roster`` for a plan of another roster.
        """
        member, keys = self._ready(plan.roster, terms, operator, now)
        return plan_sum(member, plan, terms, keys.expires_at)

    def given(
        self, request: SumRequest, terms: Terms, operator: str, now: datetime, signed: bytes
    ) -> KeptAnswer:
        """Give the shares that open a slot's sum, for one set of survivors ever.

        signed: the request as the operator signed it. One that contradicts the slot's first is kept beside it.
        """
        member, keys = self._ready(request.roster, terms, operator, now)
        asked, slot = _survivors(request.body, member.roster), slot_of(request.account, request.round)
        if slot not in member.roster.slots:
            raise Refusal("round", f"round={request.round}: is no {request.account} sum of these terms")
        label = asked.label.hex()
        first = self._first(operator)
        place = first, terms.fingerprint, slot.account, slot.number
        try:
            kept = self.ledger.kept_answer(operator, *place[1:], label, asked.survivors)
        except SecondSurvivors:
            self._prove(place, terms.study, signed, now)
            raise
        if kept is not None:
            return kept
        self.evidence.keep_first(*place, signed)
        answer = SlotAnswer(
            operator=operator,
            study=terms.study,
            terms=terms.fingerprint,
            account=slot.account,
            round=slot.number,
            label=label,
            survivors=asked.survivors,
            request=request.body_digest,
            expires_at=keys.expires_at,
            held=request.ledger_head,
            payload=give(member, asked, slot, keys.opened).to_bytes(),
        )
        return self.ledger.answer_slot(answer, now)

    def _prove(self, place: tuple[str, str, str, int], study: str, signed: bytes, now: datetime) -> None:
        """Keep both requests, and write into the ledger that there are two."""
        pair = self.evidence.keep_second(*place, signed)
        if pair is None:
            return
        digests = tuple(hashlib.sha256(one).hexdigest() for one in pair)
        with suppress(Refusal):  # a disk that takes no entry: the files are there, and this refusal stands
            self.ledger.record_contradiction(place, study, digests, now)

    def is_set_up(self, terms: Terms, operator: str) -> bool:
        """Whether this hospital can take part in a study's sums; Refusal where it never will again."""
        keys = self._stored(terms, operator)
        return keys is not None and bool(keys.opened)

    def _settings(self, terms: Terms) -> SecureSumSettings:
        """Refuse terms without secure sums, and those that name another signing key for this hospital."""
        settings = terms.secure_sum
        if settings is None:
            raise Refusal("secure_sum", "these terms have no secure sums")
        if settings.members.get(self.hospital) != self.key.public:
            raise Refusal(
                "members",
                f"the terms name another signing key for {self.hospital}; ask the operator for terms with "
                f"{self.key.public}",
            )
        return settings

    def kept_until(self, terms: Terms, operator: str) -> datetime | None:
        """Say when the keys of a study go: at the expiry that was approved; None before there are any."""
        keys = self.files.load(self._first(operator), terms.fingerprint)
        return None if keys is None else self._until(terms, operator, keys)

    def _stored(self, terms: Terms, operator: str, now: datetime | None = None) -> StudyKeys | None:
        """Read the study's file, and hold it to what the ledger says of it; None before the first of its messages.

        now: refuses what has expired, where it is given.
        """
        first, signed = self._first(operator), self.ledger.signed_roster(operator, terms.fingerprint)
        if self.ledger.sums_closed(operator, terms.fingerprint):
            raise Refusal(
                "recovered", "the ledger was recovered after this study began: no sum of it is answered"
            )
        if now is not None:
            self._require_lives(self.ledger.approved_until(operator, terms.fingerprint), now)
        keys = self.files.load(first, terms.fingerprint)
        if keys is None and signed is not None:
            raise Refusal(
                "study_keys",
                "the keys of this study are lost, or were deleted when it expired; its roster stands, and nobody can "
                "join it again: ask the operator for a new study",
            )
        if keys is not None and bool(keys.roster_keys) and signed is None:
            raise Refusal(
                "study_keys",
                "the keys of this study have a roster that this ledger lacks: an older one was restored",
            )
        return keys if keys is None or now is None else self._living(keys, terms, operator, now)

    def _living(self, keys: StudyKeys, terms: Terms, operator: str, now: datetime) -> StudyKeys:
        """Refuse keys whose time has come, and let them go with what is approved now: earlier or later."""
        until = self._until(terms, operator, keys)
        self._require_lives(until, now)
        if until != keys.expires_at:
            keys = replace(keys, expires_at=until)
            self._save(terms, operator, keys)
        return keys

    def _until(self, terms: Terms, operator: str, keys: StudyKeys) -> datetime:
        # The operator alone extends terms, and their fingerprint stays: without a person's word the keys do not.
        return self.ledger.approved_until(operator, terms.fingerprint) or keys.expires_at

    def _require_lives(self, until: datetime | None, now: datetime) -> None:
        if until is not None and now >= until:
            raise Refusal(
                "expires_at",
                f"the keys of this study's secure sums were kept until {until:%Y-%m-%d %H:%M} UTC, the expiry that was "
                "approved here, and are deleted; terms that were extended since must be approved again before that "
                "time: now only a new study can go on",
            )

    def _required(self, terms: Terms, operator: str, now: datetime) -> StudyKeys:
        self._settings(terms)
        keys = self._stored(terms, operator, now)
        if keys is None:
            raise Refusal("set_up", "this hospital has no keys for this study yet; ask for them first")
        return keys

    def _ready(self, roster: str, terms: Terms, operator: str, now: datetime) -> tuple[SumMember, StudyKeys]:
        """Give the member whose set-up is done, under the roster that a message names."""
        keys = self._required(terms, operator, now)
        member = self._seated(keys, terms, operator, roster)
        if not keys.opened:
            raise Refusal(
                "set_up", "not all shares were opened here yet; finish the set-up of this study first"
            )
        return member, keys

    def _seated(self, keys: StudyKeys, terms: Terms, operator: str, roster: str) -> SumMember:
        """Give the member under the roster that was signed."""
        signed = self.ledger.signed_roster(operator, terms.fingerprint)
        if signed is None or not keys.roster_keys:
            raise Refusal("set_up", "this hospital has signed no roster of this study yet; set it up first")
        if roster != signed.digest:
            raise Refusal("roster", f"roster={roster[:12]}: this hospital signed roster {signed.digest[:12]}")
        member = self._member(keys.roster_keys, terms, keys)
        if member.roster.digest.hex() != signed.digest:
            raise Refusal("study_keys", "the roster in the keys' file is not the one that the ledger names")
        return member

    def _member(self, body: bytes, terms: Terms, keys: StudyKeys) -> SumMember:
        """Make the roster of all members' keys, each signed, and find this hospital in it."""
        settings, slots = self._settings(terms), slots_of(terms)
        try:
            members = RosterKeys.from_bytes(body, len(settings.members), len(slots))
            roster = join_roster(
                terms.study, terms.fingerprint, terms.thresholds, slots, settings.members, members
            )
            return member_of(roster, self.hospital, terms.fingerprint, keys.secret)
        except MessageError as error:
            raise Refusal("roster", str(error)) from error

    def _save(self, terms: Terms, operator: str, keys: StudyKeys) -> None:
        self.files.save(self._first(operator), terms.fingerprint, keys)

    def _first(self, operator: str) -> str:
        return self.ledger.first_key(operator)

    def _head(self, terms: Terms, operator: str) -> str:
        signed = self.ledger.signed_roster(operator, terms.fingerprint)
        return signed.hash if signed else ""

    @staticmethod
    def _expiry(terms: Terms) -> datetime:
        expiry = expiry_of(terms)
        if expiry is None:
            raise Refusal("expires_at", "the terms' expiry is no date")
        return expiry


def _brought(body: bytes, roster: Roster) -> BroughtShares:
    try:
        return BroughtShares.from_bytes(body, len(roster.members), len(roster.slots))
    except MessageError as error:
        raise Refusal("message", str(error)) from error


def _survivors(body: bytes, roster: Roster) -> Survivors:
    try:
        asked = Survivors.from_bytes(body, len(roster.members))
        check_survivors(asked.survivors, roster.thresholds)
    except MessageError as error:
        raise Refusal("survivors", str(error)) from error
    return asked
