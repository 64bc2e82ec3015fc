"""A hospital hears from ``doctor`` that its clock is not the server's: Flower would only turn it away."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from wardround.client.checks.server import clock_ahead, clocks
from wardround.client.network.supernode import NodeSettings
from wardround.server.store.begin_home import begin_operator_home


@pytest.fixture
def settings(tmp_path):
    return NodeSettings(folder=tmp_path, hospital="north", address="", socket=tmp_path / "agent.sock")


@pytest.fixture
def told(tmp_path, settings):
    """``told(date)``: a server that answers once, with this Date or none."""
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    (tmp_path / "root.crt").write_bytes(home.tls("root.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.tls("server.crt"), home.tls("server.key"))
    threads = []

    def told(date):
        listening = socket.create_server(("127.0.0.1", 0))
        line = f"Date: {format_datetime(date, usegmt=True)}\r\n" if date else ""

        def answer():
            with (
                listening,
                listening.accept()[0] as plain,
                context.wrap_socket(plain, server_side=True) as secured,
            ):
                secured.recv(1000)
                secured.sendall(f"HTTP/1.1 403 Forbidden\r\n{line}Content-Length: 0\r\n\r\n".encode())

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
    findings = list(clocks(told(datetime.now(UTC) - timedelta(seconds=seconds))))
    assert [said in finding.text for finding in findings] == ([] if said is None else [True])


def test_a_server_that_tells_no_time_is_no_finding(told, settings):
    assert clock_ahead(told(None)) is None
    object.__setattr__(settings, "address", "127.0.0.1:1")
    assert clock_ahead(settings) is None
