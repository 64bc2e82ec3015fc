"""The hospital's SuperNode process: it pauses by its own rule, and what it changes in Flower is still there."""

import inspect
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from flwr.common import constant
from flwr.supercore.protobuf import client as http_client
from flwr.supernode import fleet_http_connection, start_client_internal

from wardround.client.network import supernode_process
from wardround.client.network.supernode import OWN_ADDRESS
from wardround.client.network.supernode_process import (
    ANSWER_SECONDS,
    AWAY_SECONDS,
    FLOWERS_PAUSE_SECONDS,
    HEARTBEAT_SECONDS,
    LOOK_SECONDS,
    Pauses,
    _bury,
    _fork,
    _serve,
    calling_again_soon,
    make_simple_http_retry_invoker,
)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def test_after_a_message_it_looks_often_and_without_any_as_seldom_as_flower(clock):
    pauses = Pauses(lambda: None, clock, clock.sleep)
    while clock.now < 300:
        pauses.sleep(FLOWERS_PAUSE_SECONDS)
    assert clock.slept[0] == LOOK_SECONDS
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == FLOWERS_PAUSE_SECONDS
    pauses.sleep(0.5)
    assert clock.slept[-1] == ANSWER_SECONDS
    pauses.sleep(FLOWERS_PAUSE_SECONDS)
    assert clock.slept[-1] == LOOK_SECONDS


def test_no_message_waits_longer_than_a_tenth_of_the_time_since_the_last(clock):
    pauses = Pauses(lambda: None, clock, clock.sleep)
    begun = clock.now
    for _ in range(100):
        waited = clock.now - begun
        pauses.sleep(FLOWERS_PAUSE_SECONDS)
        assert clock.slept[-1] <= max(LOOK_SECONDS, 0.1 * waited)


def test_a_server_that_is_slow_to_answer_is_asked_less_often(clock):
    pauses = Pauses(lambda: None, clock, clock.sleep)
    pauses.sleep(FLOWERS_PAUSE_SECONDS)
    for took in (0.1, 0.5, 5.0, 0.01):
        clock.now += took
        pauses.sleep(FLOWERS_PAUSE_SECONDS)
    assert clock.slept[1:] == pytest.approx(
        [0.4, 2.0, FLOWERS_PAUSE_SECONDS, 0.1 * (clock.now - 100 - clock.slept[-1])]
    )


def test_the_runner_is_woken_once_per_message(clock):
    woken = []
    pauses = Pauses(lambda: woken.append(clock.now), clock, clock.sleep)
    for _ in range(2):
        pauses.sleep(FLOWERS_PAUSE_SECONDS)
        for _ in range(3):
            pauses.sleep(0.5)
    assert len(woken) == 2


