"""What waits for a decision, as two kinds of people see it. Pure.

A clinician sees each message with its patient and its reasons. Communications see texts and counts, and no count below
``FEWEST_SHOWN``: a small group with a rare topic is a patient.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from wardround.client.outreach.decide.rules import FEWEST_SHOWN
from wardround.client.outreach.decide.signed import SignedAbout
from wardround.client.outreach.decide.why import why_this_one
from wardround.client.outreach.journal.records import OutreachProposal, as_text
from wardround.client.outreach.journal.states import APPROVED, PROPOSED

RECALLED = "recalled"


@dataclass(frozen=True)
class QueueGroup:
    """Messages that communications see as one. count: None where it is too small to be shown."""

    trigger: str
    module: str
    channel: str
    state: str
    count: int | None

    @property
    def shown(self) -> str:
        """Spell the count."""
        return shown_count(self.count)


@dataclass(frozen=True)
class QueueLine:
    """One message as a clinician sees it. signed: who approved it so far."""

    id: int
    patient: str = field(repr=False)
    trigger: str
    module: str
    standard: str
    channel: str
    send_after: str
    send_before: str
    state: str
    reasons: tuple[str, ...] = field(repr=False)
    options: tuple[Mapping[str, Any], ...] = field(repr=False)
    signed: tuple[str, ...]


@dataclass(frozen=True)
class HeldBack:
    """Patients to whom a trigger's message may not go, by rule. count: None where it is too small to be shown.

    seen: when that was last looked at.
    """

    trigger: str
    rule: str
    why: str
    count: int | None
    seen: str

    @property
    def shown(self) -> str:
        """Spell the count."""
        return shown_count(self.count)


def held_back(held: pl.DataFrame, proposed: pl.DataFrame, all_counts: bool) -> list[HeldBack]:
    """Count what a rule holds, as each trigger's last run saw it.

    held: of the journal; proposed: token, trigger and occasion of its proposals, which no rule holds any more.
    all_counts: for a clinician, who sees small ones too.
    """
    still = held.join(proposed, on=("token", "trigger", "occasion"), how="anti")
    last = still.filter(pl.col("made_at") == pl.col("made_at").max().over("trigger"))
    counts = last.group_by("trigger", "rule", "why", "made_at").agg(pl.col("token").n_unique().alias("count"))
    return [
        HeldBack(trigger, rule, why, count if all_counts or count >= FEWEST_SHOWN else None, seen)
        for trigger, rule, why, seen, count in counts.sort("trigger", "rule", "why").iter_rows()
    ]


def shown_count(count: int | None) -> str:
    """Spell a count, or that it is too small to be shown."""
    return f"fewer than {FEWEST_SHOWN}" if count is None else f"{count:,}"


def as_it_stands(proposal: OutreachProposal, waits: bool, recalled: bool) -> OutreachProposal:
    """Give it to be looked at: what a recalled model chose is *recalled*, what is approved no more waits again."""
    if recalled:
        return replace(proposal, state=RECALLED)
    return replace(proposal, state=PROPOSED) if waits and proposal.state == APPROVED else proposal


def for_communications(proposals: Sequence[OutreachProposal]) -> list[QueueGroup]:
    """Count messages by trigger, module, channel and state."""
    counts = Counter((one.trigger, one.module, one.channel, one.state) for one in proposals)
    return [
        QueueGroup(*group, count if count >= FEWEST_SHOWN else None)
        for group, count in sorted(counts.items())
    ]


def for_clinicians(
    proposals: Sequence[OutreachProposal], patients: Mapping[str, str], about: SignedAbout
) -> list[QueueLine]:
    """Give each message. patients: identifier by token."""
    return [
        QueueLine(
            id=one.id,
            patient=patients.get(one.token, ""),
            trigger=one.trigger,
            module=one.module,
            standard=one.standard,
            channel=one.channel,
            send_after=as_text(one.send_after),
            send_before=as_text(one.send_before),
            state=one.state,
            reasons=why_this_one(one),
            options=tuple(one.options),
            signed=about.signers(one),
        )
        for one in proposals
    ]
