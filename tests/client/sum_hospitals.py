"""Hospitals on disk whose agents take part in secure sums, and a server that asks whatever a test wants.

The server's own half (``server.algorithm``) does the arithmetic where it is honest.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

from tests.client.small_hospital import PATIENTS, Hospital, small_terms
from wardround.protocol.arrays import Integers
from wardround.protocol.errors import Refusal
from wardround.protocol.model.model import parameter_count
from wardround.protocol.secure_sum.exchange import RosterKeys
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.sum_label import label_of, slot_of
from wardround.protocol.terms.sum_noise import slots_of, sum_noise
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.envelope import SignedSumAnswer, decode_answer, sign_request, sign_sum_request
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep
from wardround.server.algorithm.sum_setup import SumStudy, brought_to, dealt_digests, read_keys, roster_of
from wardround.server.algorithm.sum_trips import (
    FixedSum,
    SumAsked,
    await_shares,
    begin,
    fix,
    outcome,
    survivors_for,
    take_given,
    take_masked,
)

ROUNDS = 4


class SumHospitals:
    """``count`` hospitals, named h1, h2, …, one operator, and terms with secure sums that all approved.

    dealings, brought: what set-up left at the server, by hospital.
    """

    def __init__(
        self, folder: Path, count: int = 4, colluding: int = 1, threshold: int = 3, **terms: Any
    ) -> None:
        """Make them; nothing was asked yet."""
        self.folder, self.operator = folder, new_key()
        names = [f"h{number}" for number in range(1, count + 1)]
        self.hospitals = {name: Hospital(folder / name, name, self.operator) for name in names}
        members = {name: hospital.key.public for name, hospital in self.hospitals.items()}
        plain = small_terms()
        settings = SecureSumSettings(
            threshold=threshold,
            colluding=colluding,
            parameters=parameter_count(plain.model, plain.contract.layout),
            members=members,
        )
        given = {
            "privacy": {"noise": "secure"},
            "training": {"rounds": ROUNDS, "public_patients": dict.fromkeys(names, PATIENTS)},
            "secure_sum": settings,
        }
        self.terms: Terms = small_terms(**{**given, **terms})
        self.heads: dict[str, str | None] = dict.fromkeys(names)
        self.dealings: dict[str, bytes] = {}
        self.brought: dict[str, bytes] = {}
        self.roster: Roster | None = None
        self.roster_keys = b""
        for hospital in self.hospitals.values():
            hospital.terms = self.terms
            hospital.write_policy(**self.policy(hospital.name))
            hospital.approve()

    def policy(self, name: str) -> dict[str, Any]:
        """Say what a hospital's policy holds besides: all others are its peers."""
        others = {other: one.key.public for other, one in self.hospitals.items() if other != name}
        return {"peers": {other: {"key": key, "since": "2026-01-01"} for other, key in others.items()}}

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals in the roster's order."""
        return self.study.members

    @property
    def study(self) -> SumStudy:
        """What the roster stands on."""
        assert self.terms.secure_sum is not None
        return SumStudy(
            study=self.terms.study,
            terms=self.terms.fingerprint,
            thresholds=self.terms.thresholds,
            slots=slots_of(self.terms),
            signing_keys=self.terms.secure_sum.members,
        )

    @property
    def digest(self) -> str:
        """The roster's digest, hex."""
        assert self.roster is not None
        return self.roster.digest.hex()

    def signed(self, name: str, step: SumStep, body: bytes = b"", **changes: Any) -> bytes:
        """Write what the operator sends one hospital besides plans."""
        fields: dict[str, Any] = {
            "step": step,
            "study": self.terms.study,
            "hospital": name,
            "terms_fingerprint": self.terms.fingerprint,
            "roster": "" if step is SumStep.KEYS else self.digest,
            "ledger_head": self.heads[name],
            "body": body,
        }
        signed_terms = signed_terms_to_bytes(sign_terms(changes.pop("terms", self.terms), self.operator))
        request = SumRequest(**fields | changes)
        return sign_sum_request(signed_terms, request, datetime.now(UTC) + timedelta(days=1), self.operator)

    def send(self, name: str, payload: bytes) -> SumAnswer | str:
        """Have an agent answer: what it gives, or the clause by which it refuses."""
        reply = self.hospitals[name].agent.answer(payload)
        assert reply.payload is not None, "no reply"
        answer = decode_answer(reply.payload)
        if isinstance(answer, Refusal):
            return answer.clause
        assert isinstance(answer, SignedSumAnswer), answer
        if answer.answer.ledger_head:
            self.heads[name] = answer.answer.ledger_head
        return answer.answer

    def ask(self, name: str, step: SumStep, body: bytes = b"", **changes: Any) -> SumAnswer | str:
        """Ask one hospital for something besides a plan."""
        return self.send(name, self.signed(name, step, body, **changes))

    def given(self, name: str, step: SumStep, body: bytes = b"", **changes: Any) -> SumAnswer:
        """Ask for what must be given."""
        answer = self.ask(name, step, body, **changes)
        assert isinstance(answer, SumAnswer), answer
        return answer

    def keys(self) -> RosterKeys:
        """Ask all for their keys."""
        bodies = {name: self.given(name, SumStep.KEYS).body for name in self.names}
        return RosterKeys(tuple(read_keys(self.study, name, body) for name, body in bodies.items()))

    def use(self, keys: RosterKeys) -> None:
        """Make these keys the roster that the server stands by."""
        self.roster_keys = keys.to_bytes()
        self.roster = roster_of(self.study, keys)

    def set_up(self) -> None:
        """Set the study up with all of them, honestly."""
        self.use(self.keys())
        for name in self.names:
            self.dealings[name] = self.given(name, SumStep.DEAL, self.roster_keys).body
        for name in self.names:
            assert self.given(name, SumStep.TAKE, self.for_member(name)).body == b""

    def for_member(self, name: str) -> bytes:
        """Write what the server brings one member of all dealings."""
        index = self.names.index(name) + 1
        dealings = [self.dealings[dealer] for dealer in self.names]
        return brought_to(index, dealings, len(self.names), len(self.study.slots))

    def plan(self, name: str, number: int = 1, **changes: Any) -> RoundPlan:
        """Write a round's plan for one hospital."""
        plan = self.hospitals[name].plan(number, self.terms)
        plan = replace(plan, roster=self.digest, asks="update", ledger_head=self.heads[name])
        return replace(plan, **changes)

    def signed_plan(self, name: str, number: int = 1, **changes: Any) -> bytes:
        """Write what the operator sends for a round."""
        signed_terms = signed_terms_to_bytes(sign_terms(self.terms, self.operator))
        plan = self.plan(name, number, **changes)
        return sign_request(signed_terms, plan, datetime.now(UTC) + timedelta(days=1), self.operator)

    def masked(self, name: str, number: int = 1, **changes: Any) -> SumAnswer:
        """Ask for a masked release that must be given."""
        answer = self.send(name, self.signed_plan(name, number, **changes))
        assert isinstance(answer, SumAnswer), answer
        return answer

    def clause_of_plan(self, name: str, number: int = 1, **changes: Any) -> str:
        """Ask for a round that must be refused, and give the clause."""
        answer = self.send(name, self.signed_plan(name, number, **changes))
        assert isinstance(answer, str), answer
        return answer

    def label(self, number: int = 1, **changes: Any) -> bytes:
        """The label of a round's sum."""
        assert self.roster is not None
        plan = self.plan(self.names[0], number, **changes)
        noise = sum_noise(self.terms, plan)
        return label_of(plan, self.roster.digest, noise.dimension, noise.grid).digest()

    def asked(self, number: int = 1, **changes: Any) -> SumAsked:
        """What the server's half must know of a sum."""
        assert self.roster is not None
        plan = self.plan(self.names[0], number, **changes)
        noise = sum_noise(self.terms, plan)
        return SumAsked(
            roster=self.roster,
            slot=slot_of(plan.account, number),
            label=self.label(number, **changes),
            terms=self.terms.fingerprint,
            weights=plan.weights_digest,
            dimension=noise.dimension,
        )

    def first_trip(self, names: Iterable[str], number: int = 1, **changes: Any) -> FixedSum:
        """Take these hospitals' masked releases, and fix them as the survivors."""
        trip = begin(self.asked(number, **changes))
        for name in names:
            trip = take_masked(trip, self.masked(name, number, **changes))
        assert not trip.refused, trip.refused
        return fix(trip)

    def survivors(self, name: str, fixed: FixedSum, number: int = 1, **changes: Any) -> bytes:
        """Write trip 2 for one hospital."""
        asked = survivors_for(fixed, self.names.index(name) + 1)
        asked = changes.pop("asked", asked)
        fields = {"round": number, "account": fixed.asked.slot.account, **changes}
        return self.signed(name, SumStep.SURVIVORS, asked.to_bytes(), **fields)

    def second_trip(self, fixed: FixedSum, names: Iterable[str], number: int = 1) -> Integers:
        """Take these hospitals' shares, and give the sum."""
        trip = await_shares(fixed, self.slot_key_digests(fixed))
        for name in names:
            payload = self.survivors(name, fixed, number)
            answer = self.send(name, payload)
            assert isinstance(answer, SumAnswer), answer
            trip = take_given(trip, answer, answer.asked)
        assert not trip.refused
        assert not trip.wrong
        found = outcome(trip)
        assert found is not None
        assert not hasattr(found, "reason"), found
        return found  # type: ignore[return-value]

    def slot_key_digests(self, fixed: FixedSum) -> Mapping[int, tuple[bytes, ...]]:
        """The hashes of this slot's key shares, by dealer."""
        place, members = self.study.slots.index(fixed.asked.slot), len(self.names)
        found = {}
        for index, name in enumerate(self.names, 1):
            digests = dealt_digests(self.dealings[name][64:])
            found[index] = digests[place * members : (place + 1) * members]
        return found

    def copied_to(self, folder: Path) -> "SumHospitals":
        """Give the same hospitals in another folder, at the same point; their agents are stopped."""
        self.stop()
        copytree(self.folder, folder)
        other = copy(self)
        other.folder, other.heads, other.dealings = folder, dict(self.heads), dict(self.dealings)
        other.hospitals = {name: copy(hospital) for name, hospital in self.hospitals.items()}
        for name, hospital in other.hospitals.items():
            hospital.folder = folder / name
        return other

    def stop(self) -> None:
        """Stop all agents."""
        for hospital in self.hospitals.values():
            hospital.stop()
