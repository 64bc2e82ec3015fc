"""One secure sum of a served study, a round's or an evaluation's: two trips, and what is on disk before the second.

    plans ⇒ masked releases until q and the quorum are there ⇒ survivors kept ⇒ trip 2 to every member
    → q right shares of everybody's secret → the exact sum

A server that is killed asks for the same slot again: before the survivors are kept, every hospital sends its stored
release; after it, the same survivors go out again, and never others.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.unmask import VoidSum
from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.sum_wire import SumRequest, SumStep
from wardround.server.algorithm.sum_trips import (
    ClosedSum,
    FirstTrip,
    FixedSum,
    SecondTrip,
    SumAsked,
    await_shares,
    begin,
    closed,
    fix,
    give_up,
    may_fix,
    outcome,
    sum_asked,
    survivors_for,
    take_given,
    take_masked,
    void_words,
)
from wardround.server.store.event_log import SURVIVORS, UNMASKED, VOID
from wardround.server.store.sum_files import SumFolder, SurvivorsLost
from wardround.server.study.quorum import WaitedInVain, ask_until
from wardround.server.study.served import Answers, Attendance, ServedStudy, attendance_of
from wardround.server.study.set_up_sums import SumAsks

_LEAST_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Sums:
    """A study's roster, once it is set up, and how its sums are carried."""

    roster: Roster
    asks: SumAsks


def run_sum(
    study: ServedStudy,
    sums: Sums,
    plans: Sequence[RoundPlan],
    what: str,
    *,
    below: str,
    replaceable: bool,
    wait_seconds: float,
) -> ClosedSum:
    """Carry out the sum that these plans ask for; all of them are of one round.

    what, below: how the log names the sum, and an asking below quorum. replaceable: whether another slot can stand in
    for this one. Stopped where the operator stops the study. ConfigurationError after ``wait_seconds`` in vain: before
    the survivors are fixed always, since who is missing would be missing from the next slot as well; after it only
    where the slot cannot be replaced.
    """
    roster, asks = sums.roster, sums.asks
    named = [replace(plan, roster=roster.digest.hex()) for plan in plans]
    asked, folder = sum_asked(study.terms, roster, named[0]), SumFolder(study.folder.sums)
    try:
        fixed = folder.fixed(asked)
    except SurvivorsLost as error:
        # Hospitals answer for one set of survivors per slot: another would get no answer, and look like fraud.
        facts = {"round": asked.slot.number, "account": asked.slot.account, "why": "survivors lost"}
        study.log.write(VOID, f"{what}: {error}; this slot gives no sum", **facts)
        return ClosedSum(None, (), void="survivors lost")
    took = 0.0
    if fixed is None:
        fixed, took = _first_trip(study, asked, named, asks, what, below=below, wait_seconds=wait_seconds)
        folder.save_fixed(fixed)
    # Also of those read back: killed right after they were kept, the log would lack them.
    names, slot = list(fixed.accepted), asked.slot
    study.log.write(SURVIVORS, round=slot.number, account=slot.account, survivors=names)
    trip = await_shares(fixed, folder.slot_key_digests(roster, asked.slot))
    if took:
        trip = _quickest_first(fixed, trip, asks, max(took, _LEAST_PATIENCE_SECONDS))
    found = _second_trip(study, fixed, trip, asks, what, replaceable=replaceable, wait_seconds=wait_seconds)
    return closed(fixed, found) if isinstance(found, VoidSum) else _unmasked(study, fixed, found, what)


def _first_trip(
    study: ServedStudy,
    asked: SumAsked,
    plans: Sequence[RoundPlan],
    asks: SumAsks,
    what: str,
    *,
    below: str,
    wait_seconds: float,
) -> tuple[FixedSum, float]:
    trip = begin(asked)
    needed = max(asked.roster.thresholds.threshold, study.quorum)

    def ask() -> tuple[Answers, FirstTrip]:
        nonlocal trip
        # Who is in the sum already is not asked again: its release would come a second time for nothing.
        for answer in asks.plans([plan for plan in plans if plan.hospital not in trip.accepted]):
            trip = take_masked(trip, answer)
        return attendance_of(study.terms.hospitals, trip.accepted, trip.refused), trip

    found, seconds = ask_until(
        study,
        ask,
        lambda _, trip: may_fix(trip, study.quorum),
        what,
        need=f"needed {needed}",
        round_number=asked.slot.number,
        event=below,
        wait_seconds=wait_seconds,
        sent="a masked release",
    )
    return fix(found), seconds