def test_a_fork_says_its_name_and_ends_by_its_own_code(tmp_path):
    said = tmp_path / "said"
    child = _fork("wardround-shim", lambda: said.write_bytes(Path("/proc/self/comm").read_bytes()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert said.read_text().strip() == "wardround-shim"
    child = _fork("wardround-shim", lambda: sys.exit(3))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_forks_that_ended_are_let_go():
    child = _fork("wardround-shim", lambda: None)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        _bury()
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()


def test_flower_still_has_what_is_set_here():
    loop = inspect.getsource(start_client_internal)
    pauses = [float(seconds) for seconds in re.findall(r"time\.sleep\(([0-9.]+)\)", loop)]
    assert sorted(pauses) == [0.5, 0.5, FLOWERS_PAUSE_SECONDS]
    assert set(re.findall(r"\btime\.(\w+)", loop)) == {"sleep"}, "Pauses stands in for the whole module"
    assert start_client_internal.pull_objects is supernode_process.pull_objects
    assert "initial_backoff" in inspect.signature(supernode_process.pull_objects).parameters
    for module in (supernode_process.heartbeat, fleet_http_connection, supernode_process.in_memory_corestate):
        assert module.HEARTBEAT_DEFAULT_INTERVAL == constant.HEARTBEAT_DEFAULT_INTERVAL
    assert constant.HEARTBEAT_MIN_INTERVAL <= HEARTBEAT_SECONDS < constant.HEARTBEAT_DEFAULT_INTERVAL
    connection = inspect.getsource(fleet_http_connection.http_request_response)
    assert connection.count("make_simple_http_retry_invoker()") == 1
    assert constant.MAX_RETRY_DELAY > AWAY_SECONDS
    sender = inspect.getsource(supernode_process.heartbeat.HeartbeatSender)
    assert sender.count("exponential(max_delay=20)") == 1


def pauses_of_calls(fault, calls):
    """The pauses of so many calls in vain, as Flower's loop would sleep them."""
    invoker, slept = calling_again_soon(), []
    invoker.wait_function = slept.append
    invoker.max_tries = calls + 1

    def call():
        raise fault

    with pytest.raises(type(fault)):
        invoker.invoke(call)
    return slept


def test_a_server_that_was_away_is_called_again_within_seconds():
    slept = pauses_of_calls(httpx.ConnectError("refused"), 200)
    assert len(slept) == 200
    assert 1 < max(slept) <= AWAY_SECONDS
    assert len(set(slept[10:])) > 100, "all hospitals would call at the same time"


def test_a_line_that_drops_is_called_again_for_as_long_as_it_takes():
    """Two hours of calls in vain, three seconds apart: Flower's rule gives up neither by number nor by time."""
    invoker = calling_again_soon()
    assert (invoker.max_tries, invoker.max_time) == (None, None)
    # What a line says that is cut without a word: Flower's own rule takes it for a fault of TLS that stays.
    silent = httpx.ConnectTimeout("_ssl.c:989: The handshake operation timed out")
    assert len(pauses_of_calls(silent, 2400)) == 2400
    assert make_simple_http_retry_invoker().should_giveup(silent)


def test_a_certificate_that_is_not_accepted_is_no_dropped_line():
    refused = httpx.ConnectError("certificate verify failed")
    refused.__cause__ = ssl.SSLCertVerificationError("certificate verify failed")
    assert pauses_of_calls(refused, 5) == []


def test_a_server_without_room_is_left_alone_for_as_long_as_flower_does():
    full = httpx.Response(503, request=httpx.Request("POST", "https://127.0.0.1"))
    slept = pauses_of_calls(httpx.HTTPStatusError("full", request=full.request, response=full), 200)
    assert max(slept) > AWAY_SECONDS


@pytest.mark.slow
def test_a_heartbeat_that_fails_is_sent_again_within_seconds():
    program = """
import os
from flwr.supercore import heartbeat
from wardround.client.network import supernode_process
supernode_process._set_times(os.getpid(), 0, supernode_process.LongLooks())
pauses = heartbeat.HeartbeatSender(lambda: True)._retry_invoker.wait_gen_factory()
print([next(pauses) for _ in range(6)])
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("raises", [True, False])
def test_a_main_loop_that_gives_up_ends_the_process_though_a_thread_lives_on(raises):
    """Flower logs a handshake that breaks off, and returns."""

    def gives_up():
        threading.Thread(target=time.sleep, args=(60,)).start()
        if raises:
            raise ssl.SSLEOFError("the line broke in a handshake")

    child = os.fork()
    if child == 0:
        supernode_process._end_with(gives_up)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_the_runner_dials_the_supernode_from_the_one_address_that_the_unit_lets_through(monkeypatch):
    """The kernel alone would dial it from 127.0.0.1."""
    # An operator's command that a test ran in this process gives Flower a module of its own in the place of httpx.
    monkeypatch.setattr(http_client, "httpx", httpx)
    waiting, wake = os.pipe()
    with socket.create_server((OWN_ADDRESS, 0)) as supernode:
        supernode.settimeout(30)
        address = f"{OWN_ADDRESS}:{supernode.getsockname()[1]}"
        runner = _fork("wardround-runner", lambda: _serve(address, b"secret", waiting, wake))
        try:
            callers = set()
            # Somebody else's runner may still dial a port that was its SuperNode's before.
            while OWN_ADDRESS not in callers and len(callers) < 50:
                line, (host, port) = supernode.accept()
                line.close()
                callers.add(host if host == OWN_ADDRESS else (host, port))
            assert OWN_ADDRESS in callers, callers
        finally:
            os.close(waiting)
            os.close(wake)
            os.kill(runner, signal.SIGKILL)
            os.waitpid(runner, 0)


def test_a_shim_that_waits_for_the_agent_does_not_outlive_its_runner(ends):
    """Nor the runner the SuperNode: each is a fork of the other."""
    said, says = os.pipe()
    agent, waits = socket.socketpair()
    runner = os.fork()
    if runner == 0:
        os.write(says, b"%d\n" % _fork("wardround-shim", lambda: waits.recv(1)))
        signal.pause()
    with os.fdopen(said) as lines:
        shim = int(lines.readline())
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    assert ends(shim)
    for end in (agent, waits):
        end.close()
    os.close(says)
