"""The agent's socket: who may open it, and that nobody who misuses it keeps others waiting."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from wardround.client.agent.listening import listening_socket
from wardround.client.agent.room import Stage
from wardround.client.agent.socket_door import LENGTH, DoorLimits, Reply, SocketDoor, due_at
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.envelope import LARGEST_REQUEST
from wardround.protocol.wire.opening import OPENING_BYTES

LIMITS = DoorLimits(connections=16, held_bytes=2 * LARGEST_REQUEST, transfer_seconds=20.0)


class Served:
    """A door that echoes in capitals; ``slow`` waits for a word, ``away`` hangs up, ``later`` is delayed."""

    def __init__(self, path, limits=LIMITS, screen=lambda first: None):
        self.path, self.word, self.asked = path, threading.Event(), []
        self.door = SocketDoor(path, self.answer, limits, screen)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()
        for _ in range(6000):
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                ask(self, b"ready?")
                break
            time.sleep(0.01)
        self.asked.clear()

    async def serve(self):
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await self.door.serve()

    def answer(self, payload):
        self.asked.append(payload)
        if payload == b"slow":
            self.word.wait(60)
        if payload == b"away":
            return Reply(None)
        return Reply(payload.upper(), 1.5 if payload == b"later" else 0.0)

    def stop(self):
        self.word.set()
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(60)


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path / "run/agent.sock")
    yield made
    made.stop()
    assert not made.path.exists()


def connect(served):
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(str(served.path))  # without a time-out it stands in line, as the shim does
        client.settimeout(60)
    except OSError:
        client.close()
        raise
    return client


def ask(served, payload):
    with connect(served) as client:
        client.sendall(LENGTH.pack(len(payload)) + payload)
        received = b""
        while part := client.recv(65536):
            received += part
    return received


def answered(payload):
    return LENGTH.pack(len(payload)) + payload


def test_one_request_one_answer(served):
    assert ask(served, b"hello") == answered(b"HELLO")
    assert ask(served, b"") == answered(b"")
    large = b"a" * 5_000_000
    assert ask(served, large) == answered(large.upper())


def test_the_group_alone_may_open_it(served):
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(served.path.parent.stat().st_mode) == 0o750


def test_a_folder_open_to_others_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 750"):
        listening_socket(tmp_path / "run/agent.sock")


def test_a_second_agent_is_refused_and_a_dead_ones_socket_replaced(served, tmp_path):
    with pytest.raises(ConfigurationError, match="another agent"):
        listening_socket(served.path)
    assert ask(served, b"hello") == answered(b"HELLO")
    dead = tmp_path / "run/dead.sock"
    listening_socket(dead).close()
    listening_socket(dead).close()
    (tmp_path / "run/file").write_text("")
    with pytest.raises(ConfigurationError, match="not a socket"):
        listening_socket(tmp_path / "run/file")


def test_a_socket_whose_agent_may_live_is_never_taken_from_it(tmp_path, monkeypatch):
    """One that was stopped with its queue full, and another user's: both counted as dead, and lost their socket."""
    (tmp_path / "run").mkdir(mode=0o750)
    path = tmp_path / "run/agent.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stopped, contextlib.ExitStack() as waiting:
        stopped.bind(str(path))
        stopped.listen(0)
        waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)).connect(str(path))
        with pytest.raises(ConfigurationError, match="another agent is running"):
            listening_socket(path)

        def refused(self, address):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        with monkeypatch.context() as other:
            other.setattr(socket.socket, "connect", refused)
            with pytest.raises(ConfigurationError, match="cannot be looked at"):
                listening_socket(path)
        assert path.is_socket()
    listening_socket(path).close()


def test_hanging_up_anywhere_disturbs_nobody(served):
    whole = LENGTH.pack(5) + b"hello"
    for sent in range(len(whole) + 1):
        client = connect(served)
        client.sendall(whole[:sent])
        client.close()
    assert ask(served, b"hello") == answered(b"HELLO")
    assert set(served.asked) == {b"hello"}


def test_lengths_beyond_the_largest_request_are_cut_off_unread(served):
    for length in (LARGEST_REQUEST + 1, 2**32 - 1):
        with connect(served) as client:
            client.sendall(struct.pack("<I", length))
            assert client.recv(1) == b""
    assert served.asked == []


def test_whoever_trickles_gives_way(served):
    trickling = [connect(served) for _ in range(20)]
    for client in trickling:
        with contextlib.suppress(OSError):  # gave way already
            client.sendall(LENGTH.pack(1000) + b"x")
    assert ask(served, b"hello") == answered(b"HELLO")
    for client in trickling:
        client.close()


