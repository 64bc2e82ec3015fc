"""``outreach.yaml``: what this hospital's outreach may propose. What it does not say is not proposed.

``templates/outreach.yaml`` is what ``outreach begin`` writes, and says what each key means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.tables import CHANNELS
from wardround.client.outreach.triggers.trigger import Trigger, trigger_from_section
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section

OUTREACH = "outreach.yaml"
FIRST_HOUR, LAST_HOUR = 8, 21
SENSITIVE_TOPICS = ("hiv", "mental_health", "substance_use", "reproductive", "oncology")
NOT_FOR_GAIN = ("insurance", "employment")
PER_DAY, PER_WEEK, KEEP_DAYS = 1, 3, 90
_MOST_PER_DAY, _MOST_PER_WEEK, _MOST_KEEP_DAYS, _MOST_CAPACITY = 5, 20, 3650, 10**8
_MOST_TRIGGERS = 100
_LEAST_KEEP_DAYS = 8
"""What is forgotten no longer counts for the week's cap."""


@dataclass(frozen=True, kw_only=True)
class OutreachConsent:
    """One of the consents. purpose: its value in the consents, where their kind is ``purpose``, in small letters.

    required: whether silence is a no. basis: why it need not be asked for, where it is not.
    """

    purpose: str
    required: bool = True
    basis: str = ""


@dataclass(frozen=True, kw_only=True)
class OutreachSettings:
    """The file. Hours are of the patient's own clock; nothing is sent before ``first_hour`` or from ``last_hour`` on.

    contact, personalise: two consents beside the one to be learned from, which is the contract's own. slots: hours at
    which a time slot begins; it lasts until the next, or until ``last_hour``. per_day, per_week: most messages to one
    patient. not_for_gain: features of the contract by which no message is chosen. capacity: of a channel, most messages
    a day that are not the standard ones. keep_days: how long the journal keeps what is over.
    """

    contact: OutreachConsent
    personalise: OutreachConsent
    first_hour: int = FIRST_HOUR
    last_hour: int = LAST_HOUR
    slots: tuple[int, ...] = (FIRST_HOUR,)
    per_day: int = PER_DAY
    per_week: int = PER_WEEK
    sensitive_topics: tuple[str, ...] = SENSITIVE_TOPICS
    not_for_gain: tuple[str, ...] = NOT_FOR_GAIN
    capacity: Mapping[str, int] = field(default_factory=dict)
    keep_days: int = KEEP_DAYS
    triggers: tuple[Trigger, ...] = ()

    def all_sensitive(self, guidelines: Guidelines) -> tuple[str, ...]:
        """Give the sensitive topics of this file and of the guidelines, in small letters as triggers' topics are."""
        return (*self.sensitive_topics, *(one.lower() for one in guidelines.sensitive_topics))


def read_settings(content: bytes, name: str = OUTREACH) -> OutreachSettings:
    """Read the file's bytes; ConfigurationError with every fault of it in one line."""
    section, faults = Section(read_yaml(content, name, LARGEST_YAML), name), Faults()
    consents = _part(section, "consents", faults)
    hours, caps = _part(section, "hours", faults), _part(section, "caps", faults)
    first = faults.take(lambda: _whole(hours, "first", 0, 23, FIRST_HOUR), FIRST_HOUR)
    last = faults.take(lambda: _whole(hours, "last", 1, 24, LAST_HOUR), LAST_HOUR)
    faults.note(first < last, f"{hours.path}: first={first} must lie before last={last}")
    settings = OutreachSettings(
        contact=_consent(consents, "contact", faults),
        personalise=_consent(consents, "personalise", faults),
        first_hour=first,
        last_hour=last,
        slots=faults.take(lambda: _slots(hours, first, last), (first,)),
        per_day=faults.take(lambda: _whole(caps, "per_day", 1, _MOST_PER_DAY, PER_DAY), PER_DAY),
        per_week=faults.take(lambda: _whole(caps, "per_week", 1, _MOST_PER_WEEK, PER_WEEK), PER_WEEK),
        sensitive_topics=faults.take(lambda: _small(section, "sensitive_topics", SENSITIVE_TOPICS), ()),
        not_for_gain=faults.take(lambda: section.texts("not_for_gain", NOT_FOR_GAIN), ()),
        capacity=faults.take(lambda: _capacity(section), {}),
        keep_days=faults.take(
            lambda: _whole(section, "keep_days", _LEAST_KEEP_DAYS, _MOST_KEEP_DAYS, KEEP_DAYS), KEEP_DAYS
        ),
        triggers=_triggers(section, faults),
    )
    for part in (consents, hours, caps, section):
        faults.take(part.finish, None)
    if faults.lines:
        raise ConfigurationError("; ".join(faults.lines))
    return settings


def _part(section: Section, key: str, faults: Faults) -> Section:
    return faults.take(lambda: section.section(key, {}), Section({}, f"{section.path}.{key}"))


def _consent(consents: Section, key: str, faults: Faults) -> OutreachConsent:
    part = faults.take(lambda: consents.section(key), Section({}, f"{consents.path}.{key}"))
    required = faults.take(lambda: part.boolean("required", True), True)
    consent = OutreachConsent(
        purpose=faults.take(lambda: part.text("purpose").lower(), "") if consents.has(key) else "",
        required=required,
        basis="" if required else faults.take(lambda: part.text("basis"), ""),
    )
    faults.take(part.finish, None)
    return consent


def _whole(section: Section, key: str, least: int, most: int, default: int) -> int:
    return section.integer(key, least, most) if section.has(key) else default


def _slots(hours: Section, first: int, last: int) -> tuple[int, ...]:
    slots = tuple(int(one) for one in hours.numbers("slots", [first]) if one == int(one))
    if not slots or not all(first <= one < last for one in slots):
        raise hours.fail("slots", f"must be whole hours, ascending, from {first} to before {last}")
    return slots


def _small(section: Section, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in section.texts(key, default))


def _capacity(section: Section) -> Mapping[str, int]:
    part = section.section("capacity", {})
    capacity = {
        channel: part.integer(channel, 0, _MOST_CAPACITY) for channel in CHANNELS if part.has(channel)
    }
    part.finish()
    return capacity


def _triggers(section: Section, faults: Faults) -> tuple[Trigger, ...]:
    part = _part(section, "triggers", faults)
    names = part.keys()
    faults.note(len(names) <= _MOST_TRIGGERS, f"{part.path}: {len(names)} triggers, at most {_MOST_TRIGGERS}")
    return tuple(_trigger(part, name, faults) for name in names)


def _trigger(part: Section, name: str, faults: Faults) -> Trigger:
    section = faults.take(lambda: part.section(name), None)
    return trigger_from_section(name, section or Section({}, f"{part.path}.{name}"), faults)
