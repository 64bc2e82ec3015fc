"""Who may decide what about a module: an approval by a named person who wrote no word of it, or a retirement. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime

from wardround.client.outreach.content.approvals import APPROVED, RETIRED, ContentDecision
from wardround.client.outreach.content.check import CheckedModule
from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import SUFFIX, Module
from wardround.client.outreach.content.translation import original_of
from wardround.client.outreach.content.wording import bare_letters
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line

LONGEST_REASON = 500


def approval(
    content: ContentFolder,
    checked: CheckedModule,
    *,
    person: str,
    reason: str,
    until: date | None,
    now: datetime,
    today: date,
) -> ContentDecision:
    """Make the approval of a module as it was read; ConfigurationError where it has a fault, or this person may not.

    checked: one of the folder's modules. until: its last day, None for the module's own.
    """
    module = checked.module
    check_approver(module, person, content.guidelines)
    _check_reason(reason)
    if checked.faults:
        raise ConfigurationError(f"{'; '.join(checked.faults)}; nothing was recorded")
    last = module.valid_until if until is None else until
    within = f"must be from today to {module.valid_until}, the module's valid_until"
    require(today <= last <= module.valid_until, "until", last, within)
    original = original_of(module, {one.name: one for one in content.modules})
    return ContentDecision(
        kind=APPROVED,
        id=module.id,
        language=module.language,
        digest=module.digest,
        original="" if original is None else original.digest,
        guidelines=content.guidelines_digest,
        person=person,
        reason=reason,
        until=last,
        time=now,
    )


def retirement(
    name: str, known: Mapping[str, str], *, person: str, reason: str, now: datetime
) -> ContentDecision:
    """Make the retirement of a module, also of one whose file is broken or gone; anybody may retire.

    known: digest of every module that is there or was decided about, by name. ConfigurationError for another name.
    """
    _check_reason(reason)
    name = name.removesuffix(SUFFIX)
    if name not in known:
        raise ConfigurationError(
            f"module={shown(name)}: no such module was approved, and there is no such file"
        )
    module_id, _, language = name.rpartition(".")
    return ContentDecision(
        kind=RETIRED,
        id=module_id,
        language=language,
        digest=known[name],
        original="",
        guidelines="",
        person=person,
        reason=reason,
        until=None,
        time=now,
    )


def _check_reason(reason: str) -> None:
    require(
        is_line(reason, LONGEST_REASON),
        "reason",
        shown(reason),
        f"must be one line of 1 to {LONGEST_REASON} characters",
    )


def check_approver(module: Module, person: str, guidelines: Guidelines) -> None:
    """Return where this person may approve this module; ConfigurationError else."""
    if not is_named(person, guidelines.approvers):
        raise ConfigurationError(
            f"person={shown(person)}: is not in guidelines.yaml (approvers); give --person NAME, as it stands there"
        )
    for role, name in (("wrote", module.author), ("translated", module.translator)):
        if name and may_be_same_person(person, name):
            raise ConfigurationError(
                f"person={shown(person)}: {role} {module.name} ({shown(name)}), and somebody else must approve it"
            )


def is_named(person: str, people: Iterable[str]) -> bool:
    """Whether a list names this person, without regard to order, capitals and accents."""
    return any(_words(person) == _words(one) for one in people)


def may_be_same_person(one: str, other: str) -> bool:
    """Whether two names may be one person's: without regard to order, capitals, accents; initials and parts count.

    >>> may_be_same_person("López, M.", "Maria Lopez"), may_be_same_person("Ada Byron", "Ada Rhodes")
    (True, False)
    """
    fewer, more = sorted((_words(one), _words(other)), key=len)
    return all(any(_fits(word, another) for another in more) for word in fewer)


def _fits(word: str, another: str) -> bool:
    shorter, longer = sorted((word, another), key=len)
    return longer.startswith(shorter) if len(shorter) == 1 else shorter == longer


def _words(name: str) -> list[str]:
    kept = (one if one.isalnum() else " " for one in bare_letters(name))
    return sorted("".join(kept).split())