def test_what_callers_hold_is_bounded_and_those_who_keep_still_give_way(tmp_path):
    small = replace(LIMITS, held_bytes=10 * 2**20)
    place = Served(tmp_path / "run/agent.sock", small)
    most = []
    holds = place.door._room.holds

    def watched(*arguments):
        holds(*arguments)
        most.append(place.door._room.held_bytes)

    place.door._room.holds = watched
    try:
        hoarding = [connect(place) for _ in range(4)]
        for client in hoarding:
            with contextlib.suppress(OSError):  # gave way already
                client.sendall(LENGTH.pack(LARGEST_REQUEST) + bytes(4 * 2**20))
        large = b"a" * (4 * 2**20)
        assert ask(place, large) == answered(large.upper())
        assert 2 * len(large) < max(most) <= small.held_bytes
        for client in hoarding:
            client.close()
    finally:
        place.stop()


def test_what_is_being_computed_never_gives_way(served):
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(ask, served, b"slow")
        until(lambda: served.asked == [b"slow"])
        waiting = threads.submit(ask, served, b"hello")
        until(lambda: in_line(served) == 2)
        trickling = [connect(served) for _ in range(20)]
        served.word.set()
        assert slow.result() == answered(b"SLOW")
        assert waiting.result() == answered(b"HELLO")
        for client in trickling:
            client.close()


def send(served, payload):
    """A caller who sends a request, and does not take the answer yet."""
    client = connect(served)
    client.sendall(LENGTH.pack(len(payload)) + payload)
    return client


def in_line(served):
    """How many wait for an answer, their own or one that others wait for too."""
    return sum(caller.stage >= Stage.SHARING for caller in served.door._room._callers.values())


def until(holds):
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert holds()


def test_who_hangs_up_frees_its_place_while_its_answer_computes(served):
    client = send(served, b"slow")
    until(lambda: served.asked == [b"slow"])
    assert len(served.door._room) == 1
    client.close()
    until(lambda: len(served.door._room) == 0)
    assert served.door._room.held_bytes == 0
    assert not served.word.is_set()  # it still computes


def test_what_is_not_begun_is_dropped_with_its_caller(served):
    first = send(served, b"slow")
    until(lambda: served.asked == [b"slow"])
    for number in range(100):
        send(served, b"nobody waits %d" % number).close()
    last = send(served, b"hello")
    until(lambda: len(served.door._room) == in_line(served) == 2)
    served.word.set()
    assert last.recv(4) == LENGTH.pack(5)
    assert served.asked == [b"slow", b"hello"]
    first.close()
    last.close()


def test_equal_requests_at_once_are_computed_once(served):
    with ThreadPoolExecutor(8) as threads:
        slow = [threads.submit(ask, served, b"slow") for _ in range(7)]
        until(lambda: in_line(served) == 7)
        served.word.set()
        assert [one.result() for one in slow] == [answered(b"SLOW")] * 7
    assert served.asked == [b"slow"]


def test_many_who_trickle_what_was_signed_keep_no_newcomer_out(served):
    trickling = [connect(served) for _ in range(16)]
    for client in trickling:
        with contextlib.suppress(OSError):  # gave way already
            client.sendall(LENGTH.pack(5000) + bytes(4000))
    assert ask(served, bytes(1000)) == answered(bytes(1000))
    for client in trickling:
        with contextlib.suppress(OSError):
            client.sendall(b"x")
    assert ask(served, b"hello") == answered(b"HELLO")
    for client in trickling:
        client.close()


def test_a_panic_of_native_code_cuts_the_line_and_the_next_is_answered(served):
    class Panic(BaseException):
        pass

    def panics(payload):
        if payload == b"panic":
            raise Panic
        return Reply(payload.upper())

    served.door._worker._answer = panics
    assert ask(served, b"panic") == b""
    assert ask(served, b"hello") == answered(b"HELLO")


def test_the_same_opening_before_other_bytes_is_another_request(served):
    opening = b"x" * OPENING_BYTES
    with ThreadPoolExecutor(3) as threads:
        threads.submit(ask, served, b"slow")
        until(lambda: served.asked == [b"slow"])
        asked = [threads.submit(ask, served, opening + body) for body in (b"forged", b"honest")]
        until(lambda: in_line(served) == 3)
        served.word.set()
        assert [one.result()[4:] for one in asked] == [(opening + b).upper() for b in (b"forged", b"honest")]


def test_small_requests_do_not_stand_behind_large_ones(served):
    first = send(served, b"slow")
    until(lambda: served.asked == [b"slow"])
    large = [send(served, bytes([number]) * (12 * 2**20)) for number in range(2)]
    until(lambda: in_line(served) == 3)
    small = send(served, b"hello")
    until(lambda: in_line(served) == 4)
    served.word.set()
    assert small.recv(4) == LENGTH.pack(5)
    until(lambda: len(served.asked) == 4)
    assert served.asked[1] == b"hello"
    for client in (first, small, *large):
        client.close()


def test_who_does_not_take_its_reply_gives_way_and_is_cut_off(tmp_path):
    place = Served(tmp_path / "run/agent.sock", replace(LIMITS, connections=8, still_seconds=0.5))
    try:
        stubborn = []
        for number in range(8):  # there are places for four
            stubborn.append(send(place, bytes([number]) * 2**20))
            until(lambda: len(place.asked) == len(stubborn))
            until(lambda: all(one.stage is Stage.TAKING for one in place.door._room._callers.values()))
        assert [ask(place, b"again %d" % n) for n in range(3)] == [
            answered(b"AGAIN %d" % n) for n in range(3)
        ]
        until(lambda: len(place.door._room) == 0)
        for client in stubborn:
            client.close()
    finally:
        place.stop()


