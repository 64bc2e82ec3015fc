"""Who may decide what about a module: an approval by a named person who wrote no word of it, or a retirement. Pure."""

from collections.abc import Mapping
from datetime import date, datetime

from wardround.client.outreach.content.approvals import APPROVED, RETIRED, ContentDecision
from wardround.client.outreach.content.check import CheckedModule
from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.outreach.content.module import SUFFIX, Module
from wardround.client.outreach.content.translation import original_of
from wardround.client.policy.people import APPROVER, PEOPLE, People, Person
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line

LONGEST_REASON = 500


def approval(
    content: ContentFolder,
    checked: CheckedModule,
    *,
    people: People,
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
    approver = approver_of(module, person, people)
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
        person=approver.name,
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


def approver_of(module: Module, person: str, people: People) -> Person:
    """Give who approves this module; ConfigurationError where they may not.

    Whoever wrote a text must be enrolled too: an author whom nobody knows could be the approver under another name.
    """
    approver = people.acting(person, APPROVER)
    for role, name in (("wrote", module.author), ("translated", module.translator)):
        known = people.find(name) if name else None
        if name and known is None:
            raise ConfigurationError(
                f"{module.name}: {shown(name)}, who {role} it, is not in {PEOPLE}; enrol them there (without a role, "
                "if they only write), or correct the name in the module"
            )
        if known == approver:
            raise ConfigurationError(
                f"person={approver.name}: {role} {module.name} ({shown(name)}), and somebody else must approve it"
            )
    return approver
