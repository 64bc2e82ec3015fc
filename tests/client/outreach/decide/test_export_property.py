"""Whatever changes between propose and export: nobody is exported to who may not be, and who may is, exactly once.

The oracle reads the drawn cases, not the tables, as in test_propose_property.py. For more cases:
WARDROUND_PROPERTY_CASES=5000.
"""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.client.outreach.decide.decided import GRACE, IDA, PEOPLE
from tests.client.outreach.proposing import grounds, library_of
from tests.client.outreach.test_propose_property import CASES, CHANNELS, PER_RUN, Case, drawn, written
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.outreach.decide.acts import (
    APPROVE,
    HOLD,
    OutreachAct,
    OutreachLog,
    leaves_of,
    modules_of,
)
from wardround.client.outreach.decide.export import export
from wardround.client.outreach.decide.ground import tables_now
from wardround.client.outreach.decide.outbox import Outbox
from wardround.client.outreach.decide.sendable import Sendable
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, HELD
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.propose import Grounds, propose
from wardround.client.policy.outreach import OutreachPolicy, Recipient
from wardround.protocol.wire.signing import SigningKey, new_key

KEY = bytes(range(32))
TABLES = ("consents", "preferences", "vetoes", "addresses", "appointments", "details")
WORDS = (
    "granted",
    "withdrawn",
    "reply",
    "veto",
    "damaged",
    "due",
    "confirmed",
    "topics",
    "wants",
    "reached",
    "shared",
)
RECIPIENTS = {
    channel: Recipient(name=channel, form="csv", channels=(channel,), folder=channel) for channel in CHANNELS
}


@dataclass(frozen=True)
class World:
    """What is drawn once a run. hours, per_week, declared: of outreach.yaml as the messages leave; lapsed: modules."""

    topic: str
    proposed_at: datetime
    exported_at: datetime
    hours: tuple[int, int]
    per_week: int
    declared: tuple[str, ...]
    lapsed: frozenset[str]


@dataclass
class Fate:
    """What became of one patient's facts and message. signed: so many people; sent_today: another message."""

    case: Case
    moved: bool
    named: bool
    signed: int
    held: bool
    sent_today: bool


def world(rng: np.random.Generator) -> World:
    proposed_at = datetime(2026, 12, 10, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 1440)))
    names = [f"visit-{channel}.en" for channel in CHANNELS]
    exported_at = proposed_at + timedelta(minutes=int(rng.choice((120, 300, 1200)) * rng.random()))
    if rng.random() < 0.7 and not 8 <= exported_at.hour < 21:  # at night little may leave
        days = int(exported_at.hour >= 21)
        exported_at = exported_at.replace(hour=int(rng.integers(8, 21))) + timedelta(days=days)
    return World(
        topic=str(rng.choice(("visits", "visits", "visits", "oncology"))),
        proposed_at=proposed_at,
        exported_at=exported_at,
        hours=(int(rng.choice((0, 8, 8, 8, 11))), int(rng.choice((15, 21, 21, 21, 24)))),
        per_week=int(rng.choice((2, 3))),
        declared=(("visit-sms", "visit-letter"), ("visit-letter",))[int(rng.random() < 0.2)],
        lapsed=frozenset(name for name in names if rng.random() < 0.1),
    )  # fmt: skip


def later(rng: np.random.Generator, case: Case, number: int) -> Fate:
    """Draw some facts of a case anew; the visit stays the same, but where it is confirmed, cancelled or moved."""
    other = drawn(rng, number)
    changed = {word: getattr(other, word) for word in WORDS if rng.random() < 0.12}
    after = replace(case, **changed)
    moved = bool(rng.random() < 0.05)
    visits = case.rows["appointments"][:1] or ["nobody,2026-12-12 10:00,booked"]
    visits = [visits[0].replace("10:00", "11:00") if moved else visits[0]]
    if after.confirmed:
        visits.append(visits[0].replace("booked", "confirmed"))
    named = bool(rng.random() < 0.95)
    after.rows = {
        **written(rng, after, number),
        "appointments": visits if after.due else [],
        "details": [f"{after.name},first_name,Mia"] if named else [],
    }
    return Fate(
        case=after,
        moved=moved,
        named=named,
        signed=int(rng.choice((2, 2, 2, 2, 1))),
        held=bool(rng.random() < 0.05),
        sent_today=bool(rng.random() < 0.06),
    )


def may_leave(fate: Fate, proposal: OutreachProposal, there: World) -> bool:
    """Say whether this message is right now, by the drawn facts alone."""
    case, channel, now = fate.case, proposal.channel, there.exported_at
    contact = case.granted and not (case.withdrawn or case.reply or case.veto or case.damaged)
    chosen = case.topics.get(there.topic)
    fits = bool(chosen) or (chosen is None and not any(case.topics.values()) and there.topic != "oncology")
    due = case.due and not case.confirmed and not fate.moved
    sensitive = there.topic == "oncology" and (case.shared or channel == "sms")
    reached = channel in case.reached and case.wants in ("", channel) and not sensitive
    in_time = (
        proposal.send_before > now >= proposal.send_after and there.hours[0] <= now.hour < there.hours[1]
    )
    room = not fate.sent_today and sum(day != now.date() for day in days_before(case, there)) < there.per_week
    today = sum(day == now.date() for day in days_before(case, there)) == 0
    text = proposal.module.rpartition(".")[0] in there.declared and proposal.module not in there.lapsed
    return contact and fits and due and reached and in_time and room and today and text and fate.named


def days_before(case: Case, there: World) -> list[date]:
    """Give the days of earlier messages that still count in the week before the export."""
    days = [(there.proposed_at - timedelta(days=1 + number)).date() for number in range(case.before)]
    return [day for day in days if (there.exported_at.date() - day).days < 7]


