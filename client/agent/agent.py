"""The hospital's agent: holds tables, policy and ledger, and alone computes what leaves the hospital.

It answers one thing: a signed plan in, a signed release or a clause's name out. Told top to bottom:
read the request → the operator's signatures → policy, ledger and charge → gate, features, training → (mask) →
store → sign. Messages of a secure sum besides the plan go the same way, and read no table
(``client.round.answer_sum``). ``client.agent.socket_door`` carries the bytes; the story of a round is
``client.round.participate``.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from wardround.client.agent.alone import only_agent
from wardround.client.agent.noted import Noted
from wardround.client.agent.rehearse import remove_killed
from wardround.client.agent.socket_door import Reply, SocketDoor
from wardround.client.agent.turn import Turns
from wardround.client.agent.verified_plan import (
    OtherProtocol,
    Verified,
    VerifiedPlan,
    VerifiedSum,
    check_opening,
    read_request,
)
from wardround.client.agent.warm import WarmFeatures
from wardround.client.cohort import Cohort
from wardround.client.home.home import KEYS, Home, load_home
from wardround.client.home.patients_known import patients_known, require_patient
from wardround.client.home.terms_folder import keep_pending
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.policy import Policy, operator_clause
from wardround.client.round.answer_request import answer_request
from wardround.client.round.answer_sum import answer_sum
from wardround.client.round.participate import describe_error
from wardround.client.round.simulated import simulated_stream
from wardround.client.round.ward import Ward
from wardround.client.train.check_training import check_training
from wardround.protocol.errors import LedgerError, Refusal, WardroundError
from wardround.protocol.privacy.randomness import Keystream, fresh_keystream
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.terms import ACCOUNTS, RoundPlan, Terms
from wardround.protocol.text.log import FACTS
from wardround.protocol.wire.envelope import (
    SignedRelease,
    SignedSumAnswer,
    encode_answer,
    sign_release,
    sign_sum_answer,
)
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.protocol.wire.sum_wire import SumAnswer

logger = logging.getLogger("wardround.hospital")

FORGET_SECONDS = 3600.0


class Agent:
    """One hospital's answers. Safe for threads; computes one release at a time."""

    def __init__(self, home: Home, ledger: SqliteLedger) -> None:
        """Take a home and its open ledger; tables and policy are read when a plan needs them."""
        self._home = home
        self._ledger = ledger
        self._policy = home.policy
        standing = home.simulation is not None and home.simulation.as_of is not None
        self._features = WarmFeatures(home.source, home.patients_key, standing)
        self._agreed: set[str] = set()
        self._noted = Noted()
        self._servers = home.server_releases
        self._turns = Turns()
        self._last_look: datetime | None = None

    def answer(self, payload: bytes) -> Reply:
        """Answer one request; never raises, whatever the bytes are.

        A release leaves at whole multiples of its terms' delay; a refusal, which depends on terms, policy, ledger
        and clock alone, at once. Without a reply (tables are away) the hospital is late: who asked asks again.
        """
        try:
            asked = read_request(payload, self._current_policy(), self._ledger, self._now())
        except Exception as error:
            return self._unread(error)
        self._servers.note(asked.signed.operator, asked.speaker, self._now())
        with self._turns.take():
            return self._answer(asked)

    def _answer(self, asked: Verified) -> Reply:
        """Answer a verified request within its turn."""
        # Set-up and survivors read no table: their time says nothing of a patient, and waits for nobody.
        delay_seconds = asked.signed.terms.reply_delay_seconds if isinstance(asked, VerifiedPlan) else 0.0
        try:
            found = self._signed_answer(asked)
            if isinstance(found, Refusal):
                return self._refused(found, asked)
            self._require_listed(asked.signed.operator)
            payload = encode_answer(found)
            logger.info("%s: answered", asked.what, extra={FACTS: {"study": asked.signed.terms.study}})
            return Reply(payload, delay_seconds)
        except Refusal as refusal:
            # Raised, not returned: tables may have been read since the charge, and at once it would show for how long.
            return self._refused(refusal, asked, delay_seconds)
        except LedgerError as error:
            return self._refused(Refusal("ledger", str(error)), asked, delay_seconds)
        except Exception as error:
            # Late, not refused: what else is raised may depend on the tables, and a refusal would show it (rule 2).
            logger.warning("late: %s", describe_error(error))
        return Reply(None, delay_seconds)

    def screen(self, first: bytes) -> Reply | None:
        """Refuse by a request's first ``OPENING_BYTES``; None where the rest is worth reading. Never raises."""
        try:
            check_opening(first, self._current_policy(), self._ledger, self._now())
        except Exception as error:
            return self._unread(error)
        return None

    def forget_expired(self) -> None:
        """Delete stored releases, and keys of secure sums, whose terms expired; what fails is tried an hour later.

        Keys go when two looks in turn, an hour apart, say so: a clock that is months ahead when the machine starts,
        and right a minute later, would end this hospital's part in its studies for good.
        """
        try:
            now = self._ledger.forget_expired(self._now())
            before, self._last_look = self._last_look, now
            if now is not None and before is not None:
                # Within a turn: an answer that extends a study's keys must not meet their deletion.
                with self._turns.take():
                    self._home.study_keys.forget_expired(min(before, now))
                    self._home.sum_evidence.forget_but(self._home.study_keys.studies())
        except (Refusal, LedgerError) as error:
            logger.warning("expired releases could not be deleted: %s", error)

    def _signed_answer(self, asked: Verified) -> SignedRelease | SignedSumAnswer | Refusal:
        """Answer, or give the clause that refuses before anything is charged; later ones are raised."""
        terms, operator = asked.signed.terms, asked.signed.operator
        self._keep_extended(asked.signed)
        if isinstance(asked, VerifiedSum):
            sums = self._home.sums(self._ledger)
            answer = answer_sum(asked.request, self._ward(), sums, terms, operator, asked.evidence)
            return sign_sum_answer(answer, self._home.key)
        admit = {account: partial(self._admit, account) for account in ACCOUNTS}
        (found,) = answer_request([asked.plan], [self._ward()], terms, operator, admit)
        if isinstance(found, Refusal):
            return found
        if isinstance(found, SumAnswer):
            return sign_sum_answer(found, self._home.key)
        return sign_release(found, self._home.key)

    def _require_listed(self, operator: str) -> None:
        """Refuse an operator whom a person took out of policy.yaml while the answer was computed: it does not leave."""
        clause = operator_clause(self._current_policy(), operator, self._ledger)
        if not clause.holds:
            raise Refusal(clause.name, f"{clause.asked}; this hospital allows {clause.allowed} (policy.yaml)")

    def _keep_extended(self, signed: SignedTerms) -> None:
        """Keep terms that were extended beyond what a person approved, so that they can be approved in time."""
        terms = signed.terms
        if terms.secure_sum is None:
            return
        until, expiry = self._ledger.approved_until(signed.operator, terms.fingerprint), expiry_of(terms)
        if until is not None and expiry is not None and expiry > until:
            keep_pending(self._home.terms_folder, signed)

    def _ward(self) -> Ward:
        return Ward(
            self._home.hospital,
            self._policy_in_force(),
            self._ledger,
            self._now,
            self._stream,
            self._ready,
            self._note,
            self._late,
            lambda terms: patients_known(self._home, terms.contract),
            self._home.sums(self._ledger),
        )

    def _current_policy(self) -> Policy:
        """Read policy.yaml, where it changed."""
        try:
            return self._policy.current()
        except WardroundError as error:
            raise Refusal("policy", str(error)) from error

    def _policy_in_force(self) -> Policy:
        """Read the policy under which a plan is answered; a simulated hospital permits simulations only."""
        return self._home.in_force(self._current_policy())

    def _note(self, plan: RoundPlan, fault: str) -> None:
        """Tell the hospital's people how a round was computed, in a file of theirs; the operator sees nothing of it."""
        self._home.round_log.note(plan, fault, self._now())

    def _late(self, plan: RoundPlan, why: str) -> None:
        """Tell them, too, that a round waits for tables that cannot be reached."""
        self._home.round_log.note_late(plan, why, self._now())

    def _ready(self, terms: Terms) -> None:
        """Before anything is charged: refuse a model that is not the terms', or whose clipping is not the patients'.

        And patients who are not those that hospital.yaml says.
        """
        require_patient(self._home.source, terms.contract)
        # Once for each terms, since it takes seconds.
        if terms.simulation or terms.fingerprint in self._agreed:
            return
        check_training(terms)
        self._agreed.add(terms.fingerprint)

    def _admit(self, account: str, wards: Sequence[Ward], terms: Terms) -> Cohort:
        self._turns.reads_tables(wards[0].policy.min_reply_delay_seconds)
        return self._patients(account, terms)

    def _patients(self, account: str, terms: Terms) -> Cohort:
        """Pass the tables through the gate as consent stands now; the clock is never behind the ledger's."""
        return self._features.patients(
            account, terms.contract, self._home.gate_now(self._ledger, self._now())
        )

    def _stream(self, plan: RoundPlan) -> Keystream:
        simulation = self._home.simulation
        if simulation is None:
            # A key of the operating system for each computation, never stored: who had it could subtract the noise.
            return fresh_keystream()
        return simulated_stream(simulation.seed, self._home.hospital)(plan)

    def _now(self) -> datetime:
        return self._home.clock()

    def _unread(self, error: Exception) -> Reply:
        """Answer what stopped a request before its plan was read."""
        if isinstance(error, Refusal):
            return self._refused(error, None)
        if isinstance(error, LedgerError):
            return self._refused(Refusal("ledger", str(error)), None)
        logger.warning("late: %s", describe_error(error))
        return Reply(None)

    def _refused(self, refusal: Refusal, asked: Verified | None, delay_seconds: float = 0.0) -> Reply:
        """Record a refusal, keep terms that only want a person's word, and say the clause's name."""
        operator, study, number = "", "", 0
        if asked is not None:
            told = asked.plan if isinstance(asked, VerifiedPlan) else asked.request
            operator, study, number = asked.signed.operator, told.study, told.round
            if refusal.clause == "approval":
                keep_pending(self._home.terms_folder, asked.signed)
        # A plan that was signed can be replayed as fast as a stranger's bytes: it fills no log either.
        count = self._noted.count(f"{refusal.clause} {study}")
        if count:
            many = f" ({count} such since the last line)" if count > 1 else ""
            facts = {"clause": refusal.clause, "study": study, "round": number}
            logger.warning("refused: %s%s", refusal, many, extra={FACTS: facts})
        elif asked is None:
            return Reply(encode_answer(refusal), delay_seconds)
        if isinstance(refusal, OtherProtocol):
            self._servers.note(refusal.operator, refusal.speaker, self._now())
        with suppress(Refusal, LedgerError, WardroundError):  # a disk that takes no entry changes no answer
            self._ledger.refuse(refusal.clause, operator, study, number, self._now())
        return Reply(encode_answer(refusal), delay_seconds)


