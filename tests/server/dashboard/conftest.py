"""A watched home with its pages in one process, and an account."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.pages.browser import Browser
from tests.pages.in_chromium import (
    at_loopback,
    chromium,  # noqa: F401 (a fixture)
    free_port,
)
from tests.server.watch.watched_home import HOSPITALS, begin_study, close_round, watched_home
from wardround.protocol.wire.speaker import speaker_to_mapping, this_speaker
from wardround.server.dashboard.accounts import ROLES, operator_accounts
from wardround.server.dashboard.pages import operator_app
from wardround.server.dashboard.questions import operator_desk
from wardround.server.dashboard.settings import load_dashboard_settings
from wardround.server.network import superlink
from wardround.server.report.card_text import CardSection, CardTable, Items, to_markdown
from wardround.server.store.event_log import EVALUATED
from wardround.server.watch import alerts

PASSWORD = "three green horses run"
ORIGIN = "http://127.0.0.1:8766"


class Dashboard:
    """One operator's pages; the clock is in a test's hand."""

    def __init__(self, folder: Path) -> None:
        self.home = watched_home(folder)
        self.now = datetime(2026, 11, 29, 12, tzinfo=UTC)
        self.accounts = operator_accounts(self.home.folder)
        self.accounts.add("mary", "Mary Ward", ROLES, PASSWORD)
        self.settings = load_dashboard_settings(self.home.folder)
        self.desk = operator_desk(self.home.folder, self.settings, lambda: self.now)
        self.app = operator_app(self.settings, self.desk)

    def wait(self, seconds: float) -> None:
        """Let a look grow too old."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """A server at which north and south are connected, and west is not."""
    monkeypatch.setattr("wardround.pages.passwords.MEMORY_KIB", 8)
    monkeypatch.setattr("wardround.pages.passwords.PASSES", 1)
    since = {**dict.fromkeys(HOSPITALS[:2], "2026-11-01T08:30:00+00:00"), "west": None}
    monkeypatch.setattr(superlink, "is_listening", lambda _home: True)
    monkeypatch.setattr(superlink, "connected_since", lambda _home: since)
    monkeypatch.setattr(alerts.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**40))
    return Dashboard(tmp_path)


@pytest.fixture
def browse(dashboard: Dashboard) -> Iterator[Callable[..., Browser]]:
    """Open a browser, logged in unless it is to be nobody's."""
    opened: list[Browser] = []

    def browse(account: str | None = "mary") -> Browser:
        opened.append(Browser(dashboard.app, ORIGIN))
        if account:
            assert opened[-1].log_in(account, PASSWORD).status_code == 200
        return opened[-1]

    yield browse
    for browser in opened:
        browser.close()


@pytest.fixture
def served(dashboard: Dashboard) -> Iterator[str]:
    """The pages of two studies at a port of loopback."""
    for name, value in (("autumn-reminders", 0.712), ("spring-reminders", 0.695)):
        log = begin_study(dashboard.home, name)
        log.write("agent", hospital="north", **speaker_to_mapping(this_speaker()))
        for number in range(1, 5):
            refused, missing = ({"west": "refused: max_rounds"}, ()) if number > 2 else ({}, ("west",))
            close_round(log, number, HOSPITALS[:2], refused, missing)
        facts = {"value": value, "low": value - 0.03, "high": value + 0.03, "noise": 0.01, "sampling": 0.01}
        log.write(
            EVALUATED,
            round=4,
            mitigated=False,
            auc=facts,
            log_loss={**facts, "value": 0.52, "low": 0.5, "high": 0.54},
        )
        folder = dashboard.home.study(name).folder
        (folder / "report.html").write_text("<h1>A report</h1>")
        table = CardTable(("table", "columns"), (("events", "topic, channel, opened"),))
        sections = [
            CardSection(
                "Data contract", ("Hospitals read these columns:", table, Items(("at most 8 events",)))
            )
        ]
        (folder / "model_card.md").write_text(to_markdown(f"Model card: {name}", "Releasable.", sections))
    settings = replace(dashboard.settings, port=free_port(), name="Reminders federation")
    with at_loopback(operator_app(settings, dashboard.desk), settings.port) as url:
        yield url
