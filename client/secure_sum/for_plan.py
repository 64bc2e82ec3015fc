"""A member's masked integers for the sum that a round's plan asks for; and the same in a rehearsal."""

from dataclasses import dataclass
from datetime import datetime

from wardround.client.secure_sum.member import SumMember, mask
from wardround.protocol.arrays import Integers
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.exchange import MaskedIntegers
from wardround.protocol.secure_sum.keys import new_study_secret, public_key
from wardround.protocol.secure_sum.label import SumLabel
from wardround.protocol.secure_sum.roster import Member, Roster
from wardround.protocol.terms.sum_noise import slots_of, sum_label
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.sum_roster import roster_order


@dataclass(frozen=True, eq=False)
class PlannedSum:
    """The sum that a plan asks for, and this hospital's seat in it: all that masking needs, read before the charge.

    What cannot be masked is refused before anything is charged, and no file is read once tables were. kept_until: when
    the study's keys go here, and what was masked with them.
    """

    member: SumMember
    label: SumLabel
    kept_until: datetime

    def mask(self, integers: Integers, stream: Keystream) -> MaskedIntegers:
        """Mask this hospital's noised integers. The stream must be fresh."""
        return mask(self.member, integers, self.label.digest(), self.label.slot, stream)


def plan_sum(member: SumMember, plan: RoundPlan, terms: Terms, kept_until: datetime) -> PlannedSum:
    """Say what sum a plan asks for of a member."""
    return PlannedSum(member, sum_label(plan, member.roster.digest, terms), kept_until)


class RehearsedSums:
    """A study's secure sums with keys drawn now for all members: one round as it would be, which nobody can open."""

    def __init__(self, hospital: str, terms: Terms) -> None:
        """Draw keys for every member; ValueError where the terms do not name the hospital."""
        settings, slots = terms.secure_sum, slots_of(terms)
        names = roster_order(settings.members if settings else ())
        secrets = {name: new_study_secret() for name in names}
        members = tuple(
            Member(
                name,
                settings.members[name] if settings else "",
                public_key(secret.sealing_key()),
                tuple(public_key(secret.slot_key(slot)) for slot in slots),
            )
            for name, secret in secrets.items()
        )
        roster = Roster(terms.study, terms.thresholds, slots, members)
        index = names.index(hospital) + 1
        self._member = SumMember(roster, index, terms.fingerprint, secrets[hospital])

    @property
    def roster(self) -> str:
        """The digest that the rehearsed plan names."""
        return self._member.roster.digest.hex()

    def planned(self, plan: RoundPlan, terms: Terms, operator: str, now: datetime) -> PlannedSum:
        """See ``SumStudies.planned``; everything is set up."""
        return plan_sum(self._member, plan, terms, now)
