"""SIGKILL before each durable act of ``inbound --page``: no choice is lost, and none counts twice."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT


def kill(folder: Path, every: int) -> None:
    program = [sys.executable, "-m", "tests.client.outreach.by_page.killed_page", str(folder), str(every)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_kill_at_some_steps_of_reading_the_spool_loses_no_choice(tmp_path: Path) -> None:
    kill(tmp_path, 4)


@pytest.mark.slow
def test_a_kill_at_each_step_of_reading_the_spool_loses_no_choice(tmp_path: Path) -> None:
    kill(tmp_path, 1)
