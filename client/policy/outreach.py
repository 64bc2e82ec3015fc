"""Where approved messages to patients may go, and how many one person approves: ``outreach`` of policy.yaml.

    outreach:
      alone: 50                        # messages a day that one person approves alone; more needs two
      words_per_minute: 240            # how fast a person reads
      values: {phone: 555 0100}        # placeholders that say the same to everybody
      dates: "%d.%m.%Y"                # how {date} and {time} are written
      times: "%H:%M"
      recipients:
        texts: {form: csv, folder: /srv/texts, channels: [sms]}
        mailer: {form: messenger, url: "http://127.0.0.1:9000/send", channels: [email], keeps_keys: true}
        records: {form: fhir, folder: /srv/fhir, channels: [portal, letter, phone]}

What is not named here gets nothing. Who decides stands in people.yaml (``client.policy.people``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_line, is_name

CSV, FHIR, MESSENGER = "csv", "fhir", "messenger"
CHANNELS = ("sms", "email", "phone", "letter", "portal")
ALONE, WORDS_PER_MINUTE, TIMEOUT_SECONDS = 50, 240, 10
"""240 words a minute: how fast adults read English to themselves (Brysbaert 2019, 238 of non-fiction)."""
DATES, TIMES = "%Y-%m-%d", "%H:%M"
_PATTERN = re.compile(r"(?:%[dmYHMI%]|[^%\n]){1,40}")
_MOST_ALONE, _MOST_TIMEOUT, _MOST_RECIPIENTS = 10**6, 120, 50


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """One place that approved messages may go to.

    form: csv or fhir (a new file in ``folder`` for each export), or messenger (one POST to ``url`` for each message).
    channels: which messages it takes. secret: a file that holds what is sent as ``Authorization``, empty for none.
    keeps_keys: whether it drops a message whose ``Idempotency-Key`` it has had, so that one in doubt may be sent again.
    """

    name: str
    form: str
    channels: tuple[str, ...]
    folder: str = ""
    url: str = ""
    secret: str = ""
    timeout_seconds: int = TIMEOUT_SECONDS
    keeps_keys: bool = False


@dataclass(frozen=True, kw_only=True)
class OutreachPolicy:
    """The section. The defaults let nothing leave."""

    alone: int = ALONE
    words_per_minute: int = WORDS_PER_MINUTE
    values: Mapping[str, str] = field(default_factory=dict)
    dates: str = DATES
    times: str = TIMES
    recipients: Mapping[str, Recipient] = field(default_factory=dict)


def outreach_from_section(section: Section) -> OutreachPolicy:
    """Read the section; ConfigurationError names key, value and what is allowed."""
    policy = OutreachPolicy(
        alone=_whole(section, "alone", 0, _MOST_ALONE, ALONE),
        words_per_minute=_whole(section, "words_per_minute", 1, 1000, WORDS_PER_MINUTE),
        values=_values(section.section("values", {})),
        dates=_pattern(section, "dates", DATES),
        times=_pattern(section, "times", TIMES),
        recipients=_recipients(section.section("recipients", {})),
    )
    section.finish()
    return policy


def _whole(section: Section, key: str, least: int, most: int, default: int) -> int:
    return section.integer(key, least, most) if section.has(key) else default


def _values(part: Section) -> Mapping[str, str]:
    return {name: str(part.value(name)) if part.has(name) else "" for name in part.keys()}  # noqa: SIM118


def _pattern(section: Section, key: str, default: str) -> str:
    text = section.text(key, default)
    if not _PATTERN.fullmatch(text):
        raise section.fail(key, "must be of %d, %m, %Y, %H, %I, %M and what stands between, as in %d.%m.%Y")
    return text


def _recipients(section: Section) -> Mapping[str, Recipient]:
    names = section.keys()
    if len(names) > _MOST_RECIPIENTS:
        raise section.fail(names[0], f"at most {_MOST_RECIPIENTS} recipients")
    for name in names:
        if not is_name(name):
            raise section.fail(name, "must be letters, digits, '.', '_', '-', at most 64")
    return {name: _recipient(name, section.section(name)) for name in names}


def _recipient(name: str, part: Section) -> Recipient:
    form = part.choice("form", (CSV, FHIR, MESSENGER))
    channels = part.texts("channels")
    if not channels or not set(channels) <= set(CHANNELS):
        raise part.fail("channels", f"must be some of {', '.join(CHANNELS)}")
    posts = form == MESSENGER
    recipient = Recipient(
        name=name,
        form=form,
        channels=channels,
        folder="" if posts else part.text("folder"),
        url=_url(part) if posts else "",
        secret=part.text("secret", "") if posts else "",
        timeout_seconds=_whole(part, "timeout_seconds", 1, _MOST_TIMEOUT, TIMEOUT_SECONDS),
        keeps_keys=part.boolean("keeps_keys", False) if posts else False,
    )
    part.finish()
    return recipient


def _url(part: Section) -> str:
    """Read an address: https, or http on this machine alone, since a message names a patient."""
    url = part.text("url")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = None, "", None
    local = host in ("127.0.0.1", "::1", "localhost")
    if parts is None or not host or port == 0 or parts.username or parts.fragment or not is_line(url):
        raise part.fail(
            "url", "must be an address without a user, as in https://sender.north.example/messages"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise part.fail("url", "must be https, or http to this machine: a message names a patient")
    return url
