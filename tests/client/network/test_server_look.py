"""How a hospital's programs reach the server: what is signed for a look at it, and proxy.yaml with all its faults."""

import socket
import threading
from datetime import UTC, datetime

import httpx
import pytest
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from wardround.client.commands import supernode
from wardround.client.network import server_look
from wardround.client.network.long_look import LongLooks
from wardround.client.network.proxy import Proxy, load_proxy, server_transport
from wardround.client.network.server_look import SIGNED_HEADERS, ServerLook, look_at_server
from wardround.client.network.supernode import NodeSettings, node_private_key, node_public_key
from wardround.client.network.supernode_process import (
    FLOWERS_PAUSE_SECONDS,
    HEARTBEAT_SECONDS,
    calling_the_server,
)
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.held_look import LONGEST_HELD_SECONDS
from wardround.server.network.doorkeeper import FLEET
from wardround.server.network.node_keys import NodeKeys
from wardround.server.network.superlink_process import KEPT_SECONDS
from wardround.server.store.certificates import new_root

ROOT = new_root("Corporate root", datetime.now(UTC)).certificate


@pytest.fixture
def settings(tmp_path):
    node_public_key(tmp_path)
    (tmp_path / "root.crt").write_bytes(ROOT)
    (tmp_path / "corporate.crt").write_bytes(ROOT)
    (tmp_path / "secret").write_text("node:a: secret\n")
    (tmp_path / "secret").chmod(0o600)
    return NodeSettings(folder=tmp_path, hospital="north", address="a.example:1", socket=tmp_path / "s")


def test_a_look_is_signed_as_flowers_supernode_signs_its_calls(settings):
    assert SIGNED_HEADERS == (FLEET_HTTP_PUBLIC_KEY_HEADER, TIMESTAMP_HEADER, FLEET_HTTP_SIGNATURE_HEADER)
    signed = {key.encode(): value.encode() for key, value in server_look._signed_headers(settings).items()}
    key = public_key_to_bytes(node_private_key(settings.folder).public_key())
    assert NodeKeys(lambda: [key]).caller(signed) == key
    assert NodeKeys(list).caller(signed) is None
    assert server_look._FLEET_PATH in FLEET, "the doorkeeper asks for the key there"


def test_without_a_file_there_is_no_proxy_whatever_the_environment_says(settings, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert load_proxy(settings.folder) is None
    with calling_the_server(settings.folder, LongLooks())(verify=True, timeout=1.0) as client:
        assert client._mounts == {}


def test_a_proxy_is_read_and_its_password_never_shown(settings):
    (settings.folder / "proxy.yaml").write_text(
        "address: proxy.example:3128\ntls: true\ncredentials: secret\nroot_certificate: corporate.crt\n"
    )
    proxy = load_proxy(settings.folder)
    assert proxy == Proxy(
        address="proxy.example:3128", tls=True, credentials=("node", "a: secret"), root=ROOT.decode()
    )
    assert "secret" not in repr(proxy)
    assert isinstance(server_transport(settings.folder), httpx.HTTPTransport)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address: proxy.example", "proxy.yaml.address=proxy.example: must be HOST:PORT"),
        ("adress: a:1", "proxy.yaml.address: is missing"),
        ("address: a:1\nuser: x", "proxy.yaml.user: unknown key"),
        ("address: a:1\nintercepts: true", "intercepts=true: needs root_certificate"),
        ("address: a:1\nroot_certificate: nowhere", "cannot be read as certificates in PEM"),
        ("address: a:1\nroot_certificate: secret", "cannot be read as certificates in PEM"),
        ("address: a:1\ntls: true\nroot_certificate: empty", "cannot be read as certificates in PEM"),
        ("address: a:1\ncredentials: nowhere", "cannot be read as one line USER:PASSWORD"),
        ("address: a:1\ncredentials: open", "others may read it (mode 644); chmod 600"),
        ("address: a:1\ncredentials: two", "must hold one line USER:PASSWORD"),
        ("address: a:1\ncredentials: nobody", "must hold one line USER:PASSWORD"),
    ],
)
def test_what_is_wrong_with_a_proxys_file_is_one_line_without_its_password(text, said, settings):
    for name, content in (("open", "a:MARK"), ("two", "a:MARK\nb:MARK"), ("nobody", "MARK"), ("empty", "")):
        (settings.folder / name).write_text(content)
        (settings.folder / name).chmod(0o644 if name == "open" else 0o600)
    (settings.folder / "proxy.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_proxy(settings.folder)
    assert said in str(refused.value)
    assert "MARK" not in str(refused.value)


@pytest.mark.parametrize("reason", [b"go \x1b[2J\x9b31m away", b"x" * 60_000])
def test_what_a_proxy_answers_is_one_short_line_and_no_terminal_obeys_it(reason, settings):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            line, _ = server.accept()
            with line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 403 " + reason + b"\r\nContent-Length: 0\r\n\r\n")

        proxy = threading.Thread(target=refuse, daemon=True)
        proxy.start()
        (settings.folder / "proxy.yaml").write_text(f"address: 127.0.0.1:{server.getsockname()[1]}\n")
        with pytest.raises(ConfigurationError, match="gives no tunnel") as refused:
            look_at_server(settings)
        proxy.join(5)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_a_supernode_waits_until_it_is_let_in_and_says_so_once(settings, monkeypatch, capsys):
    """It was started, refused with "Exit Code: 305" and started again, every few seconds for ever."""
    away = ServerLook(100, None, False)
    looks = iter([away, away, away, ServerLook(100, None, True)])
    monkeypatch.setattr(supernode, "look_at_server", lambda _: next(looks))
    monkeypatch.setattr(supernode, "FIRST_PAUSE_SECONDS", 0.01)
    supernode.await_enrolment(settings)
    assert next(looks, None) is None
    (said,) = capsys.readouterr().err.splitlines()
    assert "it is not enrolled yet, or was revoked" in said
    assert "asking again" in said


def test_a_supernode_waits_for_a_server_that_is_away(settings, monkeypatch, capsys):
    answers = [ConfigurationError("server=a.example:1: cannot be reached")] * 3 + [
        ServerLook(100, None, None)
    ]

    def look(_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(supernode, "look_at_server", look)
    monkeypatch.setattr(supernode, "FIRST_PAUSE_SECONDS", 0.01)
    supernode.await_enrolment(settings)
    assert not answers
    assert capsys.readouterr().err == "server=a.example:1: cannot be reached; asking again\n"


@pytest.mark.parametrize("proxied", [False, True])
def test_no_line_is_used_again_after_a_nat_may_have_forgotten_it(proxied, settings):
    """The least that is met is 30 s. A held look says nothing for 16 s, and an idle line is dropped after 20 s.

    The server keeps lines for longer than a SuperNode does: else a call could meet one that is just being closed.
    """
    if proxied:
        (settings.folder / "proxy.yaml").write_text("address: proxy.example:3128")
    kept = server_transport(settings.folder)._pool._keepalive_expiry
    assert FLOWERS_PAUSE_SECONDS < HEARTBEAT_SECONDS < LONGEST_HELD_SECONDS < kept < KEPT_SECONDS < 30
