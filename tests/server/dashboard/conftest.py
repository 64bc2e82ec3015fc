"""A watched home with its pages in one process, and an account."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.pages.browser import Browser
from tests.pages.in_chromium import chromium  # noqa: F401 (a fixture)
from tests.server.watch.watched_home import HOSPITALS, watched_home
from wardround.server.dashboard.accounts import ROLES, operator_accounts
from wardround.server.dashboard.pages import operator_app
from wardround.server.dashboard.questions import operator_desk
from wardround.server.dashboard.settings import load_dashboard_settings
from wardround.server.network import superlink
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
