"""SIGKILL of each process in each phase of a round: one federation, one kill a round.

Whoever comes by a phase is held there while the victim is killed and started again, so that each kill falls
where it is said to. A round that is closed without it (a hospital is not back yet) is repeated with the next.
"""

import itertools
import random
import time

import pytest

from tests.simulations.reliability.forked_stage import raised_as_forks

pytestmark = pytest.mark.flower

PHASES = {
    "before the announcement": "study",
    "plan received": "agent",
    "charged": "agent",
    "computed": "agent",
    "release stored": "agent",
    "release arrived": "study",
    "aggregated": "study",
    "checkpoint written": "study",
}
VICTIMS = ("study", "superlink", "agent", "supernode", "shim")
AT_WORK = [phase for phase, holder in PHASES.items() if holder == "agent"]  # when there is a shim
BACK_SECONDS = 45  # until a SuperNode that ended is let in again
EVERY_PLACE = [
    (victim, phase) for phase in PHASES for victim in VICTIMS if victim != "shim" or phase in AT_WORK
]


def walk(stage, study, places, spare_rounds):
    """Kill once in each round, in this order; the places in the order of the rounds in which they fell."""
    stage.open_gate(0)
    stage.propose(
        study, len(places) + spare_rounds, "--round-seconds=100", "--wait-seconds=300", "--quorum=0.5"
    )
    stage.start_study(study)
    number, hospitals = 0, itertools.cycle(stage.hospitals)
    for victim, phase in places:
        hospital = next(hospitals)
        while True:
            number += 1
            if kill_once(stage, study, number, hospital, victim, phase):
                break
    stage.open_gate(10**6)
    stage.await_end(study, 60.0 * spare_rounds)
    return stage.check(study)


def kill_once(stage, study, number, hospital, victim, phase):
    """Let one round begin and kill in it; whether the phase was reached before the round was closed."""
    holder = "study" if PHASES[phase] == "study" else f"{hospital}-agent"
    part = victim if victim in ("study", "superlink", "shim") else f"{hospital}-{victim}"
    before = stage.activated()
    stage.arm(holder, phase)
    stage.open_gate(number)
    who = stage.wait(
        lambda: stage.reached(holder, phase) or (number in stage.closed(study) and "missed"),
        f"{phase} in round {number}",
    )
    if who == "missed" and stage.disarm(holder, phase):
        deadline = time.monotonic() + BACK_SECONDS
        stage.wait(
            lambda: stage.activated() > before or time.monotonic() > deadline, f"{hospital} to be back"
        )
        return False
    who = stage.wait(lambda: stage.reached(holder, phase), phase, 10)
    stage.kill(part, who["asked_by"])
    stage.let_go(holder, phase)
    stage.start_again(part, study)
    stage.await_closed(study, number)
    if victim == "supernode":
        stage.wait(lambda: stage.activated() > before, f"{part} to be let in again")
    return True


@pytest.fixture
def stage(tmp_path):
    """A federation of its own: its parts are back at once, and its heartbeats are short."""
    with raised_as_forks(tmp_path / "f", ("north", "south")) as stage:
        yield stage


def check_walk(stage, places, spare_rounds):
    closed = walk(stage, "walk", places, spare_rounds)
    assert any(event["rejected"] for event in closed.values())  # the shim's: Flower reports a crashed app
    events = {event["event"] for event in stage.loopback.events("walk")}
    assert {"resumed", "finished"} <= events


@pytest.mark.slow
def test_killed_at_every_third_place_of_a_round(stage):
    third = EVERY_PLACE[::3]
    assert {phase for _, phase in third} == set(PHASES)
    assert {victim for victim, _ in third} == set(VICTIMS)
    check_walk(stage, third, 6)


@pytest.mark.soak
def test_killed_at_every_place(stage):
    assert len(EVERY_PLACE) >= 20
    check_walk(stage, EVERY_PLACE, 16)


@pytest.mark.soak
@pytest.mark.parametrize("order", range(3))
def test_killed_at_every_place_in_any_order(stage, order):
    walk(stage, f"walk-{order}", random.Random(order).sample(EVERY_PLACE, len(EVERY_PLACE)), 20)
