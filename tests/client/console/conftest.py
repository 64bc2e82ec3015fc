"""A small hospital with its pages in one process, and an account for each role."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.client.outreach.decide.outreach_home import approve_content, text_of
from tests.client.outreach.measure.test_protocol import SIGN
from tests.client.outreach.measure.trials import begin_trial, write_protocol
from tests.client.small_hospital import Hospital, small_tables
from tests.pages.browser import Browser
from tests.pages.in_chromium import (
    at_loopback,
    chromium,  # noqa: F401 (a fixture)
    free_port,
)
from tests.pages.story_time import StoryTime, tell
from wardround.client.console.accounts import HospitalAccounts
from wardround.client.console.questions import hospital_desk
from wardround.client.console.roles import ROLES
from wardround.client.console.serve import hospital_app
from wardround.client.console.settings import load_console_settings
from wardround.client.home.home import load_home
from wardround.client.home.terms_folder import keep_pending
from wardround.client.ledger.entries import Entry
from wardround.client.main import main
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import sign_terms

PASSWORD = "three green horses run"
PEOPLE = {
    "privacy": "Mary Ward",
    "communications": "Ada Byron",
    "clinician": "Grace Hopper",
    "it": "Alan Turing",
    "approver": "Hedy Lamarr",
}


class Console:
    """One hospital's pages; an account is named like its role."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        self.propose(hospital.terms)
        self.enrol(PEOPLE)
        self.accounts = HospitalAccounts(hospital.folder)
        for role in ROLES:
            self.accounts.admit(role, PASSWORD)
        self.typed = hospital.folder / "typed"  # what commands are given as a password
        self.typed.write_text(PASSWORD)
        self.typed.chmod(0o600)
        self.settings = load_console_settings(hospital.folder)
        self.desk = hospital_desk(hospital.folder, self.settings)
        self.app = hospital_app(self.settings, self.desk)

    def enrol(self, people: dict[str, str]) -> None:
        """Write people.yaml: accounts, each of the role of its name."""
        lines = [f"  {role}: {{name: {name}, roles: [{role}]}}\n" for role, name in people.items()]
        (self.hospital.folder / "people.yaml").write_text("by_name: true\npeople:\n" + "".join(lines))

    def propose(self, terms: Terms) -> str:
        """Have terms arrive, as with a first plan; gives the path of their page."""
        keep_pending(load_home(self.hospital.folder).terms_folder, sign_terms(terms, self.hospital.operator))
        return f"/studies/{terms.fingerprint}"

    def entries(self) -> list[Entry]:
        ledger = load_home(self.hospital.folder).open_ledger()
        try:
            return ledger.entries()
        finally:
            ledger.close()


STORY = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)


@pytest.fixture
def story(hospital: Any, monkeypatch: pytest.MonkeyPatch) -> StoryTime:
    """One time for all that pictures show: tables of this autumn, and a study that ends in spring.

    Ask for it before what it is to hold for.
    """
    clock = tell(monkeypatch, STORY)
    hospital.begin_ledger(STORY - timedelta(days=30))
    seen = {"2024-01-": "2026-09-", "2024-02-": "2026-10-"}
    hospital.write_tables(
        {t: f.with_columns(pl.all().str.replace_many(seen)) for t, f in small_tables().items()}
    )
    hospital.terms = replace(hospital.terms, expires_at="2027-03-01T00:00:00+00:00")
    clock.touch(hospital.folder)
    return clock


@pytest.fixture
def console(hospital: Any, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr("wardround.pages.passwords.MEMORY_KIB", 8)
    monkeypatch.setattr("wardround.pages.passwords.PASSES", 1)
    return Console(hospital)


def add_text(hospital: Hospital) -> None:
    """Have another text approved, which may stand in the place of the one that waits."""
    text = text_of(id="short", parts={"core": "A visit is near. Reply STOP to stop."})
    (hospital.folder / "content/short.en.txt").write_text(text)
    approve_content(hospital, "short.en")


@contextmanager
def console_at_loopback(console: Console) -> Iterator[str]:
    """Serve the console at a port of loopback, with a desk of its own; gives the address."""
    settings = replace(console.settings, port=free_port(), name="North Hospital")
    desk = hospital_desk(console.hospital.folder, settings)
    with at_loopback(hospital_app(settings, desk), settings.port) as url:
        yield url


@pytest.fixture
def trial(hospital: Any) -> Any:
    """A home with a trial protocol that nobody signed yet; ``sign`` signs it, with changes."""

    def run(*arguments: str) -> None:
        assert main(["outreach", *arguments, "--home", str(hospital.folder)]) == 0

    def sign(**changes: Any) -> None:
        write_protocol(hospital, **changes)
        run(*SIGN)

    hospital.run, hospital.sign = run, sign
    begin_trial(hospital)
    return hospital


@pytest.fixture
def browse(console: Console) -> Iterator[Callable[..., Browser]]:
    """Log in by a role, in a browser of its own."""
    opened: list[Browser] = []

    def browse(role: str | None = None) -> Browser:
        opened.append(Browser(console.app))
        if role:
            opened[-1].log_in(role, PASSWORD)
        return opened[-1]

    yield browse
    for browser in opened:
        browser.close()
