"""The server's line over TLS, and the list of nodes while the server dies and comes back."""

import http.client
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from wardround.pages import impatient_loop
from wardround.pages import line as line_module
from wardround.server.commands import up
from wardround.server.network.doorkeeper import Doorkeeper
from wardround.server.network.line import Line
from wardround.server.network.superlink import Reconciled
from wardround.server.store.certificates import new_root, new_server

LARGEST = 2**20
PATH = "/v1/fleet/push-object"
SECRET = ("x-wardround-control", "secret")


async def app(scope, receive, send):
    """Read bodies that declare no length; turn away all others unread."""
    if scope["type"] != "http":
        return
    unread = any(name == b"content-length" for name, _ in scope["headers"])
    while not unread and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"not enrolled"})


@contextmanager
def served(folder):
    """A way to open lines to the app behind its doorkeeper, over TLS."""
    root = new_root("a study", datetime.now(UTC))
    signed = new_server(root, "127.0.0.1", datetime.now(UTC))
    for name, content in (
        ("root.crt", root.certificate),
        ("server.crt", signed.certificate),
        ("server.key", signed.key),
    ):
        (folder / name).write_bytes(content)
    tls = {"ssl_certfile": str(folder / "server.crt"), "ssl_keyfile": str(folder / "server.key")}
    door = Doorkeeper(
        app, b"secret", b"look", SimpleNamespace(caller=lambda headers: None), largest_body=LARGEST
    )
    server = uvicorn.Server(
        uvicorn.Config(
            door,
            host="127.0.0.1",
            port=0,
            http=Line,
            loop="wardround.pages.impatient_loop:ImpatientLoop",
            ws="none",
            lifespan="off",
            log_level="error",
            timeout_graceful_shutdown=1,
            **tls,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=str(folder / "root.crt"))
    try:
        yield lambda: http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
    finally:
        server.should_exit = True
        thread.join(5)


def pour(flood, seconds):
    """Send parts of a body as long as the line takes them."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        flood.send(b"%x\r\n%s\r\n" % (LARGEST, b"x" * LARGEST))
        time.sleep(0.01)


def test_a_body_without_end_breaks_the_line(tmp_path):
    """uvloop by itself would take in whatever comes for 30 s after the refusal."""
    with served(tmp_path) as line:
        flood = line()
        flood.putrequest("POST", PATH)
        flood.putheader("Transfer-Encoding", "chunked")
        flood.endheaders()
        with pytest.raises(OSError):  # noqa: PT011 (a reset or a broken pipe, as the system has it)
            pour(flood, 10)
        flood.close()


def test_a_head_without_end_breaks_the_line(tmp_path):
    with served(tmp_path) as line:
        flood, sent = line(), 0
        flood.connect()
        flood.sock.sendall(b"POST /v1/fleet/push-object HTTP/1.1\r\nx: ")
        with suppress(OSError):
            while sent < 500 * LARGEST:
                flood.sock.sendall(b"x" * LARGEST)
                sent += LARGEST
        flood.close()
        assert sent < 50 * LARGEST


def test_a_caller_who_is_slow_to_say_who_it_is_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(line_module, "HEAD_SECONDS", 0.1)
    with served(tmp_path) as line:
        silent = line()
        silent.connect()
        silent.sock.settimeout(10)
        with suppress(ConnectionError):
            assert silent.sock.recv(1) == b""
        silent.close()


def test_among_too_many_lines_the_oldest_strangers_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(Line, "most_of_strangers", 2)
    with served(tmp_path) as line:
        known = line()
        known.request("POST", PATH, headers=dict([SECRET]))
        known.getresponse().read()
        strangers = [line() for _ in range(3)]
        for one in strangers:
            one.connect()
        strangers[0].sock.settimeout(10)
        with suppress(ConnectionError):
            assert strangers[0].sock.recv(1) == b""
        known.request("POST", PATH, headers=dict([SECRET]))
        assert known.getresponse().read() == b"not enrolled"
        for one in (known, *strangers):
            one.close()


def test_a_caller_that_never_shakes_hands_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(impatient_loop, "HANDSHAKE_SECONDS", 0.2)
    with served(tmp_path) as line:
        asked = line()
        with socket.create_connection((asked.host, asked.port), timeout=10) as silent:
            assert silent.recv(1) == b""


def test_an_honest_body_that_is_answered_unread_gets_its_answer(tmp_path):
    with served(tmp_path) as line:
        asked = line()
        with suppress(OSError):  # the answer may come before the last of the body is gone
            asked.request("POST", PATH, b"x" * (LARGEST - 1), headers=dict([SECRET]))
        assert asked.getresponse().status == 401
        asked.close()


def test_a_server_that_dies_while_its_list_is_held_does_not_end_up(monkeypatch, capsys, tmp_path):
    """The list is held again at the next look, or when the server is back."""
    (tmp_path / "hospitals").mkdir()
    answers = [httpx.ConnectError("gone"), httpx.ReadTimeout("slow"), Reconciled(["north"], [], [])]

    def reconcile(home, roll):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(up, "reconcile_nodes", reconcile)
    monkeypatch.setattr(up, "is_listening", lambda home: True)
    monkeypatch.setattr(up, "LOOK_SECONDS", 0.0)
    home = SimpleNamespace(folder=tmp_path, address="a", hospitals=dict)
    looks = iter([None] * 4)
    up._keep(home, SimpleNamespace(poll=lambda: next(looks, -9)))
    assert not answers
    said = capsys.readouterr().err
    assert "(ConnectError); trying again" in said
    assert "north may connect" in said
