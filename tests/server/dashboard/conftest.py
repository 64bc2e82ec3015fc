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
from tests.pages.story_time import StoryTime, tell
from tests.server.watch.watched_home import HOSPITALS, begin_study, close_round, watched_home
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.wire.speaker import speaker_to_mapping, this_speaker
from wardround.server.dashboard.accounts import ROLES, operator_accounts
from wardround.server.dashboard.pages import operator_app
from wardround.server.dashboard.questions import operator_desk
from wardround.server.dashboard.settings import load_dashboard_settings
from wardround.server.network import superlink
from wardround.server.report.card_text import CardSection, CardTable, Items, to_markdown
from wardround.server.store.event_log import EVALUATED, EventLog
from wardround.server.store.operator_home import StudyFolder
from wardround.server.watch import alerts, standing

PASSWORD = "three green horses run"
ORIGIN = "http://127.0.0.1:8766"


class Dashboard:
    """One operator's pages; the clock is in a test's hand."""

    clock: StoryTime

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
    clock = tell(monkeypatch, datetime(2026, 9, 1, 9, tzinfo=UTC))
    made = Dashboard(tmp_path)
    clock.moment, made.clock = made.now, clock
    return made


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
def served(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The pages at a port of loopback: autumn's study has ended, winter's is in its third round."""
    clock = dashboard.clock
    clock.moment = datetime(2026, 11, 2, 9, tzinfo=UTC)
    ended = run_rounds(dashboard, "autumn-reminders", 4, 0.712)
    (ended.folder / "report.html").write_text("<h1>A report</h1>")
    (ended.folder / "model_card.md").write_text(card_text("autumn-reminders"))
    EventLog(ended.events, quiet=True).write("finished", rounds=4, releasable=True)
    clock.moment = datetime(2026, 11, 26, 9, tzinfo=UTC)
    running = run_rounds(dashboard, "winter-reminders", 2, 0.695)
    monkeypatch.setattr(standing, "is_held", lambda lock: lock == running.lock)
    clock.moment = dashboard.now
    settings = replace(dashboard.settings, port=free_port(), name="Reminders federation")
    with at_loopback(operator_app(settings, dashboard.desk), settings.port) as url:
        yield url


def run_rounds(dashboard: Dashboard, name: str, rounds: int, auc: float) -> StudyFolder:
    """Write a study of four rounds, one a day, and an evaluation after the last that closed; gives its folder.

    West answers nothing at first; then it has spent what its policy gives this operator.
    """
    noise = noise_multiplier_for(1.0, 1e-5, 1.0, 4)
    log = begin_study(dashboard.home, name, expires_at="2027-03-01T00:00:00+00:00", noise_multiplier=noise)
    for hospital in HOSPITALS[:2]:
        log.write("agent", hospital=hospital, **speaker_to_mapping(this_speaker()))
    for number in range(1, rounds + 1):
        dashboard.clock.wait(days=1, minutes=-7)
        spent = {"west": "refused: max_epsilon_per_operator"}
        refused, missing = (spent, ()) if number > 2 else ({}, ("west",))
        close_round(log, number, HOSPITALS[:2], refused, missing)
    dashboard.clock.wait(minutes=20)
    facts = {"value": auc, "low": auc - 0.03, "high": auc + 0.03, "noise": 0.01, "sampling": 0.01}
    loss = {**facts, "value": 0.52, "low": 0.5, "high": 0.54}
    log.write(EVALUATED, round=rounds, mitigated=False, auc=facts, log_loss=loss)
    return dashboard.home.study(name)


def card_text(name: str) -> str:
    """A model card, short."""
    table = CardTable(("table", "columns"), (("events", "topic, channel, opened"),))
    said = ("Hospitals read these columns:", table, Items(("at most 8 events",)))
    return to_markdown(f"Model card: {name}", "Releasable.", [CardSection("Data contract", said)])