def test_callers_come_in_at_a_pace(tmp_path, monkeypatch):
    """Of 400 who connect and close, none costs a task; the honest caller is answered all the same."""
    place = Served(tmp_path / "run/agent.sock")
    served = []
    serve_one = place.door._serve_one
    monkeypatch.setattr(place.door, "_serve_one", lambda caller: served.append(1) or serve_one(caller))
    try:
        for _ in range(400):
            connect(place).close()
        assert ask(place, b"hello") == answered(b"HELLO")
        assert len(served) < 100
    finally:
        place.stop()


def test_whom_no_operator_signed_for_is_told_so_and_nothing_of_it_is_kept(tmp_path):
    place = Served(
        tmp_path / "run/agent.sock", screen=lambda first: Reply(b"NO") if first[:1] == b"x" else None
    )
    most = []
    holds = place.door._room.holds
    place.door._room.holds = lambda caller, held, now: most.append(held) or holds(caller, held, now)
    try:
        assert ask(place, b"x" * 3_000_000) == answered(b"NO")
        assert ask(place, b"x") == answered(b"NO")
        assert most == []
        assert place.asked == []
        assert ask(place, b"hello") == answered(b"HELLO")
    finally:
        place.stop()


def test_without_an_answer_the_line_is_cut(served):
    with connect(served) as client:
        client.sendall(LENGTH.pack(4) + b"away")
        assert client.recv(1) == b""


def test_a_reply_leaves_not_before_its_time(served):
    begun = time.monotonic()
    assert ask(served, b"later") == answered(b"LATER")
    assert time.monotonic() - begun >= 1.5


@pytest.mark.parametrize(
    ("delay", "elapsed", "due"),
    [
        (0.0, 3.0, 3.0),
        (10.0, 0.0, 10.0),
        (10.0, 4.0, 10.0),
        (10.0, 10.0, 10.0),
        (10.0, 10.5, 20.0),  # late, by whole delays only
        (10.0, 39.0, 40.0),
        (0.25, 7.125, 7.25),
        (-5.0, 3.0, 3.0),
        (1e300, 0.0, 86_400.0),
    ],
)
def test_a_reply_leaves_at_the_first_whole_delay_after_it_is_ready(delay, elapsed, due):
    for arrived in (0.0, 1024.5):
        assert due_at(arrived, arrived + elapsed, delay) == arrived + due


def test_all_computations_within_one_delay_leave_at_one_time():
    elapsed = [0.001 * step for step in range(1, 4001)]
    assert {due_at(0.0, one, 2.0) for one in elapsed} == {2.0, 4.0}
    assert [due_at(0.0, one, 2.0) for one in (2.0, 2.001)] == [2.0, 4.0]


@pytest.mark.parametrize("payload", [b"a reply", None], ids=["reply", "hang-up"])
def test_delays_count_from_the_requests_last_byte_and_hold_for_hang_ups(tmp_path, monkeypatch, payload):
    asked = []

    def due(arrived, ready_at, delay_seconds):
        asked.append((ready_at - arrived, delay_seconds))
        return time.monotonic()

    monkeypatch.setattr("wardround.client.agent.socket_door.due_at", due)
    place = Served(tmp_path / "run/agent.sock")
    try:
        place.door._worker._answer = lambda request: Reply(payload, 3.0)
        asked.clear()
        with connect(place) as client:
            client.sendall(LENGTH.pack(4) + b"slo")
            time.sleep(0.5)  # the caller's own slowness is none of ours
            client.sendall(b"w")
            assert client.recv(1) == (LENGTH.pack(7)[:1] if payload else b"")
        ((elapsed, delay),) = asked
        assert elapsed < 0.5
        assert delay == 3.0
    finally:
        place.stop()


def test_callers_who_share_a_computation_learn_of_it_by_the_first_ones_delays(served, monkeypatch):
    """Twenty with the same bytes, each a little later, would else learn to that little when it was ready."""
    asked = []

    def due(arrived, ready_at, delay_seconds):
        asked.append(arrived)
        return ready_at

    monkeypatch.setattr("wardround.client.agent.socket_door.due_at", due)
    with ThreadPoolExecutor(3) as threads:
        callers = []
        for _ in range(3):
            callers.append(threads.submit(ask, served, b"slow"))
            time.sleep(0.1)
        served.word.set()
        assert [one.result() for one in callers] == [answered(b"SLOW")] * 3
    assert served.asked == [b"slow"]
    assert len(asked) == 3
    assert len(set(asked)) == 1


def test_nothing_stays_open(served):
    for _ in range(50):
        connect(served).close()
        ask(served, b"hello")
    deadline = time.monotonic() + 60
    while served.door._open and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not served.door._open
    assert len(served.door._room) == served.door._room.held_bytes == 0
