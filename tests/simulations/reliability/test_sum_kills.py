"""SIGKILL of each process in each phase of a secure sum, its set-up included: four hospitals, any three open a sum.

Whoever comes by a phase first is held there while the victim is killed and started again, as an init system would.
One study has at most one kill in each step of its set-up, then one in each round.
"""

import itertools
from dataclasses import dataclass

import pytest

from tests.simulations.reliability.forked_stage import raised_as_forks
from tests.simulations.reliability.sum_checks import check_study

pytestmark = pytest.mark.flower

HOSPITALS = ("north", "south", "east", "west")
SECURE = ("privacy.noise=secure", "secure_sum.threshold=3")
WAITS = ("--round-seconds=20", "--wait-seconds=240", "--quorum=0.75")
VICTIMS = ("study", "superlink", "agent", "supernode", "shim")
# By step: each is over for all hospitals before the next begins.
SET_UP = (
    {"keys asked": "agent", "keys kept": "agent"},
    {"all keys kept": "study"},
    {"deal asked": "agent", "roster signed": "agent"},
    {"a dealing kept": "study"},
    {"take asked": "agent", "take kept": "agent"},
    {"all shares opened": "study"},
)
TRIPS = {
    "before the announcement": "study",
    "plan asked": "agent",
    "charged": "agent",
    "computed": "agent",
    "masked": "agent",
    "masked release stored": "agent",
    "masked release arrived": "study",
    "survivors not kept yet": "study",
    "survivors kept": "study",
    "survivors asked": "agent",
    "survivors written": "agent",
    "survivors answered": "agent",
    "survivors arrived": "study",
    "sum opened": "study",
    "checkpoint written": "study",
}
SPARE_ROUNDS = 1
BACK_SECONDS = 45


@dataclass(frozen=True)
class Kill:
    """Who is killed, and the phase at which its holder, an agent or the study, stands then."""

    victim: str
    phase: str
    holder: str


def kills(phases):
    """All kills in these phases: a shim is at work only while an agent is."""
    return [
        Kill(victim, phase, holder)
        for phase, holder in phases.items()
        for victim in VICTIMS
        if victim != "shim" or holder == "agent"
    ]


STEPS = [kills(step) for step in SET_UP]
ROUNDS = kills(TRIPS)


def thirds(places, first=0):
    """Every third place."""
    return places[first % 3 :: 3]


def studies_of(steps, rounds):
    """Share the kills out over studies: of each step of set-up at most one, and as many rounds in each."""
    count = max(map(len, steps))
    return [
        ([step[number] for step in steps if number < len(step)], rounds[number::count])
        for number in range(count)
    ]


class Walk:
    """One federation on its way through many studies."""

    def __init__(self, stage):
        self.stage, self._hospitals = stage, itertools.cycle(HOSPITALS)

    def study(self, name, set_up, in_rounds):
        stage = self.stage
        stage.open_gate(0)
        stage.propose(name, len(in_rounds) + SPARE_ROUNDS, *SECURE, *WAITS)
        armed = [*set_up, None]
        self._arm(armed[0])
        stage.start_study(name)
        for kill, following in itertools.pairwise(armed):
            self._await(kill, name)
            # Armed before anybody goes on: the next step may follow within milliseconds.
            self._arm(following)
            self._strike(kill, name)
        number = 0
        for kill in in_rounds:
            number += 1
            while not self._in_round(kill, name, number):
                number += 1
        stage.open_gate(10**6)
        stage.await_end(name)
        check_study(stage, name)

    def _in_round(self, kill, study, number):
        """Let one round begin and kill in it; whether anybody came by before it was closed."""
        self._arm(kill)
        self.stage.open_gate(number)
        came = self._await(kill, study, lambda: number in self.stage.closed(study))
        self._strike(kill, study) if came else self.stage.clear(holders(kill), kill.phase)
        self.stage.await_closed(study, number)
        return came

    def _arm(self, kill):
        for part in holders(kill) if kill else ():
            self.stage.arm(part, kill.phase)

    def _await(self, kill, study, missed=lambda: False):
        def look():
            return self.stage.first_at(holders(kill), kill.phase) or (missed() and "missed")

        return self.stage.wait(look, f"{kill} in {study}") != "missed"

    def _strike(self, kill, study):
        """Kill the victim at whoever stands at the phase first, and start it again."""
        stage, parts = self.stage, holders(kill)
        holder = stage.first_at(parts, kill.phase)
        hospital = holder.removesuffix("-agent") if kill.holder == "agent" else next(self._hospitals)
        part = kill.victim if kill.victim in ("study", "superlink", "shim") else f"{hospital}-{kill.victim}"
        before = stage.activated()
        stage.kill(part, stage.reached(holder, kill.phase)["asked_by"])
        stage.clear(parts, kill.phase)
        stage.start_again(part, study)
        if kill.victim == "supernode":
            stage.wait(lambda: stage.activated() > before, f"{part} to be let in again", BACK_SECONDS)


def holders(kill):
    return ["study"] if kill.holder == "study" else [f"{name}-agent" for name in HOSPITALS]


def walk(folder, steps, rounds):
    with raised_as_forks(folder, HOSPITALS, *SECURE) as stage:
        way = Walk(stage)
        for number, (set_up, in_rounds) in enumerate(studies_of(steps, rounds), 1):
            way.study(f"sums-{number}", set_up, in_rounds)


@pytest.mark.slow
def test_sums_killed_at_every_third_place(tmp_path):
    steps = [thirds(step, number) for number, step in enumerate(STEPS)]
    assert {kill.victim for kill in [*itertools.chain(*steps), *thirds(ROUNDS)]} == set(VICTIMS)
    walk(tmp_path / "f", steps, thirds(ROUNDS))


@pytest.mark.soak
def test_sums_killed_at_every_place(tmp_path):
    walk(tmp_path / "f", STEPS, ROUNDS)
