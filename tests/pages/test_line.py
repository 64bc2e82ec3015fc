"""A browser's line to our pages: silent, slow and many callers keep nobody else out."""

import asyncio
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from wardround.pages import line as module
from wardround.pages.line import BrowserLine

GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nhalf"
Opened = Callable[..., BrowserLine]


class Transport(asyncio.Transport):
    """A caller at an address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 50_000), "sockname": ("127.0.0.1", 443)})
        self.closed, self.written = False, b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Read on."""

    resume_reading = pause_reading


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and answer with one word; ``/slow`` for ever."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(3600)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def opened() -> Opened:
    """A way to open lines to one server, in a running loop; each is younger than the one before."""
    config = uvicorn.Config(answers, http=BrowserLine, ws="none", lifespan="off", log_level="critical")
    config.load()
    state, times = ServerState(), itertools.count()

    def line(address: str = "192.0.2.1", said: bytes = b"") -> BrowserLine:
        made = BrowserLine(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
        made.connection_made(Transport(address))
        made._begun = next(times)
        made.data_received(said)
        return made

    return line


def closed(line: BrowserLine) -> bool:
    return bool(line.transport.is_closing())


def test_of_too_many_that_wait_the_oldest_of_the_largest_network_goes(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 4)

    async def act() -> None:
        patient = opened("198.51.100.7")
        same_household = [opened(f"2001:db8::{number}", HALF) for number in range(1, 4)]
        fresh = opened("198.51.100.8")
        assert [closed(one) for one in (patient, *same_household, fresh)] == [
            False,
            True,
            False,
            False,
            False,
        ]
        opened("2001:db8::ffff", HALF)
        assert [closed(one) for one in (patient, *same_household, fresh)] == [False, True, True, False, False]

    asyncio.run(act())


def test_who_is_being_answered_makes_room_for_nobody(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 1)

    async def act() -> None:
        asked = opened(said=GET.replace(b" / ", b" /slow "))
        await asyncio.sleep(0)
        first, second = opened(), opened()
        assert [closed(one) for one in (asked, first, second)] == [False, True, False]

    asyncio.run(act())


@pytest.mark.parametrize(
    ("said", "limit"),
    [(b"", "HEAD_SECONDS"), (b"GET / HT", "HEAD_SECONDS"), (HALF, "BODY_SECONDS"),
     (GET.replace(b" / ", b" /slow "), "ANSWER_SECONDS")],
)  # fmt: skip
def test_silence_half_a_request_and_an_answer_without_end_have_their_time(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, said: bytes, limit: str
) -> None:
    monkeypatch.setattr(module, limit, 0.01)

    async def act() -> None:
        line = opened(said=said)
        assert not closed(line)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if closed(line):
                return
        pytest.fail("the line stayed")

    asyncio.run(act())


def test_a_line_that_was_answered_is_kept_for_another_request(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        line = opened(said=GET)
        for asked in (1, 2):
            for _ in range(5):
                await asyncio.sleep(0)
            assert (line.transport.written.count(b"200 OK"), closed(line), line.waits) == (asked, False, True)
            line.data_received(GET)

    asyncio.run(act())


@pytest.mark.parametrize(
    ("client", "network"),
    [(("192.0.2.1", 5), "192.0.2.1/32"), (("2001:db8:1:2:3::4", 5), "2001:db8:1:2::/64"), (None, ""), (("", 0), "")],
)  # fmt: skip
def test_who_counts_as_one_network(opened: Opened, client: Any, network: str) -> None:
    assert BrowserLine.network.fget(SimpleNamespace(client=client)) == network  # type: ignore[attr-defined]
