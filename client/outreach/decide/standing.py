"""A standing approval: two people's signed yes to trigger × module × population, until a date. Pure.

It holds for these very bytes of a module: a changed text ends it. Within its caps it approves what is proposed at
once, but for a sample that a person reads as before, drawn by the proposal alone so that no one can choose it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from wardround.client.outreach.journal.records import OutreachProposal
from wardround.protocol.errors import require
from wardround.protocol.text.text import is_digest, is_line

ANYBODY = "anybody"
POPULATIONS = ("known", "unknown", ANYBODY)
LONGEST_DAYS = 366
_MOST = 10**6


@dataclass(frozen=True, kw_only=True)
class StandingApproval:
    """What two people sign.

    module: its name, as in visit.en; digest: SHA-256 of its bytes. population: of ``POPULATIONS``. until: its last day.
    per_day, in_all: most messages that it approves. sample: percent of them that a person reads first.
    """

    trigger: str
    module: str
    digest: str
    population: str
    until: date
    per_day: int
    in_all: int
    sample: int

    def check(self, today: date) -> None:
        """ConfigurationError where it may not be signed today."""
        days = (self.until - today).days
        require(
            0 <= days <= LONGEST_DAYS, "until", self.until, f"must be from today to {LONGEST_DAYS} days on"
        )
        require(1 <= self.per_day <= _MOST, "per-day", self.per_day, f"must be from 1 to {_MOST}")
        require(
            self.per_day <= self.in_all <= _MOST, "in-all", self.in_all, f"must be from per-day to {_MOST}"
        )
        require(1 <= self.sample <= 100, "sample", self.sample, "must be from 1 to 100 percent")
        require(
            self.population in POPULATIONS,
            "population",
            self.population,
            f"must be one of {', '.join(POPULATIONS)}",
        )

    def covers(self, proposal: OutreachProposal, today: date) -> bool:
        """Whether it speaks of this proposal, today."""
        alike = (self.trigger, self.module, self.digest) == (
            proposal.trigger,
            proposal.module,
            proposal.module_digest,
        )
        return alike and self.population in (ANYBODY, proposal.population) and today <= self.until


def within(
    standing: StandingApproval, proposals: Sequence[OutreachProposal], today: date, done_today: int, done: int
) -> tuple[OutreachProposal, ...]:
    """Give which of these it approves now: covered, not in the sample, and within what is left of its caps.

    done_today, done: how many it approved today, and in all.
    """
    left = max(0, min(standing.per_day - done_today, standing.in_all - done))
    covered = [
        one for one in proposals if standing.covers(one, today) and not is_sampled(one, standing.sample)
    ]
    return tuple(covered[:left])


def is_sampled(proposal: OutreachProposal, percent: int) -> bool:
    """Whether a person reads this one first: a hash of what it is, uniform in a hundred."""
    digest = hashlib.sha256(
        f"sample {proposal.token} {proposal.trigger} {proposal.occasion}".encode()
    ).digest()
    return int.from_bytes(digest[:8]) % 100 < percent


def standing_to_plain(standing: StandingApproval) -> dict[str, Any]:
    """Spell it as plain data."""
    return asdict(standing) | {"until": standing.until.isoformat()}


def standing_from_plain(plain: Mapping[str, Any]) -> StandingApproval | None:
    """Read it; None where it is none. KeyError, TypeError or ValueError where it is not even of the form."""
    if plain.keys() != StandingApproval.__dataclass_fields__.keys():
        return None
    found = StandingApproval(**{**plain, "until": date.fromisoformat(plain["until"])})
    texts = is_line(found.trigger) and is_line(found.module) and is_digest(found.digest)
    numbers = all(type(one) is int for one in (found.per_day, found.in_all, found.sample))
    return found if texts and numbers and found.population in POPULATIONS else None
