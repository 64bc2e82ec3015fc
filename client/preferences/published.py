"""``preferences.json``: all that the page knows, as ``preferences publish`` writes it. Nothing in it is a patient's.

It holds the hospital's public key, under which choices are sealed, and the keys by which its links are told from
strangers' (``link_token``). Those are the one secret of the page: the file is for its user alone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from wardround.client.preferences.choice import MOST_TOPICS
from wardround.client.preferences.link_token import MARK_KEY_BYTES, MOST_KEYS
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_line, is_name

PUBLISHED = "preferences.json"
LARGEST_FILE = 2**20
CHANNELS = ("sms", "email", "phone", "letter", "portal")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[::1\]|[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?)(:[0-9]{1,5})?")
_KEY_DIGITS = 2 * MARK_KEY_BYTES


@dataclass(frozen=True, kw_only=True)
class Published:
    """The file. name, telephone: as patients know them. topics: word → language → what patients call it.

    public_key: X25519, 32 bytes. marks: keys of links' marks, by the number of the hospital's key.
    """

    name: str
    url: str
    telephone: str
    timezone: str
    topics: Mapping[str, Mapping[str, str]]
    channels: tuple[str, ...]
    public_key: bytes
    marks: Mapping[int, bytes] = field(repr=False)

    @property
    def host(self) -> str:
        """By which name the page is called, with its port."""
        return urlsplit(self.url).netloc

    @property
    def is_secure(self) -> bool:
        """Whether patients reach it over TLS."""
        return self.url.startswith("https://")

    def topic(self, word: str, language: str) -> str:
        """Name a topic in a language; where that has no name for it, as its word reads."""
        return self.topics[word].get(language, word.replace("_", " "))


def is_page_url(url: str) -> bool:
    """Whether this is https and a host alone; plain http is for tries on this machine.

    >>> [is_page_url(url) for url in ("https://choose.north.example", "http://north.example", "https://a.example/x")]
    [True, False, False]
    """
    scheme, _, host = url.partition("://")
    local = host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK
    return bool(_HOST.fullmatch(host)) and (scheme == "https" or (scheme == "http" and local))


def spelled(published: Published) -> bytes:
    """Spell the file."""
    plain = asdict(published)
    plain |= {"public_key": published.public_key.hex(), "channels": list(published.channels)}
    plain["marks"] = {str(number): key.hex() for number, key in published.marks.items()}
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def load_published(path: Path) -> Published:
    """Read the file; ConfigurationError where it is missing, or not what ``publish`` writes."""
    try:
        content = read_bounded(path, LARGEST_FILE)
        section = Section(read_json(content, LARGEST_FILE), path.name)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: cannot be read; write it in the home by: wardround-hospital preferences publish FILE"
        ) from error
    return _published(section)


def _published(section: Section) -> Published:
    topics, marks = section.section("topics"), section.section("marks")
    published = Published(
        name=section.text("name"),
        url=section.text("url"),
        telephone=section.text("telephone"),
        timezone=section.text("timezone"),
        topics={word: _labels(topics.section(word)) for word in topics.keys()},  # noqa: SIM118 (not a dict)
        channels=section.texts("channels", ()),
        public_key=_key(section, "public_key"),
        marks={_number(marks, number): _key(marks, number) for number in marks.keys()},  # noqa: SIM118
    )
    section.finish()
    if not is_page_url(published.url):
        raise section.fail("url", "must be https:// and a host")
    if not set(published.channels) <= set(CHANNELS):
        raise section.fail("channels", f"must be of {', '.join(CHANNELS)}")
    if len(published.topics) > MOST_TOPICS or not all(map(is_name, published.topics)):
        raise section.fail("topics", f"must be at most {MOST_TOPICS} words")
    return published


def _labels(part: Section) -> Mapping[str, str]:
    return {language: part.text(language) for language in part.keys()}  # noqa: SIM118 (not a dict)


def _key(part: Section, name: str) -> bytes:
    text = part.text(name)
    if not is_line(text) or not re.fullmatch(rf"[0-9a-f]{{{_KEY_DIGITS}}}", text):
        raise part.fail(name, f"must be {_KEY_DIGITS} hexadecimal digits")
    return bytes.fromhex(text)


def _number(part: Section, name: str) -> int:
    if not name.isascii() or not name.isdecimal() or not 1 <= int(name) <= MOST_KEYS:
        raise part.fail(name, f"a key's number is 1 to {MOST_KEYS}")
    return int(name)
