"""An agent killed anywhere between reading a plan and sending the bytes: charged once, and the same bytes."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.client.ledger.verify import export, verify
from wardround.protocol.wire.envelope import decode_answer, signed_by_hospital
from wardround.protocol.wire.wire import encode_release

LENGTH = struct.Struct("<I")
WAIT_SECONDS = 120
# The bytes are durable from here on: whoever asks again gets the very same.
ANSWERED = ("released", "before signing", "signed", "before sending", "half sent")
UNCHARGED = (
    "request read",
    "signatures verified",
    "policy read",
    "terms permitted",
    "engines compared",
    "before the charge",
    "charge written, not committed",
)


class Forker:
    """Starts agents as processes of their own, one of their places deadly."""

    def __init__(self):
        command = [sys.executable, "-P", str(Path(__file__).parents[1].joinpath("agents_to_kill.py"))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.places = list(iter(lambda: self.process.stdout.readline().rstrip("\n"), ""))

    def start(self, home, place="nowhere"):
        self.process.stdin.write(f"{home}\t{place}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(WAIT_SECONDS)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def forker():
    made = Forker()
    yield made
    made.stop()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_death(process):
    deadline = time.monotonic() + WAIT_SECONDS
    while alive(process):
        assert time.monotonic() < deadline, "the agent lives on"
        time.sleep(0.01)


def connect(hospital):
    path, deadline = str(hospital.folder / "run/agent.sock"), time.monotonic() + WAIT_SECONDS
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(WAIT_SECONDS)
        try:
            client.connect(path)
        except OSError:
            client.close()
            assert time.monotonic() < deadline, "no agent listens"
            time.sleep(0.01)
        else:
            return client


def ask(hospital, request):
    """Give the answer, or None where the agent died over it."""
    received = b""
    with connect(hospital) as client, contextlib.suppress(OSError):
        client.sendall(LENGTH.pack(len(request)) + request)
        while part := client.recv(65536):
            received += part
    return received[4:] if received and LENGTH.unpack(received[:4])[0] == len(received) - 4 else None


def kill_and_restart(forker, hospital, place):
    """Kill at the place; restart; ask twice; give what the ledger holds then."""
    request = hospital.request(1)
    hospital.stop()
    process = forker.start(hospital.folder, place)
    assert ask(hospital, request) is None
    wait_for_death(process)
    between = {kind: len(hospital.entries(kind)) for kind in ("charged", "released")}
    stored = [
        bytes(row[0]) for row in hospital.agent._ledger._store._select("SELECT payload FROM stored", ())
    ]
    hospital.stop()
    process = forker.start(hospital.folder)
    first, second = ask(hospital, request), ask(hospital, request)
    os.kill(process, signal.SIGTERM)
    wait_for_death(process)
    assert first is not None
    assert first == second
    answer = decode_answer(first)
    assert signed_by_hospital(answer, hospital.key.public)
    if stored:
        assert [encode_release(answer.release)] == stored
    assert len(hospital.entries("charged")) == len(hospital.entries("released")) == 1
    verify(export(hospital.agent._ledger.entries()), hospital.key.public, answer.release.ledger_head)
    return between


def check_every_place(forker, make_hospital, times):
    assert len(forker.places) >= 12
    for place in forker.places:
        for number in range(times):
            hospital = make_hospital(f"{forker.places.index(place)}-{number}")
            hospital.approve()
            between = kill_and_restart(forker, hospital, place)
            hospital.stop()
            expected = {"charged": int(place not in UNCHARGED), "released": int(place in ANSWERED)}
            assert between == expected, place


@pytest.mark.slow
def test_killed_at_every_place_once(forker, make_hospital):
    check_every_place(forker, make_hospital, 1)


@pytest.mark.soak
def test_killed_at_every_place_five_times(forker, make_hospital):
    check_every_place(forker, make_hospital, 5)


@pytest.mark.soak
def test_memory_is_flat_over_two_hundred_rounds(forker, make_hospital, terms_with):
    hospital = make_hospital()
    rounds = 240
    hospital.write_policy(max_rounds=rounds)
    terms = terms_with(training={"rounds": rounds}, noise_multiplier=70.0)
    hospital.approve(terms)
    requests = [hospital.request(number, terms) for number in range(1, rounds + 1)]
    hospital.stop()
    process = forker.start(hospital.folder)
    sizes = []
    for request in requests:
        assert decode_answer(ask(hospital, request)).release
        status = Path(f"/proc/{process}/status").read_text()
        sizes.append(int(status.split("VmRSS:")[1].split()[0]))
    os.kill(process, signal.SIGTERM)
    wait_for_death(process)
    assert sizes[-1] <= 1.05 * sizes[39], f"{sizes[39]} kB after 40 rounds, {sizes[-1]} kB after {rounds}"
