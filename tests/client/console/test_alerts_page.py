"""Alerts that stand, on a page: what the desk sees itself, and since when by the watch's own file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.client.console.conftest import Console
from wardround.client.alerts import events
from wardround.client.alerts.events import EVENTS
from wardround.client.alerts.server import at_server, is_of_server
from wardround.client.alerts.standing import local
from wardround.client.console import alerts as page_of_alerts
from wardround.client.home.home import load_home
from wardround.pages.language import LANGUAGES, texts
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.running import STATE
from wardround.protocol.alerts.told import Seen, Told, ToldFile

NOW = datetime.now(UTC)
SINCE = NOW - timedelta(days=3)


def remember(console: Console, **seen: Seen) -> None:
    """Write what a watch would have left. seen: by key, its spaces as two underscores."""
    standing = {key.replace("__", " "): one for key, one in seen.items()}
    ToldFile(console.hospital.folder / STATE).write(Told(began=SINCE, standing=standing))


@pytest.mark.parametrize("role", ["privacy", "it"])
def test_what_stands_is_shown_with_what_to_do(console: Console, browse: Callable, role: str) -> None:
    page = browse(role).get("/alerts").text
    found = local(load_home(console.hospital.folder), NOW)
    assert {one.event for one in found} >= {events.STUDY, events.AGENT}
    for one in found:
        assert one.remedy.partition(" ")[0] in page
    assert "A study waits for a decision" in page
    assert "The agent does not run" in page
    assert "No watch has told anybody yet" in page


def test_since_when_and_who_was_told_are_the_watchs(console: Console, browse: Callable) -> None:
    remember(console, agent__socket=Seen(since=SINCE, told=frozenset({"night", "it"})))
    page = browse("it").get("/alerts").text
    assert f"since {SINCE:%Y-%m-%d %H:%M} UTC" in page
    assert "Told: it, night." in page
    assert "not seen by the watch yet" in page  # the study, which the watch did not see
    assert page.index("The agent does not run") < page.index("A study waits")
    assert "No watch has told anybody" not in page


def test_of_the_server_the_watch_alone_knows(console: Console, browse: Callable) -> None:
    remember(
        console,
        server_away__server=Seen(since=SINCE),
        revoked__fl=Seen(since=SINCE, gone=NOW),
        disk__little=Seen(since=SINCE),
    )
    page = browse("it").get("/alerts").text
    assert "The server cannot be reached" in page
    assert "does not let this hospital in" not in page  # over since
    assert "Little room is left" not in page  # the desk sees this disk itself, which has room


def test_a_key_of_the_server_is_told_from_the_homes_own(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = console.hospital.folder / "supernode"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text("{}")
    home = load_home(console.hospital.folder)
    (away,) = at_server(home)
    assert is_of_server(away.key)
    for event, subject in (
        (events.REVOKED, "127.0.0.1:1"),
        (events.CLOCK, "server"),
        (events.CERTIFICATE, "the server's certificate (127.0.0.1:1), 7 days"),
    ):
        assert is_of_server(Alert(event=event, subject=subject, text="x").key)
    for event, subject in ((events.CLOCK, "ledger"), (events.CERTIFICATE, "root.pem, 7 days")):
        assert not is_of_server(Alert(event=event, subject=subject, text="x").key)
    assert not any(is_of_server(one.key) for one in local(home, NOW))


def test_nobody_is_told_and_nothing_is_written(console: Console, browse: Callable) -> None:
    remember(console, agent__socket=Seen(since=SINCE))
    before = (console.hospital.folder / STATE).read_bytes()
    assert browse("privacy").get("/alerts").status_code == 200
    assert (console.hospital.folder / STATE).read_bytes() == before


def test_a_broken_file_of_the_watch_is_said_and_what_stands_is_shown(
    console: Console, browse: Callable
) -> None:
    (console.hospital.folder / STATE).write_text("{")
    page = browse("it").get("/alerts").text
    assert "is not what the last watch wrote" in page
    assert "The agent does not run" in page


def test_a_sound_hospital_shows_no_alert(
    console: Console, browse: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for look in ("local", "of_tables"):
        monkeypatch.setattr(page_of_alerts, look, lambda *given: [])
    assert "No alert stands." in browse("it").get("/alerts").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_event_has_its_words(language: str) -> None:
    found = texts(Path(page_of_alerts.__file__).parent / "languages", language)
    assert {key.partition(".")[2] for key in found if key.startswith("event.")} == set(EVENTS)
