"""One module: a text file with its attributes above, and its parts below.

    id: visit-reminder
    language: en
    topic: appointment_reminder
    channel: sms
    tone: friendly
    length: short
    class: care
    author: Ada Byron
    valid_from: 2026-12-01
    valid_until: 2027-11-30

    [greeting]
    Hello {first_name},

    [core]
    you have a visit on {date} at {time}.

The attributes are YAML, as in all our settings. The parts are text as it stands: a colon or a # in a sentence means
nothing. The file is called ID.LANGUAGE.txt. Its parts go out together, in this order, or not at all: whoever approves
a module approves these bytes (``digest``).
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from wardround.client.outreach.content.language import is_language
from wardround.client.outreach.tables import CHANNELS
from wardround.protocol.characters import is_visible
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.section import Section, shown

LARGEST_MODULE = 2**15  # bytes
LONGEST_TEXT_LINE = 1000  # characters
CLASSES = ("care", "own_service", "marketing")
PAYMENTS = ("cost_only", "more")
PARTS = ("greeting", "core", "call to action")
VOICE = "voice"
SUFFIX = ".txt"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HEADING = re.compile(r"\[([^\[\]]{0,60})\][ \t]*")


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module as its file says it; what is wrong with what it says, ``check`` finds.

    link: its address, empty where it has none. paid_by: who else pays for it, empty where nobody does. payment: whether
    that covers the message's cost alone. translated_from: the original's language, empty for an original. parts: of
    ``PARTS``, what the file holds. voice: what is said aloud instead, empty where the parts are. digest: SHA-256 of the
    file's bytes, hex.
    """

    id: str
    language: str
    topic: str
    channel: str
    tone: str = ""
    length: str = ""
    link: str = ""
    subject: str = ""
    message_class: str
    paid_by: str = ""
    payment: str = ""
    clinical_fact: str = ""
    author: str
    translated_from: str = ""
    translator: str = ""
    drafted_with: str = ""
    valid_from: date
    valid_until: date
    parts: Mapping[str, str]
    voice: str = ""
    digest: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """How people name it: as in ``visit-reminder.en``."""
        return f"{self.id}.{self.language}"

    @property
    def text(self) -> str:
        """All parts in their order: lines of their own in a text message, paragraphs elsewhere."""
        between = "\n" if self.channel == "sms" else "\n\n"
        return between.join(self.parts[part] for part in PARTS if part in self.parts)

    @property
    def spoken(self) -> str:
        """What is said aloud."""
        return self.voice or self.text


def read_module(content: bytes, file: str) -> Module:
    """Read a file's bytes; ConfigurationError with every fault of them in one line."""
    module, faults = module_and_faults(content, file)
    if module is None or faults:
        raise ConfigurationError("; ".join(faults))
    return module


def module_and_faults(content: bytes, file: str) -> tuple[Module | None, list[str]]:
    """Read a file's bytes as far as they can be read. file: its name. None where the attributes cannot be read."""
    faults, name = Faults(), shown(file)
    text = faults.take(lambda: _decoded(content, name), None)
    if text is None:
        return None, faults.lines
    head, blocks = _split(text)
    section = faults.take(lambda: Section(read_yaml(head.encode(), name), name), None)
    if section is None:
        return None, faults.lines
    parts = _parts(blocks, name, faults)
    before = len(faults.lines)
    module = _module(section, parts, hashlib.sha256(content).hexdigest(), faults)
    if len(faults.lines) == before:
        faults.note(file == f"{module.name}{SUFFIX}", f"{name}: must be called {module.name}{SUFFIX}")
    return module, faults.lines


def is_id(text: str) -> bool:
    """Whether this may name a module."""
    return _ID.fullmatch(text) is not None


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST_MODULE:
        raise ConfigurationError(f"{name}: is larger than {LARGEST_MODULE} bytes")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        broken = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}: is not text in UTF-8 (line {broken})") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not is_visible(line):
            raise ConfigurationError(f"{name}: holds a character that nobody sees, or a tab (line {number})")
        # A screen cuts what is longer: an approver must see all that is signed.
        if len(line) > LONGEST_TEXT_LINE:
            raise ConfigurationError(
                f"{name}: a line is longer than {LONGEST_TEXT_LINE} characters (line {number}); break it"
            )
    return text


def _split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Give the attributes' text, and each heading with what stands below it."""
    head: list[str] = []
    blocks: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if heading := _HEADING.fullmatch(line):
            blocks.append((heading[1].strip(), []))
        else:
            (blocks[-1][1] if blocks else head).append(line.rstrip())
    return "\n".join(head), [(heading, "\n".join(lines).strip("\n")) for heading, lines in blocks]


def _parts(blocks: list[tuple[str, str]], name: str, faults: Faults) -> dict[str, str]:
    parts: dict[str, str] = {}
    for heading, text in blocks:
        known = heading in (*PARTS, VOICE)
        hint = did_you_mean(heading, (*PARTS, VOICE))
        faults.note(
            known,
            f"{name}: [{shown(heading)}]: unknown part; {hint}allowed: [{'], ['.join((*PARTS, VOICE))}]",
        )
        faults.note(not known or bool(text), f"{name}: [{shown(heading)}]: is empty")
        faults.note(heading not in parts, f"{name}: [{shown(heading)}]: stands twice")
        if known:
            parts.setdefault(heading, text)
    faults.note("core" in parts, f"{name}: [core]: is missing")
    return parts


def _module(section: Section, parts: dict[str, str], digest: str, faults: Faults) -> Module:
    def text(key: str) -> str:
        return faults.take(lambda: section.text(key, ""), "")

    def needed(key: str) -> str:
        return faults.take(lambda: section.text(key), "")

    first = faults.take(lambda: _date(section, "valid_from"), date.min)
    last = faults.take(lambda: _date(section, "valid_until"), date.max)
    faults.note(first <= last, f"{section.path}.valid_until={last}: must not lie before valid_from={first}")
    module = Module(
        id=faults.take(lambda: _matching(section, "id", is_id, "a-z, 0-9 and '-', at most 40"), ""),
        language=faults.take(lambda: _matching(section, "language", is_language, "as in en or en-US"), ""),
        topic=needed("topic"),
        channel=faults.take(lambda: section.choice("channel", CHANNELS), ""),
        tone=text("tone"),
        length=text("length"),
        link=text("link"),
        subject=text("subject"),
        message_class=faults.take(lambda: section.choice("class", CLASSES), ""),
        paid_by=text("paid_by"),
        payment=faults.take(lambda: section.choice("payment", PAYMENTS, ""), "")
        if section.has("payment")
        else "",
        clinical_fact=text("clinical_fact"),
        author=needed("author"),
        translated_from=text("translated_from"),
        translator=text("translator"),
        drafted_with=text("drafted_with"),
        valid_from=first,
        valid_until=last,
        parts=MappingProxyType({part: parts[part] for part in PARTS if part in parts}),
        voice=parts.get(VOICE, ""),
        digest=digest,
    )
    faults.take(section.finish, None)
    return module


def _matching(section: Section, key: str, holds: Callable[[str], object], allowed: str) -> str:
    text = section.text(key)
    if not holds(text):
        raise section.fail(key, f"must be {allowed}")
    return text


def _date(section: Section, key: str) -> date:
    text = section.text(key)
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise section.fail(key, "must be a date, as in 2027-11-30")
    return found
