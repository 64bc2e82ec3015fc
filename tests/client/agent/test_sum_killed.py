"""An agent killed at every durable step of a secure sum: one roster, charge and set of survivors, the same bytes."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.agent.test_kill import Forker, ask, wait_for_death
from tests.client.agents_to_kill import PLACES_OF_SUMS
from tests.client.sum_hospitals import SumHospitals
from wardround.client.ledger.verify import export, verify
from wardround.protocol.wire.envelope import SignedSumAnswer, decode_answer
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.algorithm.sum_trips import FixedSum

KILLED = "h1"
PLAUSIBLE = 2**50
"""No clipped sum with its noise is as large; one that is still masked is, but once in thousands of numbers."""


def come_to(hospitals: SumHospitals, message: str) -> tuple[bytes, FixedSum | None]:
    """Bring a study to one message for the hospital that is killed over it, and write that message."""
    if message == "keys":
        return hospitals.signed(KILLED, SumStep.KEYS), None
    hospitals.use(hospitals.keys())
    if message == "deal":
        return hospitals.signed(KILLED, SumStep.DEAL, hospitals.roster_keys), None
    if message == "take":
        for name in hospitals.names:
            hospitals.dealings[name] = hospitals.given(name, SumStep.DEAL, hospitals.roster_keys).body
        return hospitals.signed(KILLED, SumStep.TAKE, hospitals.for_member(KILLED)), None
    hospitals.set_up()
    if message == "plan":
        return hospitals.signed_plan(KILLED), None
    fixed = hospitals.first_trip((KILLED, "h2", "h3"))
    return hospitals.survivors(KILLED, fixed), fixed


def killed_and_restarted(forker: Forker, hospitals: SumHospitals, place: str) -> None:
    """Kill over a message at the place, restart, ask twice, and go on with the study to the end of a round."""
    hospital = hospitals.hospitals[KILLED]
    request, fixed = come_to(hospitals, place.split(":")[0])
    hospital.stop()
    process = forker.start(hospital.folder, place)
    assert ask(hospital, request) is None, place
    wait_for_death(process)
    process = forker.start(hospital.folder)
    first, second = ask(hospital, request), ask(hospital, request)
    os.kill(process, signal.SIGTERM)
    wait_for_death(process)
    assert first is not None
    assert first == second
    assert [file.suffix for file in (hospital.folder / "sums").iterdir()] == [".keys"], place
    answer = decode_answer(first)
    assert isinstance(answer, SignedSumAnswer), (place, answer)
    assert hospital.agent.answer(request).payload == first
    hospitals.heads[KILLED] = answer.answer.ledger_head or hospitals.heads[KILLED]
    if fixed is None:
        hospitals.set_up()
        fixed = hospitals.first_trip((KILLED, "h2", "h3"))
    total = hospitals.second_trip(fixed, (KILLED, "h2", "h4"))
    assert np.abs(total).max() < PLAUSIBLE
    for kind in ("roster", "charged", "released", "survivors"):
        assert len(hospital.entries(kind)) == 1, (place, kind)
    verify(export(hospital.agent._ledger.entries()), hospital.key.public, hospitals.heads[KILLED])


def check_places(hospitals: Any, folder: Path, places: Sequence[str]) -> None:
    forker = Forker()
    try:
        for number, place in enumerate(places):
            own = hospitals.copied_to(folder / str(number))
            killed_and_restarted(forker, own, place)
            own.stop()
    finally:
        forker.stop()


@pytest.mark.slow
def test_killed_at_every_third_place(hospitals: SumHospitals, tmp_path: Path) -> None:
    check_places(hospitals, tmp_path, list(PLACES_OF_SUMS)[::3])


@pytest.mark.soak
def test_killed_at_every_place_of_a_sum(hospitals: SumHospitals, tmp_path: Path) -> None:
    check_places(hospitals, tmp_path, list(PLACES_OF_SUMS))
