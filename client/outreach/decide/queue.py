"""What waits for a decision, as two kinds of people see it. Pure.

A clinician sees each message with its patient and its reasons. Communications see texts and counts, and no count below
``FEWEST_SHOWN``: a small group with a rare topic is a patient.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wardround.client.outreach.decide.rules import FEWEST_SHOWN
from wardround.client.outreach.decide.signed import SignedAbout
from wardround.client.outreach.journal.records import OutreachProposal, as_text


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
        return f"fewer than {FEWEST_SHOWN}" if self.count is None else f"{self.count:,}"


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
    signed: tuple[str, ...]


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
            reasons=tuple(map(str, one.reasons)),
            signed=about.signers(one),
        )
        for one in proposals
    ]
