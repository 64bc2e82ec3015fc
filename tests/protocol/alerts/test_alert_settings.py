"""alerts.yaml: all faults at once, secrets in files of their owner's alone, nothing in the open."""

from pathlib import Path

import pytest

from wardround.protocol.alerts.settings import ALERTS, ByApprise, ByMail, ByWebhook, load_recipients, ways
from wardround.protocol.errors import ConfigurationError

EVENTS = ("disk", "agent", "budget")
MAIL = "mail: {server: 'mail.example:587', from: w@north.example, user: w, password_file: mail.password}\n"


def load(folder: Path, text: str):
    for name, content in (
        ("mail.password", "hush-mail"),
        ("hook.secret", "hush-hook"),
        ("chat.urls", "json://x\n"),
    ):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    (folder / ALERTS).write_text(text)
    return load_recipients(folder / ALERTS, EVENTS)


def test_the_three_ways_are_read(tmp_path) -> None:
    text = MAIL + (
        "recipients:\n"
        "  it: {email: it@north.example, events: all}\n"
        "  night: {webhook: 'https://pager.example/x', secret_file: hook.secret, events: [disk, agent]}\n"
        "  chat: {apprise_file: chat.urls, events: [budget]}\n"
    )
    it, night, chat = found = load(tmp_path, text)
    assert isinstance(it.way, ByMail)
    assert (it.way.server.security, it.way.server.password, it.events) == (
        "starttls",
        "hush-mail",
        frozenset(EVENTS),
    )
    assert isinstance(night.way, ByWebhook)
    assert (night.way.secret, night.events) == (b"hush-hook", frozenset({"disk", "agent"}))
    assert isinstance(chat.way, ByApprise)
    assert ways(found) == {"it": "e-mail", "night": "webhook", "chat": "apprise"}


def test_no_secret_is_in_what_python_shows_of_a_recipient(tmp_path) -> None:
    text = MAIL + (
        "recipients:\n"
        "  it: {email: it@north.example, events: all}\n"
        "  night: {webhook: 'https://pager.example/token', secret_file: hook.secret, events: all}\n"
        "  chat: {apprise_file: chat.urls, events: all}\n"
    )
    shown = repr(load(tmp_path, text))
    assert not any(secret in shown for secret in ("hush", "token", "json://"))


@pytest.mark.parametrize(
    "text", ["", "recipients: {}\n", "mail: {server: 'mail.example:25', from: a@b.example}\n"]
)
def test_an_empty_file_tells_nobody(tmp_path, text: str) -> None:
    assert load(tmp_path, text) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipients: {it: {email: it@x.example, events: all}}", "needs alerts.yaml.mail"),
        (
            MAIL + "recipients: {it: {email: 'it@x.example, all@x.example', events: all}}",
            "must be one e-mail address",
        ),
        (MAIL + "recipients: {it: {email: it@x.example}}", "events: is missing"),
        (MAIL + "recipients: {it: {email: it@x.example, events: [dsk]}}", "did you mean disk"),
        (MAIL + "recipients: {it: {email: it@x.example, events: disk}}", "must be a list"),
        (MAIL + "recipients: {it: {events: all}}", "exactly one of email, webhook and apprise_file"),
        ("recipients: {it: {webhook: 'http://pager.example/x', events: all}}", "must begin with https://"),
        (
            "recipients: {it: {webhook: 'https://u:p@pager.example', events: all}}",
            "without a user and password",
        ),
        ("recipients: {it: {webhook: 'https://[', events: all}}", "is no URL"),
        ("recipients: {it: {apprise_file: gone.urls, events: all}}", "cannot be read as a file of text"),
        (
            "mail: {server: 'mail.example:25', from: a@b.example, security: none}",
            "only a mail server on this machine",
        ),
        (
            "mail: {server: 'mail.example:25', from: a@b.example, user: x}",
            "user and password_file belong together",
        ),
        ("mail: {server: mail.example, from: a@b.example}", "must be HOST:PORT"),
        ("recipents: {}", "did you mean recipients"),
    ],
)
def test_a_fault_is_named_with_its_remedy(tmp_path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, text)


def test_all_faults_are_listed_at_once(tmp_path) -> None:
    text = "recipients:\n  a: {webhook: 'http://x.example', events: all}\n  b: {events: all}\nwhat: 1\n"
    with pytest.raises(ConfigurationError) as found:
        load(tmp_path, text)
    assert all(part in str(found.value) for part in ("recipients.a.webhook", "recipients.b", "what"))


def test_a_file_of_secrets_that_others_may_read_is_refused_and_not_quoted(tmp_path) -> None:
    load(tmp_path, "")
    (tmp_path / "hook.secret").chmod(0o644)
    (tmp_path / ALERTS).write_text(
        "recipients: {n: {webhook: 'https://pager.example/x', secret_file: hook.secret, events: all}}"
    )
    with pytest.raises(ConfigurationError, match="chmod 600") as found:
        load_recipients(tmp_path / ALERTS, EVENTS)
    assert "hush" not in str(found.value)


def test_no_error_quotes_a_url_by_which_somebody_could_call(tmp_path) -> None:
    with pytest.raises(ConfigurationError) as found:
        load(tmp_path, "recipients: {n: {webhook: 'http://pager.example/hush', events: all}}")
    assert "hush" not in str(found.value)
