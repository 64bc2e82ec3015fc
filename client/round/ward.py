"""One hospital as a round sees it, and what a round is made of: patients in, noised vectors out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from wardround.client.cohort import Cohort
from wardround.client.ledger.budget import Charge
from wardround.client.ledger.known_by import KnownBy
from wardround.client.ledger.port import Ledger, Receipt
from wardround.client.policy.policy import Policy
from wardround.client.secure_sum.for_plan import PlannedSum
from wardround.protocol.arrays import Floats, Numbers
from wardround.protocol.errors import Refusal
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.request import RequestKind
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.sum_wire import SumAnswer


def _always_ready(terms: Terms) -> None:
    """Ask nothing more of terms that the policy permits."""


def _known_in_one_way(terms: Terms) -> None:
    """Say nothing of how patients are known: in a simulation that never changes."""


def _note_nothing(plan: RoundPlan, why: str) -> None:
    """Keep no record of how a round was computed, or why it was not."""


class RoundSums(Protocol):
    """What a round needs of a hospital's part in secure sums (``client.secure_sum.studies``)."""

    def planned(self, plan: RoundPlan, terms: Terms, operator: str, now: datetime) -> PlannedSum:
        """Say what sum a plan asks for, ready to mask; Refusal where it cannot be."""


@dataclass(frozen=True)
class Ward:
    """One hospital as a round sees it: its limits, its record, its clock, and its own randomness.

    ready: asked about terms that the policy permits, before anything is charged; raises Refusal. note: told of each
    round that was computed, before its release is stored: of what fault noise alone was sent, empty for none. late:
    told of each that was not computed, since the tables could not be reached.
    known_by: who is one patient under these terms, for the ledger. sums: its part in secure sums; None in a simulation.
    """

    hospital: str
    policy: Policy
    ledger: Ledger
    clock: Callable[[], datetime]
    stream: Callable[[RoundPlan], Keystream]
    ready: Callable[[Terms], None] = _always_ready
    note: Callable[[RoundPlan, str], None] = _note_nothing
    late: Callable[[RoundPlan, str], None] = _note_nothing
    known_by: Callable[[Terms], KnownBy | None] = _known_in_one_way
    sums: RoundSums | None = None


Admit = Callable[[Sequence[Ward], Terms], Cohort]
Compute = Callable[[Terms, RequestKind, Floats, Cohort, Sequence[Keystream], Sequence[str], int], Numbers]
"""Terms, request, weights [1 or wards, parameters], patients, streams, names, round → noised vectors [wards, …]."""
Answered = Release | SumAnswer | Refusal
"""What answers a plan: a release that is private by itself, one that is masked for a secure sum, or a clause."""


class Paid(NamedTuple):
    """A charge that the ledger took, and its receipt. planned: the secure sum that the release is part of, if any."""

    charge: Charge
    receipt: Receipt
    planned: PlannedSum | None = None


def unmasked(answers: Sequence[Answered]) -> list[Release | Refusal]:
    """Give a simulation's answers, none of which is masked; ValueError for one that is."""
    found = [answer for answer in answers if not isinstance(answer, SumAnswer)]
    if len(found) < len(answers):
        raise ValueError("a masked answer where none can be: masks are for hospitals that have keys")
    return found
