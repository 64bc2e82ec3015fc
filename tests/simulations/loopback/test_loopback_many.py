"""Twelve hospitals as processes on this machine: five rounds end, and neither process of the server grows."""

import pytest

from wardround.simulations.loopback.many import run_many

pytestmark = [pytest.mark.soak, pytest.mark.flower]

HOSPITALS, ROUNDS = 12, 5
GROWTH = 1.1


def test_twelve_hospitals_finish_five_rounds_in_a_server_that_does_not_grow(tmp_path):
    measured = run_many(tmp_path / "l", HOSPITALS, ROUNDS)
    assert measured.took_part == (HOSPITALS,) * ROUNDS
    for memory in ("server_mib", "study_mib"):
        first, last = (getattr(measured.closed[number], memory) for number in (1, ROUNDS))
        assert first > 10
        assert last < GROWTH * first
    assert 0.01 < measured.cpu_per_hospital_and_round < 0.7  # docs/reliability.md
