"""Messages over the real wire: a mail server with and without TLS, a webhook, and apprise."""

import asyncio
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import sha256
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from tests.http_server import Quiet, serving
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.senders import SIGNATURE_HEADER, NotTold, send
from wardround.protocol.alerts.settings import AlertRecipient, ByApprise, ByMail, ByWebhook, MailServer
from wardround.protocol.errors import ConfigurationError
from wardround.server.store.certificates import new_root, new_server

IMGHDR = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # apprise imports it
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DISK = Alert(event="disk", subject="home", text="0.1 GiB free at /srv", remedy="free some space")
HOSTILE = Alert(
    event="study_to_approve",
    subject="s\r\nBcc: all@x.example",
    text="the study s\r\nBcc: all@x.example\x1b[2J waits <script>",
    remedy="approve\u202e it",
)


class Kept:
    """Takes mails, and keeps them."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
        self, _server: object, _session: object, envelope: Any
    ) -> str:
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mail_server(ssl_context: ssl.SSLContext | None = None, **settings: Any) -> Iterator[SimpleNamespace]:
    """Serve at a port of the system's choice, in a thread of its own."""
    kept, loop = Kept(), asyncio.new_event_loop()
    made = loop.create_server(lambda: SMTP(kept, loop=loop, **settings), "127.0.0.1", 0, ssl=ssl_context)
    server = loop.run_until_complete(made)
    port = server.sockets[0].getsockname()[1]
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield SimpleNamespace(address=f"127.0.0.1:{port}", mails=kept.mails)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in (left := asyncio.all_tasks(loop)):
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(
            asyncio.sleep(0)
        )  # closed transports let go of their sockets in the next turn
        loop.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("tls")
    root = new_root("mail", datetime.now(UTC))
    server = new_server(root, "127.0.0.1", datetime.now(UTC))
    (folder / "crt").write_bytes(server.certificate)
    (folder / "key").write_bytes(server.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    return SimpleNamespace(context=context, root=root.certificate.decode())


def by_mail(address: str, **settings: Any) -> AlertRecipient:
    server = MailServer(**{"server": address, "security": "none", "sender": "w@north.example", **settings})
    way = ByMail(address="it@north.example", server=server)
    return AlertRecipient(name="it", events=frozenset({"disk"}), way=way)


def test_an_email_says_what_is_so_and_what_to_do() -> None:
    with mail_server() as server:
        send(by_mail(server.address), [DISK], "wardround north", NOW)
    [(to, mail)] = server.mails
    assert to == ["it@north.example"]
    assert (mail["Subject"], mail["Auto-Submitted"]) == (
        "[wardround north] 0.1 GiB free at /srv",
        "auto-generated",
    )
    assert mail.get_content().splitlines() == [
        "0.1 GiB free at /srv",
        "What to do: free some space",
        "(event disk)",
    ]


def test_several_alerts_are_one_email() -> None:
    with mail_server() as server:
        send(by_mail(server.address), [DISK, HOSTILE], "wardround north", NOW)
    [(_, mail)] = server.mails
    assert mail["Subject"] == "[wardround north] 2 alerts: 0.1 GiB free at /srv"
    assert mail.get_content().count("(event ") == 2


def test_foreign_text_adds_no_header_no_recipient_and_moves_no_terminal() -> None:
    with mail_server() as server:
        send(by_mail(server.address), [HOSTILE], "wardround north", NOW)
    [(to, mail)] = server.mails
    assert to == ["it@north.example"]
    assert mail["Bcc"] is None
    text = mail["Subject"] + mail.get_content()
    assert not any(sign in text for sign in ("\x1b", "\u202e", "\nBcc"))


def test_mail_goes_by_tls_to_a_server_that_is_who_it_says(tls: SimpleNamespace) -> None:
    with mail_server(tls_context=tls.context, require_starttls=True) as server:
        send(by_mail(server.address, security="starttls", root=tls.root), [DISK], "w", NOW)
        with pytest.raises(NotTold, match="certificate"):
            send(by_mail(server.address, security="starttls"), [DISK], "w", NOW)
    assert len(server.mails) == 1


def test_mail_goes_by_tls_from_the_first_byte_on(tls: SimpleNamespace) -> None:
    with mail_server(ssl_context=tls.context) as server:
        send(by_mail(server.address, security="tls", root=tls.root), [DISK], "w", NOW)
    assert len(server.mails) == 1


def test_nothing_is_sent_in_the_open_where_the_server_offers_no_tls() -> None:
    with mail_server() as server, pytest.raises(NotTold):
        send(by_mail(server.address, security="starttls"), [DISK], "w", NOW)
    assert server.mails == []


@pytest.mark.parametrize(("password", "arrives"), [("right", True), ("wrong-hush", False)])
def test_a_password_that_is_refused_is_an_error_that_does_not_quote_it(
    tls: SimpleNamespace, password: str, arrives: bool
) -> None:
    def check(_server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    settings = {
        "tls_context": tls.context,
        "require_starttls": True,
        "authenticator": check,
        "auth_required": True,
    }
    with mail_server(**settings) as server:
        to = by_mail(server.address, security="starttls", root=tls.root, user="w", password=password)
        if arrives:
            send(to, [DISK], "w", NOW)
        else:
            with pytest.raises(NotTold, match="535") as found:
                send(to, [DISK], "w", NOW)
            assert "hush" not in str(found.value)
    assert len(server.mails) == arrives


def test_a_mail_server_that_is_not_there_is_an_error_in_one_line() -> None:
    with mail_server() as server:
        pass
    with pytest.raises(NotTold, match="does not take the e-mail"):
        send(by_mail(server.address), [DISK], "w", NOW)


@contextmanager
def hook(status: int = 204) -> Iterator[SimpleNamespace]:
    calls: list[tuple[Any, bytes]] = []

    class Handler(Quiet):
        def take(self) -> None:
            calls.append((self.headers, self.body()))
            self.answer(status, Location="http://127.0.0.1:9/elsewhere")

    with serving(Handler) as url:
        yield SimpleNamespace(url=f"{url}/hook", calls=calls)


def by_webhook(url: str, secret: bytes = b"") -> AlertRecipient:
    return AlertRecipient(name="night", events=frozenset({"disk"}), way=ByWebhook(url=url, secret=secret))


def test_a_webhook_gets_plain_json_that_its_secret_signs() -> None:
    with hook() as there:
        send(by_webhook(there.url, b"hush"), [DISK, HOSTILE], "wardround north", NOW)
    [(headers, content)] = there.calls
    assert headers[SIGNATURE_HEADER] == "sha256=" + hmac.new(b"hush", content, sha256).hexdigest()
    plain = json.loads(content)
    assert (plain["version"], plain["source"], plain["sent"]) == (
        1,
        "wardround north",
        "2026-11-01T12:00:00+00:00",
    )
    disk, hostile = plain["alerts"]
    assert (disk["event"], disk["text"], disk["remedy"]) == ("disk", DISK.text, DISK.remedy)
    assert "\x1b" not in hostile["text"]
    assert disk["id"] != hostile["id"]


def test_the_same_alert_has_the_same_id_in_a_repeat() -> None:
    with hook() as there:
        for _ in range(2):
            send(by_webhook(there.url), [DISK], "wardround north", NOW)
    first, second = (json.loads(content)["alerts"][0]["id"] for _, content in there.calls)
    assert first == second


@pytest.mark.parametrize("status", [302, 400, 500])
def test_an_answer_that_is_no_success_is_an_error_and_no_redirection_is_followed(status: int) -> None:
    with hook(status) as there, pytest.raises(NotTold, match=f"answers {status}"):
        send(by_webhook(there.url), [DISK], "w", NOW)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with hook() as there:
        send(by_webhook(there.url), [DISK], "w", NOW)
    assert len(there.calls) == 1


@IMGHDR
def test_apprise_carries_to_what_it_knows() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed")
    with hook(200) as there:
        way = ByApprise(urls=(there.url.replace("http://", "json://"),))
        send(AlertRecipient(name="chat", events=frozenset(), way=way), [DISK], "wardround north", NOW)
    [(_, content)] = there.calls
    assert DISK.text in json.loads(content)["message"]


@IMGHDR
def test_a_line_that_apprise_does_not_know_is_an_error_that_does_not_quote_it() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed")
    to = AlertRecipient(name="chat", events=frozenset(), way=ByApprise(urls=("hush",)))
    with pytest.raises(ConfigurationError, match="does not know") as found:
        send(to, [DISK], "w", NOW)
    assert "hush" not in str(found.value)
