"""A small side whose pages ask three questions: what the shared pages are tested with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import Response

from tests.pages.browser import Browser
from tests.pages.in_chromium import chromium  # noqa: F401 (a fixture)
from wardround.pages.accounts import AccountsFile
from wardround.pages.app import SentForm, page_app
from wardround.pages.attempts import Attempts
from wardround.pages.desk import DeskTask, FrontDesk
from wardround.pages.guard import Guard
from wardround.pages.sessions import Sessions
from wardround.pages.settings import PageSettings
from wardround.pages.site import MenuEntry, PageSite
from wardround.protocol.errors import ConfigurationError

PASSWORD = "three green horses run"
ROLES = ("officer", "helper")


@dataclass
class Side:
    """A whole side in one process, its clock in a test's hand."""

    folder: Path
    now: datetime = datetime(2026, 11, 29, tzinfo=UTC)
    said: str = "good"
    changed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accounts = AccountsFile(self.folder / "accounts.json", ROLES)
        officer, everybody = frozenset({"officer"}), frozenset(ROLES)
        asked = {
            "look": DeskTask(everybody, lambda who, given: {"said": self.said, "given": dict(given)}),
            "secret": DeskTask(officer, lambda who, given: {"said": "secret", "given": {"word": ""}}),
            "change": DeskTask(officer, lambda who, given: self.changed.append(who.person), changes=True),
            "refuse": DeskTask(everybody, lambda who, given: self._refuse()),
            "break": DeskTask(everybody, lambda who, given: 1 / 0),
        }
        sessions = Sessions(lambda: self.now)
        self.desk = FrontDesk(self.accounts, sessions, Attempts(lambda: self.now), asked)

    def _refuse(self) -> None:
        raise ConfigurationError("rounds=0: must be 1 or more")

    def wait(self, **passed: float) -> None:
        self.now += timedelta(**passed)

    def app(self, secure: bool = False) -> Guard:
        host = "pages.example" if secure else "127.0.0.1:8765"
        settings = PageSettings(name="Small", hosts=(host,), secure=secure)
        menu = (
            MenuEntry("/", "menu.look", frozenset(ROLES)),
            MenuEntry("/secret", "menu.secret", frozenset({"officer"})),
        )
        site = PageSite(settings, self.desk, menu, self.folder)
        return page_app(site, self._routes(site))

    def _routes(self, site: PageSite) -> APIRouter:
        routes = APIRouter()

        def look(request: Request, word: str = "") -> Response:
            return site.show(request, "look.html", "look", word=word)

        def secret(request: Request) -> Response:
            return site.show(request, "look.html", "secret")

        def refuse(request: Request) -> Response:
            return site.show(request, "look.html", "refuse")

        def broken(request: Request) -> Response:
            return site.show(request, "look.html", "break")

        def missing(request: Request) -> Response:
            return site.show(request, "missing.html", "look")

        def change(request: Request, form: SentForm) -> Response:
            return site.act(request, form, "change", "/")

        for path, page in (("/", look), ("/secret", secret), ("/refuse", refuse), ("/broken", broken)):
            routes.add_api_route(path, page, methods=["GET"])
        routes.add_api_route("/missing", missing, methods=["GET"])
        routes.add_api_route("/change", change, methods=["POST"])
        return routes


TEMPLATE = """{% extends "layout.html" %}
{% block title %}{{ value.said }}{% endblock %}
{% block main %}<h1>{{ value.said }}</h1><p title="{{ value.said }}">{{ value.given.word }}</p>
<form method="post" action="/change">{{ parts.form_token() }}<button>go</button></form>{% endblock %}
"""


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Side:
    # What argon2id costs is looked at in test_passwords.py; here it would be most of the time.
    monkeypatch.setattr("wardround.pages.passwords.MEMORY_KIB", 8)
    monkeypatch.setattr("wardround.pages.passwords.PASSES", 1)
    for folder in ("templates", "languages"):
        (tmp_path / folder).mkdir()
    (tmp_path / "templates" / "look.html").write_text(TEMPLATE)
    (tmp_path / "templates" / "missing.html").write_text("{{ value.nothing_of_that_name }}")
    for language in ("en", "es"):
        (tmp_path / "languages" / f"{language}.yaml").write_text("menu: {look: Look, secret: Secret}\n")
    side = Side(tmp_path)
    side.accounts.add("ada", "Ada Byron", ("officer",), PASSWORD)
    side.accounts.add("grace", "Grace Hopper", ("helper",), PASSWORD)
    return side


@pytest.fixture
def browse() -> Iterator[Callable[..., Browser]]:
    """Open browsers, and close them at the end."""
    opened: list[Browser] = []

    def browse(side: Side, account: str | None = None, **given: str) -> Browser:
        opened.append(Browser(side.app(), **given))
        if account:
            assert opened[-1].log_in(account, PASSWORD).status_code == 200
        return opened[-1]

    yield browse
    for browser in opened:
        browser.close()
