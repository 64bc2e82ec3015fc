"""Locks: one at a time, in turn or not at all, and gone with the process that held them."""

import fcntl
import subprocess
import sys

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.server.store.lock import alone

HOLDS = """
import sys, time
from pathlib import Path
from wardround.server.store.lock import alone
with alone(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_goes_with_the_process_that_held_it(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-P", "-c", HOLDS, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match="study=tea: busy"), alone(path, "study=tea: busy"):
            pass
        holder.kill()
    with alone(path, "busy"):
        pass


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_lock_whose_file_was_removed_meanwhile_is_not_held(made_anew, tmp_path, monkeypatch):
    """As where ``study delete`` ends between the moment when ``train`` opens the file and when it locks it."""
    path, flock = tmp_path / "lock", fcntl.flock

    def lock(file, how):
        path.unlink()
        if made_anew:
            path.touch()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(ConfigurationError, match="busy"), alone(path, "busy"):
        raise AssertionError("two could hold it")
