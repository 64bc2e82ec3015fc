"""The loopback federation leaves no process behind: ended by SIGTERM or killed, or tired of a study."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.simulations.loopback.federation import Loopback
from wardround.simulations.loopback.postgres import installed

RUNS = """
import sys, time
from wardround.simulations.loopback import __main__ as loopback
from wardround.simulations.loopback.postgres import ThrowAwayPostgres

def demonstrate(made, stack, rounds):
    made._start("server", ["http.server", "--bind", "127.0.0.1", "0"])
    parts = [made.processes["server"].pid]
    if rounds:
        database = ThrowAwayPostgres()
        stack.callback(database.stop)
        parts.append(database._server.pid)
    print(*parts, flush=True)
    time.sleep(600)

loopback._demonstrate = demonstrate
sys.exit(loopback.main(sys.argv[1:]))
"""


@pytest.fixture
def clusters():
    """A folder that PostgreSQL's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield folder


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_whoever_ends_the_demonstration_ends_its_processes(how, tmp_path, clusters, ends):
    arguments = ["--folder", tmp_path / "federation", "--rounds", str(int(installed()))]
    line = [sys.executable, "-P", "-c", RUNS, *arguments]
    told = {**os.environ, "TMPDIR": clusters}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told) as run:
        parts = [int(part) for part in run.stdout.readline().split()]
        assert len(parts) == 1 + installed()
        run.send_signal(how)
        _, said = run.communicate(timeout=60)
    assert [part for part in parts if not ends(part)] == []
    if how == signal.SIGTERM:
        assert (run.returncode, said) == (130, "stopped\n")


def test_a_study_that_goes_on_for_too_long_is_one_line(tmp_path):
    with Loopback(tmp_path, []) as loopback:
        (tmp_path / "study.log").write_text("still at round 1")
        loopback.processes["study"] = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
        )
        with pytest.raises(ConfigurationError, match="did not end within 0 s: still at round 1"):
            loopback.wait_study(0.2)
        loopback.processes["study"].stdin.close()
        assert loopback.wait_study(20.0) == 1
    assert not loopback.processes
