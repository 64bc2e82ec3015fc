"""A caller's line to the server's port, fed as a socket would feed it."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from wardround.pages.line import MOST_HEADERS
from wardround.server.network.line import MOST_LINES, MOST_OF_ONE, OPERATOR, Line, leave_room

REQUEST = b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: a\r\n\r\n"


class Transport:
    """A transport, as far as a line uses it."""

    def __init__(self):
        self.closed = False

    def is_closing(self):
        return self.closed

    def abort(self):
        self.closed = True

    close = abort

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        pass

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def never(scope, receive, send):
    await asyncio.sleep(3600)


@pytest.fixture
def lines():
    """A way to open lines to one port, in a running loop."""
    config = uvicorn.Config(never, http=Line, ws="none", lifespan="off", log_level="critical")
    config.load()
    state = ServerState()

    def opened():
        line = Line(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
        line.connection_made(Transport())
        return line

    return opened


def run(act):
    async def acting():
        act()

    asyncio.run(acting())


def test_requests_that_are_sent_ahead_are_not_queued(lines):
    def act():
        line = lines()
        line.data_received(REQUEST * 5000)
        assert len(line.pipeline) == 1
        assert line.transport.closed

    run(act)


def test_a_request_may_come_before_the_end_of_the_answer_is_noted(lines):
    """Flower's app sends an answer's bytes, and then an empty part that ends it."""

    def act():
        line = lines()
        line.data_received(REQUEST)
        line.data_received(REQUEST)
        assert not line.transport.closed

    run(act)


def test_a_head_of_many_headers_ends_the_line_before_they_are_all_read(lines):
    def act():
        line = lines()
        line.data_received(b"POST / HTTP/1.1\r\n" + b"a:b\r\n" * 60_000)
        assert line.transport.closed
        assert len(line.headers) <= MOST_HEADERS

    run(act)


def test_as_many_headers_as_are_allowed_are_read(lines):
    def act():
        line = lines()
        line.data_received(b"POST / HTTP/1.1\r\n" + b"a:b\r\n" * MOST_HEADERS + b"\r\n")
        assert len(line.headers) == MOST_HEADERS
        assert not line.transport.closed

    run(act)


def test_a_head_in_one_piece_with_its_body_is_read_whole(lines):
    def act():
        line, body = lines(), b"x" * 50_000
        line.data_received(b"POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + body)
        assert line.cycle.body == body
        assert not line.transport.closed

    run(act)


def test_one_hospital_with_many_lines_loses_its_own_and_nobody_elses(lines):
    def act():
        honest, operator, stranger = lines(), lines(), lines()
        honest.known_as(b"north")
        operator.known_as(OPERATOR)
        hostile = []
        for _ in range(MOST_LINES + 1):
            hostile.append(lines())
            hostile[-1].known_as(b"south")
        fresh = lines()
        assert not any(one.transport.closed for one in (honest, operator, stranger, fresh))
        assert sum(not one.transport.closed for one in hostile) == MOST_OF_ONE

    run(act)


def test_the_oldest_stranger_makes_room(lines, monkeypatch):
    monkeypatch.setattr(Line, "most_of_strangers", 2)
    clock = iter(range(9))

    def act():
        opened = [lines() for _ in range(2)]
        for one in opened:
            one._begun = next(clock)
        lines()
        assert [one.transport.closed for one in opened] == [True, False]

    run(act)


@pytest.mark.parametrize(("files", "strangers"), [(65536, 512), (2048, 512), (1024, 256), (20, 5)])
def test_strangers_never_have_most_of_the_files_that_may_be_open(files, strangers, monkeypatch):
    monkeypatch.setattr(Line, "most_of_strangers", 0)
    leave_room(files)
    assert Line.most_of_strangers == strangers
