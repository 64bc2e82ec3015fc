"""One declared pattern in a patient's own records that makes a message due, and the modules that may then be sent.

    booked     an appointment that is booked and not confirmed, so many days before it
    missed     an appointment that was missed, so many days ago, and no other is booked since
    due        a refill or a screening whose day came (or comes), and that is not done
    assessed   the patient's latest assessment is in one of these categories
    interest   the patient looked for a topic in a source that the patient opted in to

The trigger fixes the topic: a model chooses among modules of that topic alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wardround.client.outreach.content.module import is_id
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_line

WHEN: Mapping[str, str] = MappingProxyType(
    {
        "booked": "appointments",
        "missed": "appointments",
        "due": "recalls",
        "assessed": "assessments",
        "interest": "interest",
    }
)
"""Each kind of pattern, and the table that it is looked for in."""
RECIPIENTS = ("patient", "professional")
CARE_TEAMS = "care_teams"
_FURTHEST_DAYS, _MOST_MODULES = 3650, 200


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A pattern, as ``outreach.yaml`` declares it.

    when: one of ``WHEN``. days: first and last, in whole days of the hospital's calendar; before the appointment
    (booked), since it (missed), since the day it was due, which may be negative (due), since the assessment, since the
    interest. standard: ids of modules, in the order in which their channels are tried. options: ids that a model may
    choose in their place. kinds: of a recall; empty takes all. column, time, categories: of an assessment. source: of
    the patient's opt-in to interest.
    """

    name: str
    when: str
    to: str
    topic: str
    days: tuple[int, int]
    standard: tuple[str, ...]
    options: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    column: str = ""
    time: str = ""
    categories: tuple[str, ...] = ()
    source: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it reads."""
        teams = (CARE_TEAMS,) if self.to == "professional" else ()
        return (WHEN[self.when], *teams)

    @property
    def modules(self) -> tuple[str, ...]:
        """Every module that it may send."""
        return (*self.standard, *self.options)


def trigger_from_section(name: str, section: Section, faults: Faults) -> Trigger:
    """Read one trigger; each fault of it is noted."""
    when = faults.take(lambda: section.choice("when", tuple(WHEN)), "due")
    assessed, interest = when == "assessed", when == "interest"
    trigger = Trigger(
        name=name,
        when=when,
        to=faults.take(lambda: section.choice("to", RECIPIENTS, "patient"), "patient"),
        topic=faults.take(lambda: section.text("topic").lower(), ""),
        days=faults.take(lambda: _days(section, lowest=-_FURTHEST_DAYS if when == "due" else 0), (0, 0)),
        standard=faults.take(lambda: _modules(section, "standard"), ()),
        options=faults.take(lambda: _modules(section, "options", ()), ()),
        kinds=faults.take(lambda: _words(section, "kinds", ()), ()) if when == "due" else (),
        column=faults.take(lambda: section.text("column"), "") if assessed else "",
        time=faults.take(lambda: section.text("time"), "") if assessed else "",
        categories=faults.take(lambda: _words(section, "categories"), ()) if assessed else (),
        source=faults.take(lambda: section.text("source").lower(), "") if interest else "",
    )
    faults.take(section.finish, None)
    twice = sorted(set(trigger.standard) & set(trigger.options))
    faults.note(
        not twice,
        f"{section.path}.options: {', '.join(twice)} stands under standard too; name a module once",
    )
    faults.note(is_id(name), f"{section.path}: a trigger's name is a-z, 0-9 and '-', at most 40")
    return trigger


def _days(section: Section, lowest: int) -> tuple[int, int]:
    value = section.value("days")
    days = [one for one in value if type(one) is int] if isinstance(value, list) else []
    if len(days) != 2 or days != value:
        raise section.fail("days", "must be two whole numbers, as in [1, 7]")
    first, last = days
    if not lowest <= first <= last <= _FURTHEST_DAYS:
        raise section.fail("days", f"must be ascending, from {lowest} to {_FURTHEST_DAYS}")
    return first, last


def _modules(section: Section, key: str, *default: tuple[str, ...]) -> tuple[str, ...]:
    ids = section.texts(key, *default)
    if not all(map(is_id, ids)) or len(ids) > _MOST_MODULES:
        raise section.fail(key, f"must be at most {_MOST_MODULES} ids of modules, as in [visit-reminder]")
    if not ids and not default:
        raise section.fail(key, "must name at least one module: whoever is due gets at least this one")
    return ids


def _words(section: Section, key: str, *default: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.lower() for word in section.texts(key, *default))
    if (not words and not default) or not all(map(is_line, words)):
        raise section.fail(key, "must name at least one word")
    return words
