"""A command that only looks, killed at any place, leaves nothing that it computed: no release without a charge."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT
from wardround.client.agent.rehearse import rehearse
from wardround.client.home.home import load_home
from wardround.protocol.wire.signed_terms import save_terms, sign_terms


@pytest.mark.slow
@pytest.mark.parametrize("command", ["rehearse", "forecast", "doctor"])
def test_a_killed_look_leaves_nothing_that_it_computed(hospital: Any, tmp_path: Path, command: str) -> None:
    """Killed where its ledger lay in a temporary folder, a rehearsal left a noised release there, uncharged."""
    hospital.stop()
    save_terms(sign_terms(hospital.terms, hospital.operator), tmp_path / "tea.terms")
    (tmp_path / "killed").mkdir()
    program = [sys.executable, "-P", "-m", "tests.client.commands.commands_to_kill"]
    words = [str(hospital.folder), str(tmp_path / "killed"), command, str(tmp_path / "tea.terms")]
    done = subprocess.run([*program, *words], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    killed = json.loads(done.stdout)
    assert len(killed) > 2  # each opens the ledger at least
    assert killed == [{}] * len(killed)


def test_what_a_killed_rehearsal_of_0_1_0_left_is_deleted(hospital: Any) -> None:
    left = hospital.folder / "rehearsal-x1y2z3/ledger.sqlite"
    left.parent.mkdir()
    left.write_bytes(b"a release")
    home = load_home(hospital.folder)
    signed = sign_terms(hospital.terms, hospital.operator)
    rehearse(home, home.in_force(home.policy.current()), signed, datetime.now(UTC))
    assert not left.parent.exists()
