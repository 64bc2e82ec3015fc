"""Whether an approved message may still leave, looked at anew at the moment of export. Pure, over what tables say now.

recalled    the operator recalled the model that chose it
content     its module is there, with the very bytes that were approved, and may be sent today
signed      people signed for exactly this
journal     its export was signed already, and the journal does not know of it: the journal was put back
hours       its time has not come, or it is past
permission  consents, vetoes, choices, address, caps, and the trigger (``Ground``)
lately      the patient said nothing since the tables were read
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from wardround.client.outreach.by_page.links import PageLinks
from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.choice import Authorisations, Held, held_for_authorisation
from wardround.client.outreach.content.folder import ContentFolder
from wardround.client.outreach.decide.acts import UNSENT, leaf
from wardround.client.outreach.decide.message import OutgoingMessage, written_out
from wardround.client.outreach.decide.signed import SignedAbout
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.permission.rules import Allowed
from wardround.client.outreach.recalls import NONE_RECALLED, RecalledModels
from wardround.client.policy.people import People

LATELY = "lately"
WAITS = ("hours", "caps", "signed", "journal", LATELY)
"""Rules by which a message stays where it is; by any other it is void, and what is still due is proposed anew."""


class Ground(Protocol):
    """What the hospital's tables say at this moment."""

    @property
    def authorisations(self) -> Authorisations:
        """What patients signed about marketing."""

    def patient_of(self, proposal: OutreachProposal) -> str | None:
        """Give the identifier behind a proposal's token; None where nobody has it any more."""

    def verdict(self, proposal: OutreachProposal, others: int) -> Allowed | Held:
        """Say whether it may be sent, to which address: consent, veto, choice, address, cap, and whether it is due.

        others: how many messages to the same patient leave with it, before it.
        """

    def values(self, proposal: OutreachProposal) -> Mapping[str, str]:
        """Give what fills the module's placeholders."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sendable:
    """What the verdict stands on. words: the signed log's last on whether each leaf left; export keeps them up.

    links: of the patients' page, None where there is none. lately: tokens of patients who said something since the
    tables were read; asked right before a message leaves, too.
    """

    content: ContentFolder
    standings: Mapping[str, Standing]
    signed: SignedAbout
    people: People
    ground: Ground
    words: Mapping[str, str]
    now: datetime
    today: date
    links: PageLinks | None = None
    recalled: RecalledModels = NONE_RECALLED
    lately: Callable[[], frozenset[str]] = frozenset

    def message(
        self, proposal: OutreachProposal, others: int = 0, begun: bool = False
    ) -> OutgoingMessage | Held:
        """Give the message as it would leave now, or the first rule that keeps it.

        others: see ``Ground.verdict``. begun: its export is signed already, and is about to be ended.
        """
        if self.recalled.chose(proposal):
            return Held("recalled", "the operator recalled the model that chose it")
        module = next((one for one in self.content.modules if one.name == proposal.module), None)
        if module is None or module.digest != proposal.module_digest:
            return Held("content", f"{proposal.module} is no longer the text that was approved")
        if not self.standings[module.name].may_be_sent:
            return Held("content", f"{proposal.module}: {self.standings[module.name].state}")
        if not self.signed.approved(proposal, self.people, self.today):
            return Held("signed", "the signed log holds no approval of exactly this by enough people")
        if not begun and self.words.get(leaf(proposal), UNSENT) != UNSENT:
            return Held("journal", "the signed log says that it was exported, and the journal was put back")
        if self.now < proposal.send_after:
            return Held("hours", "its time has not come")
        if self.now >= proposal.send_before:
            return Held("late", "its time is past")
        verdict, patient = self.ground.verdict(proposal, others), self.ground.patient_of(proposal)
        if isinstance(verdict, Held):
            return verdict
        if patient is None:
            return Held("identity", "no table names this patient any more")
        unauthorised = held_for_authorisation(module, patient, self.ground.authorisations)
        if unauthorised is not None:
            return unauthorised
        return written_out(
            proposal,
            module,
            self.content.guidelines,
            patient,
            verdict.address,
            self.ground.values(proposal),
            self.links.link(proposal) if self.links else "",
        )


def parted(
    proposals: Sequence[OutreachProposal], sendable: Sendable
) -> tuple[list[OutgoingMessage], dict[int, Held]]:
    """Give the messages that may leave now, and what keeps each of the others."""
    messages: list[OutgoingMessage] = []
    held: dict[int, Held] = {}
    leaving: Counter[str] = Counter()
    lately = sendable.lately()
    for proposal in proposals:
        found = sendable.message(proposal, leaving[proposal.token])
        if proposal.token in lately and not isinstance(found, Held):
            found = Held(LATELY, "the patient said something since the tables were read")
        if isinstance(found, Held):
            held[proposal.id] = found
        else:
            messages.append(found)
            leaving[proposal.token] += 1
    return messages, held