def run_agent(folder: Path) -> None:
    """Serve a hospital's home folder until SIGTERM or SIGINT. Raises WardroundError where it cannot start."""
    home = load_home(folder)
    # First of all: what follows writes, and deletes what a crash left, as only an agent that is alone may.
    with only_agent(home.folder / KEYS), closing(home.open_ledger()) as ledger:
        # Read now: a policy that cannot be read is told at the start, and not by a refusal in the first round.
        home.policy.current()
        if home.simulation is not None:
            logger.warning("SIMULATION: noise from a seed protects nobody; this home refuses real studies")
        home.study_keys.forget_parts()
        remove_killed(home.folder)
        import_slow_parts()
        agent = Agent(home, ledger)
        asyncio.run(_serve(SocketDoor(home.socket, agent.answer, screen=agent.screen), agent))


async def _serve(door: SocketDoor, agent: Agent) -> None:
    """Answer at the door; and keep the word given to patients when no study writes into the ledger any more."""

    async def forget() -> None:
        while True:
            # In a thread: whoever holds the ledger's lock must not hold up the door.
            await asyncio.to_thread(agent.forget_expired)
            await asyncio.sleep(FORGET_SECONDS)

    forgetting = asyncio.create_task(forget())
    try:
        await door.serve()
    finally:
        forgetting.cancel()


def import_slow_parts() -> None:
    """Pay for torch and Opacus before the first plan, not within its round."""
    import torch._dynamo  # noqa: F401 (the first optimiser would import it)

    import wardround.client.train.with_opacus  # noqa: F401
