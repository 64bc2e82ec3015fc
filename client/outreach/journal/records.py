"""A proposal and a decision as values; what they hold, ``journal.schema`` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wardround.client.outreach.journal.states import PROPOSED


@dataclass(frozen=True, kw_only=True)
class OutreachProposal:
    """One module for one recipient at one time (``schema.PROPOSAL_COLUMNS``)."""

    id: int = 0
    token: str = field(repr=False)
    recipient: str = "patient"
    trigger: str
    occasion: str = field(repr=False)
    topic: str
    module: str
    module_digest: str
    standard: str
    channel: str
    send_after: datetime
    send_before: datetime
    arm: str = ""
    propensity: float = 1.0
    population: str = "unknown"
    made_at: datetime
    model: str = ""
    contract: str = ""
    stands_on: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reasons: Sequence[str] = field(default=(), repr=False)
    options: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    state: str = PROPOSED

    @property
    def is_personal(self) -> bool:
        """Whether it is another message than the standard one, by the patient's consent to be personalised."""
        return self.module != self.standard and self.stands_on.get("personalise", True) is not False


@dataclass(frozen=True, kw_only=True)
class OutreachDecision:
    """What a person, or the program for a person's rule, did to one proposal. act: the state it was moved to."""

    proposal: int
    at: datetime
    person: str
    act: str
    reason: str


def as_text(time: datetime) -> str:
    """Write a time as the journal keeps it.

    >>> as_text(datetime(2026, 12, 1, 9, tzinfo=UTC))
    '2026-12-01T09:00:00Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_time(text: str) -> datetime:
    """Read a time of the journal."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
