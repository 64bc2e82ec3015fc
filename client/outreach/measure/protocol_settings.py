"""Reading ``protocol.yaml``: every fault of it at once."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeVar

from wardround.client.outreach.content.module import is_id
from wardround.client.outreach.measure.protocol import (
    ARMS,
    BEST_SINGLE,
    EXPLORED,
    IMPROVEMENT,
    RESEARCH,
    STANDARD,
    CountedRows,
    Guardrail,
    MeasuredGroups,
    Outcome,
    OutreachProtocol,
    PlannedSize,
)
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section

PROTOCOL = "protocol.yaml"
NO, LEAVE_OUT = "no", "leave_out"
_LONGEST_WINDOW, _MOST_DATES, _MOST_OUTCOMES, _LONGEST_QUESTION = 365, 100, 1000, 300
_T = TypeVar("_T")
# What stands in the place of a part that could not be read, while the others are.
_NO_OUTCOME = Outcome(rows=CountedRows(table="", time=""), column="", yes=(), no=(), days=1, without=NO)
_NO_SIZE = PlannedSize(share=0.5, difference=0.1)
_NO_ARMS: Mapping[str, float] = {STANDARD: 0.5, ARMS[2]: 0.5}


def read_protocol(content: bytes, name: str = PROTOCOL) -> OutreachProtocol:
    """Read the file's bytes; ConfigurationError with every fault of it in one line."""
    section, faults = Section(read_yaml(content, name, LARGEST_YAML), name), Faults()
    protocol = OutreachProtocol(
        name=faults.take(lambda: _name(section), ""),
        question=faults.take(lambda: section.text("question", most=_LONGEST_QUESTION), ""),
        kind=faults.take(lambda: section.choice("kind", (IMPROVEMENT, RESEARCH)), IMPROVEMENT),
        approval=faults.take(lambda: section.text("approval", ""), ""),
        starts=faults.take(lambda: _day(section, "starts"), date.min),
        ends=faults.take(lambda: _day(section, "ends"), date.min),
        outcome=faults.take(lambda: _outcome(section.section("outcome")), _NO_OUTCOME),
        arms=faults.take(lambda: _arms(section), _NO_ARMS),
        compare=faults.take(lambda: _compare(section), (ARMS[2], STANDARD)),
        size=faults.take(lambda: _size(section.section("size")), _NO_SIZE),
        best_single=faults.take(lambda: _modules(section), {}),
        equivalent=faults.take(lambda: _equivalent(section), ()),
        dates=faults.take(lambda: _dates(section), ()),
        guardrails=faults.take(lambda: _each(section, "guardrails", _guardrail), {}),
        groups=faults.take(lambda: _each(section, "groups", _groups), {}),
    )
    faults.take(section.finish, None)
    if not faults.lines:
        _note_contradictions(protocol, name, faults)
    if faults.lines:
        raise ConfigurationError("; ".join(faults.lines))
    return protocol


def _note_contradictions(protocol: OutreachProtocol, name: str, faults: Faults) -> None:
    """Note what no key is to blame for by itself."""
    arms = protocol.arms
    faults.note(
        protocol.starts <= protocol.ends,
        f"{name}.ends={protocol.ends}: must not lie before starts={protocol.starts}",
    )
    faults.note(
        protocol.kind == IMPROVEMENT or protocol.approval != "",
        f"{name}.approval: research needs the ethics board's approval; name the board and its number",
    )
    for arm in protocol.compare:
        faults.note(arm in arms, f"{name}.compare={arm}: is none of the arms; there are {', '.join(arms)}")
    faults.note(
        (BEST_SINGLE in arms) == bool(protocol.best_single),
        f"{name}.best_single: names each topic's module if there is such an arm, and only then",
    )
    faults.note(
        (EXPLORED in arms) == bool(protocol.equivalent),
        f"{name}.equivalent: names modules that are clinically the same if there is an arm {EXPLORED}, and only then",
    )
    faults.note(
        all(protocol.starts < day for day in protocol.dates),
        f"{name}.looks: every planned look must lie after starts={protocol.starts}",
    )


def _name(section: Section) -> str:
    name = section.text("name")
    if not is_id(name):
        raise section.fail(
            "name", "must be a-z, 0-9 and '-', at most 40; a changed protocol takes another name"
        )
    return name


def _day(section: Section, key: str) -> date:
    try:
        return date.fromisoformat(section.text(key))
    except ValueError:
        raise section.fail(key, "must be a date, as in 2027-11-30") from None


