"""A secure sum of a hundred hospitals takes about the memory of one of ten."""

import json
import os
import subprocess
import sys

import pytest

from tests.builders import ROOT


def measured(folder, hospitals):
    folder.mkdir()
    line = [sys.executable, "-P", "-m", "tests.server.network.sum_memory", str(folder), str(hospitals)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(line, capture_output=True, check=True, env=environment, cwd=ROOT)
    found = json.loads(made.stdout)
    assert found["accepted"] == hospitals - 1
    assert found["parameters"] > 990_000
    print(f"{hospitals} hospitals: {found}")
    return (found["after_kib"] - found["before_kib"]) / 1024


@pytest.mark.slow
def test_a_hundred_hospitals_with_a_million_parameters_take_100_mib_more_than_ten_at_most(tmp_path):
    """Peak memory of the round's own process, in MiB; a masked release is 8. One hospital is gone."""
    ten, hundred = measured(tmp_path / "ten", 10), measured(tmp_path / "hundred", 100)
    assert hundred < ten + 100
