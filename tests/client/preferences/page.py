"""A page with a folder of its own, keys that a test knows, and links of invented patients."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.pages.browser import Browser
from wardround.client.outreach.by_page.arrived import read_spool
from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.preferences.choice import Choice
from wardround.client.preferences.link_token import BY_LINK, head_of, spell_token
from wardround.client.preferences.published import Published, spelled
from wardround.client.preferences.serve import PreferencePage, load_page, preference_app
from wardround.pages.guard import Guard

ORIGIN = "https://choose.north.example"
TODAY = date(2026, 12, 1)
KEY = PageKey(1, bytes(range(32)))
TOPICS = {"screening": {"en": "Screening", "es": "Pruebas"}, "visits": {"en": "Your appointments"}}


def published(**changes: Any) -> Published:
    """Give what a small hospital publishes."""
    plain = Published(
        name="North Hospital",
        url=ORIGIN,
        telephone="555 0100",
        timezone="UTC",
        topics=TOPICS,
        channels=("sms", "email"),
        public_key=KEY.public,
        marks={1: KEY.mark},
    )
    return replace(plain, **changes)


def link(last_day: date = TODAY + timedelta(days=60), key: PageKey = KEY, sealed: bytes | None = None) -> str:
    """Give the path of a link whose seal the page cannot look behind."""
    head = head_of(key.number, last_day)
    return BY_LINK + spell_token(head, bytes(40) if sealed is None else sealed, key.mark)


@dataclass
class Page:
    """One page in one process, its clock in a test's hand."""

    folder: Path
    now: datetime = datetime(2026, 12, 1, 9, tzinfo=UTC)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "spool").mkdir(parents=True)
        (self.folder / "preferences.json").write_bytes(spelled(published(**self.changes)))
        self.page: PreferencePage = load_page(self.folder)
        self.app: Guard = preference_app(self.page, lambda: self.now)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def choices(self) -> list[Choice]:
        """What lies in the spool, as the hospital opens it."""
        return list(read_spool(self.spool, {1: KEY}).choices.values())

    def browser(self) -> Browser:
        return Browser(self.app, self.page.published.url)


def token_for(patient: str, key: bytes) -> str:
    """Give a patient's token, as links hold it."""
    return token_of(patient, key)
