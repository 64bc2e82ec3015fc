"""``preferences.yaml``: where the patients' page is, and what it offers. Without it there is no page, and no link.

url: https://choose.north.example   # as patients reach it; links begin so
telephone: 555 0100                 # whom they call where the page cannot help
channels: [sms, email]              # what it offers to stop
days: 90                            # how long a link is good after its message
spool: /var/lib/wardround-preferences/spool
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from wardround.client.outreach.by_page.keys import PageKey, load_page_keys
from wardround.client.outreach.by_page.links import PageLinks
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.preferences.choice import MOST_TOPICS
from wardround.client.preferences.published import CHANNELS, Published, is_page_url
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_name

PREFERENCES = "preferences.yaml"
LEAST_DAYS, MOST_DAYS, DAYS = 30, 365, 90
"""An opt-out must work for 30 days after the message (US CAN-SPAM, 16 CFR 316.5 and 15 USC 7704(a)(3))."""
LONGEST_URL = 80
_TEMPLATE = Path(__file__).parent / "templates" / PREFERENCES


@dataclass(frozen=True, kw_only=True)
class PatientsPage:
    """The file, checked. spool: the folder from which choices are read."""

    url: str
    telephone: str
    channels: tuple[str, ...]
    lasts: timedelta
    spool: Path


def page_settings(home: Path) -> PatientsPage | None:
    """Read a home's file; None where there is none. ConfigurationError names key and value."""
    try:
        content = read_bounded(home / PREFERENCES, LARGEST_YAML)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{PREFERENCES}: cannot be read ({error.strerror})") from error
    section = Section(read_yaml(content, PREFERENCES), PREFERENCES)
    days = section.integer("days", LEAST_DAYS, MOST_DAYS) if section.has("days") else DAYS
    settings = PatientsPage(
        url=section.text("url", most=LONGEST_URL),
        telephone=section.text("telephone"),
        channels=section.texts("channels", CHANNELS),
        lasts=timedelta(days=days),
        spool=home / section.text("spool"),
    )
    section.finish()
    if not is_page_url(settings.url):
        raise section.fail(
            "url", "must be https:// and a host in small letters, as in https://choose.north.example"
        )
    if not set(settings.channels) <= set(CHANNELS):
        raise section.fail("channels", f"must be of {', '.join(CHANNELS)}")
    return settings


def page_links(home: Path) -> PageLinks | None:
    """Give what makes links; None where there is no page."""
    settings = page_settings(home)
    if settings is None:
        return None
    newest = list(load_page_keys(home).values())[-1]
    return PageLinks(url=settings.url, key=newest, lasts=settings.lasts)


def begin_page_settings(home: Path) -> Path:
    """Write the commented file to edit; ConfigurationError where there is one."""
    path = home / PREFERENCES
    write_new(path, _TEMPLATE.read_bytes(), 0o600)
    return path


def published_of(
    settings: PatientsPage,
    outreach: OutreachSettings,
    labels: Mapping[str, Mapping[str, str]],
    keys: Mapping[int, PageKey],
    name: str,
    timezone: str,
) -> Published:
    """Give what the page may know: the topics of messages to patients, and the public halves of the keys.

    labels: topic → language → words, as in notice.yaml. ConfigurationError for a topic that cannot stand in a form.
    """
    topics = sorted({one.topic for one in outreach.triggers if one.to == "patient"})
    strange = [topic for topic in topics if not is_name(topic)]
    if strange or len(topics) > MOST_TOPICS:
        raise ConfigurationError(
            f"outreach.yaml: {len(topics)} topics, {len(strange)} of them of more than letters, digits, '.', '_', '-'; "
            f"the patients' page takes at most {MOST_TOPICS} such words"
        )
    newest = list(keys.values())[-1]
    return Published(
        name=name,
        url=settings.url,
        telephone=settings.telephone,
        timezone=timezone,
        topics={topic: dict(labels.get(topic, {})) for topic in topics},
        channels=settings.channels,
        public_key=newest.public,
        marks={number: key.mark for number, key in keys.items()},
    )
