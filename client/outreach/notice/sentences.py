"""Which sentences the settings make, in the order in which they are read. Pure.

Each sentence stands on a setting: change it, and the sentence changes or goes
(``test_each_sentence_is_built_from_a_setting``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wardround.client.notice.words import plain
from wardround.client.outreach.content.stopping import stopping_words
from wardround.client.outreach.measure.protocol import EXPLORED, RESEARCH
from wardround.client.outreach.notice.facts import OutreachFacts
from wardround.client.outreach.notice.language import MessageFile
from wardround.client.outreach.triggers.trigger import Trigger
from wardround.client.policy.people import APPROVER, DECIDING


@dataclass(frozen=True)
class Sentence:
    """One text of the message file, filled. section: of ``language.SECTIONS``."""

    section: str
    key: str
    text: str


def sentences(facts: OutreachFacts, words: MessageFile) -> list[Sentence]:
    """Make all of them."""
    parts = {
        "sent": _sent,
        "decides": _decides,
        "choice": _choice,
        "refuse": _refuse,
        "measure": _measure,
        "kept": _kept,
    }
    return [
        Sentence(section, key, words.sentences[key].format(**values))
        for section, part in parts.items()
        for key, values in part(facts, words)
    ]


_Part = Iterator[tuple[str, dict[str, object]]]


def _sent(facts: OutreachFacts, words: MessageFile) -> _Part:
    settings = facts.settings
    patients = [one for one in settings.triggers if one.to == "patient"]
    if not patients:
        yield "nothing_sent", {"hospital": facts.hospital}
    for trigger in patients:
        yield _due(trigger), _due_values(trigger, facts, words)
    if facts.sent:
        channels = dict.fromkeys(words.channels.get(one.channel.lower(), one.channel) for one in facts.sent)
        yield "channels", {"channels": words.listed(list(channels))}
        yield "hours", {"first": settings.first_hour, "last": settings.last_hour}
        yield "caps", {"per_day": settings.per_day, "per_week": settings.per_week}
        if settings.sensitive_topics:
            topics = [facts.topic(one, words.language) for one in settings.sensitive_topics]
            yield "sensitive", {"topics": words.listed(topics)}
        payers = sorted(
            {one.paid_by for one in facts.sent if one.message_class == "marketing" and one.paid_by}
        )
        if any(one.message_class == "marketing" for one in facts.sent):
            yield "advertising", {}
        else:
            yield "no_advertising", {"hospital": facts.hospital}
        if payers:
            yield "payers", {"payers": words.listed(payers)}
    if any(one.to == "professional" for one in settings.triggers):
        yield "professionals", {}


def _due(trigger: Trigger) -> str:
    before = trigger.when == "due" and trigger.days[0] < 0
    return f"due_{trigger.when}{'_before' if before else ''}"


def _due_values(trigger: Trigger, facts: OutreachFacts, words: MessageFile) -> dict[str, object]:
    first, last = trigger.days
    return {
        "topic": facts.topic(trigger.topic, words.language),
        "first": abs(first),
        "last": last,
        "categories": words.listed([f"“{one}”" for one in trigger.categories]),
        "source": plain(trigger.source),
    }


def _decides(facts: OutreachFacts, words: MessageFile) -> _Part:
    approvers = len(facts.people.with_role(APPROVER))
    yield (
        ("approvers", {"count": approvers, "hospital": facts.hospital}) if approvers else ("no_approvers", {})
    )
    if any(one.drafted_with for one in facts.sent):
        yield "drafted", {"hospital": facts.hospital}
    people = len(facts.people.with_role(*DECIDING))
    if not people:
        yield "nobody_decides", {"hospital": facts.hospital}
        return
    yield "people", {"count": people, "hospital": facts.hospital}
    yield "two_people", {"alone": facts.policy.alone}


def _choice(facts: OutreachFacts, words: MessageFile) -> _Part:
    settings = facts.settings
    if not any(one.options for one in settings.triggers if one.to == "patient"):
        yield "no_choice", {}
        return
    yield "choice", {}
    if settings.personalise.required:
        yield "choice_asked", {}
    else:
        yield "choice_basis", {"basis": settings.personalise.basis}
    if settings.not_for_gain:
        yield "not_for_choice", {"fields": words.listed([plain(one) for one in settings.not_for_gain])}
    for channel, most in settings.capacity.items():
        yield "capacity", {"channel": words.channels.get(channel, channel), "most": most}


def _refuse(facts: OutreachFacts, words: MessageFile) -> _Part:
    contact = facts.settings.contact
    if contact.required:
        yield "contact_asked", {"hospital": facts.hospital}
    else:
        yield "contact_basis", {"basis": contact.basis}
    if any(one.options for one in facts.settings.triggers if one.to == "patient"):
        yield "refuse_choice", {}
    if facts.purposes:
        yield "learn", {"purposes": words.listed([f"“{plain(one)}”" for one in facts.purposes])}
    else:
        yield "no_learning", {}
    if facts.preferences:
        yield "preferences", {}
    if facts.page:
        yield "page", {"hospital": facts.hospital}
    yield "ask", {"contact": facts.contact}
    if any(one.channel.lower() == "sms" for one in facts.sent):
        yield "reply_stop", {"stop": stopping_words()[words.language].stop[0].upper()}


def _measure(facts: OutreachFacts, words: MessageFile) -> _Part:
    if facts.protocol is None:
        yield "not_measuring", {}
        return
    protocol = facts.protocol.protocol
    yield "question", {"question": protocol.question}
    yield (
        "days",
        {"starts": words.day(protocol.starts), "ends": words.day(facts.protocol.ended or protocol.ends)},
    )
    if protocol.kind == RESEARCH:
        yield "research", {"approval": protocol.approval}
    else:
        yield "improvement", {"hospital": facts.hospital}
    arms = [f"{words.arms[arm]} ({share:.0%})" for arm, share in protocol.arms.items()]
    yield "arms", {"arms": words.listed(arms)}
    if EXPLORED in protocol.arms:
        yield "explored", {}
    outcome = protocol.outcome
    yield (
        "outcome",
        {"column": plain(outcome.column), "table": plain(outcome.rows.table), "days": outcome.days},
    )
    if protocol.groups:
        yield "groups", {"groups": words.listed([plain(one) for one in protocol.groups])}
    if protocol.guardrails:
        yield "guardrails", {"guardrails": words.listed([plain(one) for one in protocol.guardrails])}


def _kept(facts: OutreachFacts, words: MessageFile) -> _Part:
    yield "kept", {"days": facts.settings.keep_days}
    yield "about", {"contact": facts.contact}
    yield "written", {"today": words.day(facts.today), "digest": facts.digest}
