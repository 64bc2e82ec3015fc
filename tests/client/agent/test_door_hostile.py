"""An honest plan among 64 hostile callers takes at most twice its time alone."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import ROOT
from tests.client.small_hospital import Hospital, small_tables, small_terms
from wardround.client.agent.socket_door import LENGTH
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.wire.envelope import SignedRelease, decode_answer
from wardround.protocol.wire.signing import new_key

PATIENTS, STEPS = 20_000, 120
AGENT = (
    "import sys; from pathlib import Path; from wardround.client.agent import agent; "
    "from wardround.client.train import check_training; "
    "check_training.check_closed_form = lambda *arguments: 0.0; agent.run_agent(Path(sys.argv[1]))"
)


def started(*arguments: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", *arguments], cwd=ROOT, env=env, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def ask(path: Path, request: bytes) -> tuple[bytes, float]:
    """Ask as the shim does, and say how long it took."""
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(str(path))
        agent.settimeout(60)
        agent.sendall(LENGTH.pack(len(request)) + request)
        received = b""
        while part := agent.recv(2**20):
            received += part
    return received[LENGTH.size :], time.monotonic() - begun


def released(path: Path, request: bytes) -> float:
    answer, seconds = ask(path, request)
    assert isinstance(decode_answer(answer), SignedRelease)
    return seconds


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]):
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_an_honest_plan_among_64_hostile_callers_takes_at_most_twice_its_time_alone(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path / "north")
    hospital.write_tables(small_tables(range(PATIENTS)))
    # So many steps a round: a computation of about a second.
    noise = noise_multiplier_for(1.0, 1e-5, 1.0, STEPS * 12)
    hospital.terms = small_terms(
        reply_delay_seconds=0.0, training={"local_steps": STEPS}, noise_multiplier=noise
    )
    hospital.approve()
    requests = [hospital.request(number) for number in range(1, 13)]
    stranger = hospital.request(1, signer=new_key())
    hospital.stop()
    for name, payload in (("forged", requests[-1]), ("old", requests[0]), ("stranger", stranger)):
        (tmp_path / name).write_bytes(payload)
    path = hospital.folder / "run/agent.sock"
    with running(started("-c", AGENT, str(hospital.folder))):
        until_answered(path, requests[0])
        alone = [released(path, request) for request in requests[1:4]]
        files = (str(tmp_path / name) for name in ("forged", "old", "stranger"))
        with running(started(str(ROOT / "tests/client/hostile_callers.py"), str(path), *files)) as hostile:
            assert hostile.stdout is not None
            assert hostile.stdout.readline() == b"here\n"
            time.sleep(2.0)
            among = [released(path, request) for request in requests[4:9]]
            assert hostile.poll() is None
        time.sleep(1.0)
        # Before and after: what else the machine does must not decide.
        alone += [released(path, request) for request in requests[9:]]
    print(
        f"alone {statistics.median(alone):.3f} s, among 64 hostile callers {statistics.median(among):.3f} s"
    )
    print([f"{one:.3f}" for one in alone], [f"{one:.3f}" for one in among])
    assert statistics.median(among) <= 2 * statistics.median(alone)


def until_answered(path: Path, request: bytes) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            released(path, request)
            return
        time.sleep(0.1)
    raise AssertionError("the agent does not answer")
