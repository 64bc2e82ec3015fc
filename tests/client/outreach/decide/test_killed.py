"""SIGKILL before each durable act of approve and export: none twice, none lost; who withdrew meanwhile gets nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT


def kill(what: str, folder: Path, every: int) -> None:
    program = [sys.executable, "-m", "tests.client.outreach.decide.killed", what, str(folder), str(every)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_kill_at_some_steps_of_export_sends_none_twice_and_loses_none(tmp_path: Path) -> None:
    kill("export", tmp_path, 8)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["approve", "export", "stopped"])
def test_a_kill_at_each_step_sends_none_twice_and_loses_none(tmp_path: Path, what: str) -> None:
    kill(what, tmp_path, 1)
