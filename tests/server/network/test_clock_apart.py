"""A hospital hears from ``doctor`` that its clock is not the server's: Flower would only turn it away."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from wardround.client.checks.server import clock_or_key
from wardround.client.network.server_look import ServerLook, look_at_server
from wardround.client.network.supernode import NodeSettings, node_public_key
from wardround.server.store.begin_home import begin_operator_home


@pytest.fixture
def settings(tmp_path):
    node_public_key(tmp_path)
    return NodeSettings(folder=tmp_path, hospital="north", address="", socket=tmp_path / "agent.sock")


@pytest.fixture
def told(tmp_path, settings):
    """``told(date, status)``: a server that answers once, with this Date or none."""
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    (tmp_path / "root.crt").write_bytes(home.tls("root.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.tls("server.crt"), home.tls("server.key"))
    threads = []

    def told(date, status="405 Method Not Allowed"):
        listening = socket.create_server(("127.0.0.1", 0))
        line = f"Date: {format_datetime(date, usegmt=True)}\r\n" if date else ""

        def answer():
            with (
                listening,
                listening.accept()[0] as plain,
                context.wrap_socket(plain, server_side=True) as secured,
            ):
                secured.recv(1000)
                secured.sendall(f"HTTP/1.1 {status}\r\n{line}Content-Length: 0\r\n\r\n".encode())

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        object.__setattr__(settings, "address", f"127.0.0.1:{listening.getsockname()[1]}")
        return settings

    yield told
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, None),
        (4, None),
        (-300, None),
        (60, "ahead of"),
        (-400, "behind"),
        (3600, "1:00:0"),
        (-3600, "behind"),
    ],
)
def test_a_clock_that_the_server_would_turn_away_is_said(told, seconds, said):
    look = look_at_server(told(datetime.now(UTC) - timedelta(seconds=seconds)))
    findings = list(clock_or_key(look))
    assert [said in finding.text for finding in findings] == ([] if said is None else [True])


def test_a_server_that_tells_no_time_is_no_finding(told):
    look = look_at_server(told(None))
    assert look.clock_ahead is None
    assert list(clock_or_key(look)) == []


@pytest.mark.parametrize(
    ("status", "enrolled"),
    [("401 Unauthorized", False), ("405 Method Not Allowed", True), ("503 Service Unavailable", None)],
)
def test_a_hospital_that_the_server_turns_away_is_told(status, enrolled, told):
    """All was said to be well while a revoked hospital's SuperNode was started again every few seconds."""
    look = look_at_server(told(datetime.now(UTC), status))
    assert look.enrolled is enrolled
    findings = list(clock_or_key(look))
    assert ["not enrolled yet, or was revoked" in one.text for one in findings] == [True] * (
        enrolled is False
    )
    assert look_at_server(told(datetime.now(UTC), status), ask=False).enrolled is None


def test_a_clock_that_is_wrong_is_named_before_the_key_that_it_spoils():
    (finding,) = clock_or_key(ServerLook(100, timedelta(hours=1), False))
    assert finding.topic == "clock"