def _dates(section: Section) -> tuple[date, ...]:
    value = section.value("looks", "any")
    if value == "any":
        return ()
    texts = section.texts("looks")
    try:
        days = tuple(map(date.fromisoformat, texts))
    except ValueError:
        days = ()
    if not days or list(days) != sorted(set(days)) or len(days) > _MOST_DATES:
        raise section.fail("looks", f"must be any, or at most {_MOST_DATES} ascending dates")
    return days


def _arms(section: Section) -> Mapping[str, float]:
    part = section.section("arms")
    # In one order whatever the file's: the order decides which numbers of the hash are which arm.
    arms = {arm: _number(part, arm, 0.01, 0.99) for arm in ARMS if part.has(arm)}
    part.finish()
    if STANDARD not in arms or len(arms) < 2 or abs(sum(arms.values()) - 1) > 1e-9:
        raise section.fail("arms", f"must be {STANDARD} and at least another, with shares that sum to 1")
    return arms


def _compare(section: Section) -> tuple[str, str]:
    arms = section.texts("compare")
    if len(arms) != 2 or not set(arms) <= set(ARMS):
        raise section.fail("compare", f"must be two of {', '.join(ARMS)}, as in [personalised, best_single]")
    return arms[0], arms[1]


def _size(part: Section) -> PlannedSize:
    size = PlannedSize(
        share=_number(part, "share", 0.001, 0.999),
        difference=_number(part, "difference", 0.001, 0.5),
        outcomes=_number(part, "outcomes", 1, _MOST_OUTCOMES, 1.0),
        correlation=_number(part, "correlation", 0.0, 1.0, 0.0),
        power=_number(part, "power", 0.5, 0.99, 0.9),
        alpha=_number(part, "alpha", 0.001, 0.2, 0.05),
    )
    part.finish()
    return size


def _outcome(part: Section) -> Outcome:
    column, yes, no = part.text("column"), _words(part, "yes"), _words(part, "no")
    rows = _rows(part)
    outcome = Outcome(
        rows=rows,
        column=column,
        yes=yes,
        no=no,
        days=part.integer("days", 1, _LONGEST_WINDOW),
        without=part.choice("without", (NO, LEAVE_OUT)),
    )
    part.finish()
    if set(yes) & set(no):
        raise part.fail("no", "a word must not stand under yes as well")
    return outcome


def _guardrail(part: Section) -> Guardrail:
    return Guardrail(rows=_rows(part), most_more=_number(part, "most_more", 0.0, 1.0))


def _groups(part: Section) -> MeasuredGroups:
    return MeasuredGroups(
        table=part.text("table"), column=part.text("column"), edges=part.numbers("edges", ())
    )


def _rows(part: Section) -> CountedRows:
    where = part.section("where", {})
    return CountedRows(
        table=part.text("table"),
        time=part.text("time"),
        where={column: _words(where, column) for column in sorted(where.keys())},
    )


def _words(part: Section, key: str) -> tuple[str, ...]:
    words = part.texts(key)
    if not words:
        raise part.fail(key, "must name at least one word")
    return tuple(word.lower() for word in words)


def _modules(section: Section) -> Mapping[str, str]:
    part = section.section("best_single", {})
    modules = {topic.lower(): part.text(topic) for topic in sorted(part.keys())}
    if not all(map(is_id, modules.values())):
        raise section.fail("best_single", "must name each topic's module by its id, as in visit-reminder")
    return modules


def _equivalent(section: Section) -> tuple[tuple[str, ...], ...]:
    value = section.value("equivalent", [])
    groups = value if isinstance(value, list) else [value]
    found = tuple(tuple(group) if isinstance(group, list) else () for group in groups)
    ids = [one for group in found for one in group]
    if not all(len(group) > 1 for group in found) or not all(
        isinstance(one, str) and is_id(one) for one in ids
    ):
        raise section.fail(
            "equivalent", "must be lists of at least two ids of modules, as in [[a, b], [c, d]]"
        )
    if len(set(ids)) < len(ids):
        raise section.fail("equivalent", "a module must stand in one list alone")
    return found


def _each(section: Section, key: str, read: Callable[[Section], _T]) -> Mapping[str, _T]:
    part, found = section.section(key, {}), {}
    for name in sorted(part.keys()):
        one = part.section(name)
        found[name] = read(one)
        one.finish()
    return found


def _number(section: Section, key: str, low: float, high: float, *default: float) -> float:
    value = section.value(key, *default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise section.fail(key, f"must be a number from {low:g} to {high:g}")
    return float(value)
