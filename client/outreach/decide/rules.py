"""Who may decide about proposals, when two people are needed, and how long reading takes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wardround.client.outreach.content.deciding import LONGEST_REASON
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.acts import APPROVE, SENT, OutreachAct
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.people import CLINICIAN, COMMUNICATIONS, DECIDING, People, Person
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line

FEWEST_SHOWN = 11
"""Counts below it are not shown to who may not see single patients (CMS cell size policy)."""
_A_DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Needed:
    """How many people must approve, and why."""

    people: int
    why: str


def role_of(person: str, people: People) -> str:
    """Say as whom a person decides; ConfigurationError for who has no such role in people.yaml."""
    return CLINICIAN if CLINICIAN in people.acting(person, *DECIDING).roles else COMMUNICATIONS


def check_choice(role: str, single: bool, count: int) -> None:
    """Return where somebody of this role may decide about what they chose; ConfigurationError else.

    single: whether proposals were named one by one. Communications see texts and counts: what they decide about must
    not single out a patient either.
    """
    if role == COMMUNICATIONS and (single or count < FEWEST_SHOWN):
        raise ConfigurationError(
            f"communications decide about a trigger or a module with at least {FEWEST_SHOWN} messages; a clinician "
            "decides about fewer"
        )


def check_reason(reason: str) -> None:
    """ConfigurationError where a reason is no line."""
    allowed = f"must be one line of 1 to {LONGEST_REASON} characters"
    require(is_line(reason, LONGEST_REASON), "reason", shown(reason), allowed)


def people_needed(
    proposals: Sequence[OutreachProposal],
    acts: Iterable[OutreachAct],
    policy: OutreachPolicy,
    people: People,
    person: Person,
    now: datetime,
) -> Needed:
    """Say how many people must approve these.

    Two for a module whose bytes were never sent yet, and where one person would approve more than ``alone`` within 24
    hours, however the messages are shared out over batches.
    """
    acts = tuple(acts)
    sent = {digest for act in acts if act.kind == SENT for digest in act.modules}
    if any(one.module_digest not in sent for one in proposals):
        return Needed(2, "a module is used for the first time")
    ids = {str(one.id) for one in proposals}
    for act in acts:
        # Who signed and is enrolled no more, or never was, may be this person.
        mine = act.kind == APPROVE and act.needed == 1 and people.find(act.person) in (person, None)
        # A clock that was set back must not let yesterday's batch be forgotten.
        if mine and act.time > now - _A_DAY:
            ids |= act.leaves.keys()
    if len(ids) > policy.alone:
        return Needed(
            2, f"{len(ids)} messages within 24 hours, and one person approves at most {policy.alone}"
        )
    return Needed(1, "")


def reading_seconds(modules: Iterable[Module], policy: OutreachPolicy) -> float:
    """Say how long reading these texts takes, each once."""
    words = sum(len(f"{module.subject} {module.text}".split()) for module in modules)
    return 60 * words / policy.words_per_minute


def too_fast(seconds: float | None, needed: float) -> str:
    """Say that an approval took less time than reading does; empty where it did not. None: nothing was shown."""
    if seconds is None:
        return "The texts were not shown before this approval; the log says so."
    if seconds < needed:
        return (
            f"That took {seconds:.0f} s, and reading takes about {needed:.0f} s; the log says so. "
            "Hold what you did not read: outreach hold"
        )
    return ""