def _quickest_first(fixed: FixedSum, trip: SecondTrip, asks: SumAsks, seconds: float) -> SecondTrip:
    """Ask those q whose releases came first, for as long as these took at most.

    Most sums then need no other answer, and the server handles q messages and not H.
    """
    quickest = tuple(fixed.sent)[: fixed.asked.roster.thresholds.threshold]
    return _asked(
        trip, {fixed.asked.name(one): survivors_request(fixed, one) for one in quickest}, asks, seconds
    )


def _asked(
    trip: SecondTrip, requests: Mapping[str, SumRequest], asks: SumAsks, seconds: float | None = None
) -> SecondTrip:
    """Ask whoever has not answered yet; end with the answer that makes it enough."""
    silent = [request for name, request in requests.items() if name not in trip.answered]
    for answer in asks.requests(silent, seconds) if silent and not trip.complete else ():
        request = requests.get(answer.hospital)
        trip = take_given(trip, answer, request.body_digest if request else "")
        # More shares would not change the sum: nobody waits for the slowest.
        if trip.complete:
            break
    return trip


def _second_trip(
    study: ServedStudy,
    fixed: FixedSum,
    trip: SecondTrip,
    asks: SumAsks,
    what: str,
    *,
    replaceable: bool,
    wait_seconds: float,
) -> SecondTrip | VoidSum:
    """Ask every member, in the sum or not, until q right shares of everybody's secret are there."""
    members = range(1, len(fixed.asked.roster.members) + 1)
    requests = {fixed.asked.name(index): survivors_request(fixed, index) for index in members}

    def ask() -> tuple[Answers, SecondTrip]:
        nonlocal trip
        trip = _asked(trip, requests, asks)
        return attendance_of(study.terms.hospitals, trip.answered, trip.refused), trip

    def enough(who: Attendance, trip: SecondTrip) -> bool:
        # Everybody has answered, and still shares are missing: stored answers never change.
        return trip.complete or len(who.accepted) == who.planned

    try:
        ask_until(
            study,
            ask,
            enough,
            f"{what}, shares",
            need=f"needed {fixed.asked.roster.thresholds.threshold} right ones of each",
            round_number=fixed.asked.slot.number,
            event="below_threshold",
            wait_seconds=wait_seconds,
            sent="shares",
        )
    except WaitedInVain:
        if not replaceable:
            raise
    if trip.complete:
        return trip
    return _void(study, fixed, give_up(trip), what)


def _unmasked(study: ServedStudy, fixed: FixedSum, trip: SecondTrip, what: str) -> ClosedSum:
    begun = time.monotonic()
    found = outcome(trip)
    if found is None or isinstance(found, VoidSum):
        return closed(fixed, _void(study, fixed, found or give_up(trip), what))
    slot, wrong = fixed.asked.slot, [fixed.asked.name(index) for index in trip.wrong]
    line = f"{what}: {', '.join(wrong)} gave shares that were not dealt to them" if wrong else ""
    took = round(time.monotonic() - begun, 3)
    study.log.write(UNMASKED, line, round=slot.number, account=slot.account, seconds=took, wrong=wrong)
    return closed(fixed, found)


def _void(study: ServedStudy, fixed: FixedSum, found: VoidSum, what: str) -> VoidSum:
    words = void_words(fixed.asked, found)
    facts = {"round": fixed.asked.slot.number, "account": fixed.asked.slot.account, "why": words}
    study.log.write(VOID, f"{what}: no sum ({words}); it is charged, and gives nothing", **facts)
    return found


def survivors_request(fixed: FixedSum, index: int) -> SumRequest:
    """Write trip 2 for one member."""
    slot, roster = fixed.asked.slot, fixed.asked.roster
    return SumRequest(
        step=SumStep.SURVIVORS,
        study=roster.study,
        hospital=fixed.asked.name(index),
        terms_fingerprint=fixed.asked.terms,
        round=slot.number,
        account=slot.account,
        roster=roster.digest.hex(),
        body=survivors_for(fixed, index).to_bytes(),
    )