def ground_of(folder: Path, cases: list[Case], there: World, now: datetime, after: bool) -> Grounds:
    """Write the tables of these cases, and the settings that hold then."""
    tables = {name: "\n".join(row for one in cases for row in one.rows.get(name, ())) for name in TABLES}
    # Numbers that a telephone takes.
    tables["addresses"] = tables["addresses"].replace("sms 0", "+15550").replace("SMS 0", "0015550")
    standing = there.declared if after else ("visit-sms", "visit-letter")
    first, last = there.hours if after else (8, 21)
    settings = (
        f"hours: {{first: {first}, last: {last}}}\n"
        f"caps: {{per_day: 1, per_week: {there.per_week if after else 3}}}\n"
        "triggers:\n"
        f"  visit: {{when: booked, topic: {there.topic}, days: [0, 7], standard: [{', '.join(standing)}]}}\n"
    )
    library = library_of(**{f"visit_{channel}": {"channel": channel} for channel in CHANNELS})
    library = replace(library, modules=tuple(replace(one, topic=there.topic) for one in library.modules))
    replies = [
        Withdrawal(patient=one.name, consent="contact", why="stop", at=now) for one in cases if one.reply
    ]
    return grounds(folder, settings, library, now, replies, **tables)


def decide(
    journal: Journal, log: OutreachLog, key: SigningKey, fates: dict[str, Fate], there: World
) -> list[OutreachProposal]:
    """Have people approve what was proposed, as each fate says; give all proposals."""
    proposals = [one for one in journal.proposals(("proposed",)) if one.trigger == "visit"]
    for kind, person, mine in (
        (APPROVE, GRACE, proposals),
        (APPROVE, IDA, [one for one in proposals if fates[one.token].signed == 2]),
        (HOLD, IDA, [one for one in proposals if fates[one.token].held]),
    ):
        if mine:
            act = OutreachAct(
                kind=kind, leaves=leaves_of(mine), modules=modules_of(mine), needed=2, person=person, reason="r",
                time=there.proposed_at,
            )  # fmt: skip
            log.add(act, key)
            state = HELD if kind == HOLD else APPROVED
            journal.move([one.id for one in mine], state, person=person, reason="r", at=there.proposed_at)
    return proposals


def leave(
    folder: Path, journal: Journal, key: SigningKey, ground: Grounds, fates: dict[str, Fate], there: World
) -> None:
    """Run one export to each recipient, with what the tables say now."""
    log, library = OutreachLog(folder / "approvals", key.public), ground.library
    sent = {
        token: days_before(fate.case, there) + [there.exported_at.date()] * fate.sent_today
        for token, fate in fates.items()
    }
    for channel in CHANNELS:
        signed = signed_about(log.read())
        words = dict(signed.words)
        sensitive = ground.settings.all_sensitive(library.guidelines)
        now = tables_now(
            ground.source, ground.settings, OutreachPolicy(), sensitive, ground.withdrawals, sent, KEY,
            there.exported_at,
        )  # fmt: skip
        states = {
            one.name: Standing("lapsed" if one.name in there.lapsed else "approved")
            for one in library.modules
        }
        content = ContentFolder(
            folder=folder,
            guidelines=library.guidelines,
            guidelines_digest="",
            modules=library.modules,
            faults=(),
        )
        sendable = Sendable(
            content=content, standings=states, signed=signed, people=PEOPLE, ground=now, words=words,
            now=there.exported_at, today=there.exported_at.date(),
        )  # fmt: skip
        export(
            Outbox(
                home=folder, journal=journal, log=log, key=key, recipient=RECIPIENTS[channel], sendable=sendable,
                words=words, person=GRACE, now=there.exported_at,
            )
        )  # fmt: skip


def left(folder: Path) -> Counter[tuple[str, str]]:
    """Count what is in all files, by patient and channel."""
    found: Counter[tuple[str, str]] = Counter()
    for path in folder.glob("*/outreach-*.csv"):
        with path.open(newline="") as file:
            found.update((row["patient"], row["channel"]) for row in csv.DictReader(file))
    return found


@pytest.mark.parametrize(
    "seed",
    [pytest.param(one, marks=pytest.mark.slow) if one else one for one in range(max(1, CASES // PER_RUN))],
)
def test_whatever_changes_nobody_is_exported_to_who_may_not_be_and_who_may_is_once(
    tmp_path: Path, seed: int
) -> None:
    rng, key = np.random.default_rng(10_002 + seed), new_key()
    there = world(rng)
    cases = [drawn(rng, 100 + number) for number in range(PER_RUN)]
    fates = {token_of(one.name, KEY): later(rng, one, 100 + number) for number, one in enumerate(cases)}
    for channel in CHANNELS:
        (tmp_path / channel).mkdir()
    with Journal(tmp_path / "outreach.sqlite") as journal:
        propose(journal, ground_of(tmp_path / "before", cases, there, there.proposed_at, after=False))
        log = OutreachLog(tmp_path / "approvals", key.public)
        proposals = decide(journal, log, key, fates, there)
        names = {token_of(one.name, KEY): one.name for one in cases}
        expected = Counter(
            (names[one.token], one.channel)
            for one in proposals
            if fates[one.token].signed == 2
            and not fates[one.token].held
            and may_leave(fates[one.token], one, there)
        )
        after = [fate.case for fate in fates.values()]
        ground = ground_of(tmp_path / "after", after, there, there.exported_at, after=True)
        for _ in range(2):  # whoever exports again sends nothing again
            leave(tmp_path, journal, key, ground, fates, there)
            assert left(tmp_path) == expected
    assert set(expected.values()) <= {1}
    assert seed or len(expected) > 10
