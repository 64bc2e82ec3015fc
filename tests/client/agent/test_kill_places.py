"""The places at which slow tests kill or hold a process are there: a name that moves is found before they run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT

HELD = """
import sys
sys.path.insert(0, "tests/simulations/reliability")
import places, sum_places
for patch in {*places.PATCHES.values(), *sum_places.PATCHES.values()}:
    patch()
"""
DEADLY = """
import os, signal
from tests.client import agents_to_kill
for patch in [*agents_to_kill.PLACES.values(), *agents_to_kill.PLACES_OF_SUMS.values()]:
    patch()
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [HELD, DEADLY], ids=["held", "deadly"])
def test_every_place_is_there(program: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WARDROUND_PLACES": str(tmp_path), "WARDROUND_PART": "test"}
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
