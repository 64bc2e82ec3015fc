"""Twelve hospitals as processes on this machine: five rounds end, and neither process of the server grows."""

import pytest

from wardround.simulations.loopback.many import run_many

pytestmark = [pytest.mark.soak, pytest.mark.flower]

HOSPITALS, ROUNDS = 12, 5
GROWTH = 1.1


def test_twelve_hospitals_finish_five_rounds_in_a_server_that_does_not_grow(tmp_path):
    measured = run_many(tmp_path / "l", HOSPITALS, ROUNDS)
    assert measured.took_part == (HOSPITALS,) * ROUNDS
    for memory in (measured.server_mib, measured.study_mib):
        assert memory[1] > 10
        assert memory[ROUNDS] < GROWTH * memory[1]
    assert 0.01 < measured.cpu_per_hospital_and_round < 0.7  # docs/reliability.md
