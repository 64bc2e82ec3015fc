"""What the acts of deciding stand on: the open home, the journal, the signed log, and the person."""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.folder import ContentFolder, read_folder
from wardround.client.outreach.content.standing_today import standings_today
from wardround.client.outreach.decide.acts import OutreachLog
from wardround.client.outreach.decide.decisions import Decider
from wardround.client.outreach.decide.patients import patients_by_token
from wardround.client.outreach.decide.queue import as_it_stands
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.forgetting import forget_old
from wardround.client.outreach.journal.journal import Journal, open_journal
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED
from wardround.client.outreach.recalls import RecalledModels, recalled_models
from wardround.client.policy.people import People, Person
from wardround.client.policy.people_file import people_of


@dataclass(frozen=True, eq=False)
class OpenOutreach:
    """One hospital's outreach, while a command runs. wrong_clock: why the clock is not believed, if it is not."""

    opened: OpenHome
    journal: Journal
    log: OutreachLog
    people: People
    wrong_clock: str = ""

    def decider(self, who: str, reason: str | None) -> Decider:
        """Give the person who decides, and for which reason. who: as ``signing`` or a session of the pages says."""
        return self._decider(self.people.known(who), reason or "")

    def program(self, name: str, reason: str) -> Decider:
        """Give a program of ours in the place of a person: it may apply what people signed, and decides nothing."""
        return self._decider(Person(account=name, name=name), reason)

    def _decider(self, who: Person, reason: str) -> Decider:
        home = self.opened.home
        return Decider(
            journal=self.journal,
            log=self.log,
            key=home.key,
            policy=self.opened.policy.outreach,
            people=self.people,
            who=who,
            reason=reason,
            now=self.opened.now,
            timezone=home.timezone,
        )

    def unapproved(self, proposals: Sequence[OutreachProposal]) -> list[OutreachProposal]:
        """Give those that wait for an approval; also those whose approval was signed by somebody who counts no more."""
        about, today = signed_about(self.log.read()), self.opened.home.date(self.opened.now)
        return [
            one for one in proposals if one.state != APPROVED or not about.approved(one, self.people, today)
        ]

    def seen(self, proposals: Sequence[OutreachProposal]) -> list[OutreachProposal]:
        """Give them as people are to see them, whatever the journal says: recalled, or waiting again."""
        waiting, recalled = {one.id for one in self.unapproved(proposals)}, self.recalled
        return [as_it_stands(one, one.id in waiting, recalled.chose(one)) for one in proposals]

    def content(self) -> ContentFolder:
        """Read the modules."""
        return read_folder(self.opened.home.content_folder)

    def standings(self, content: ContentFolder) -> Mapping[str, Standing]:
        """Say how each module stands today."""
        return standings_today(self.opened.home, content, self.people, self.opened.now)

    @property
    def recalled(self) -> RecalledModels:
        """The models that operators recalled."""
        return recalled_models(self.opened.home.recalls)

    def patients(self) -> dict[str, str]:
        """Give identifiers by token."""
        return patients_by_token(self.opened.home.source, self.opened.home.patients_key)


@contextmanager
def open_outreach(options: Namespace) -> Iterator[OpenOutreach]:
    """Open the home, its journal and its log."""
    with open_home(options.home) as opened, open_journal(opened.home.folder) as journal:
        home = opened.home
        log = OutreachLog(home.approvals_folder, home.key.public)
        # Not OpenHome.now: that is never behind the ledger's last entry, and a clock that is must be seen.
        wrong = forget_old(home.folder, journal, home.clock(), opened.ledger).clock
        yield OpenOutreach(opened, journal, log, people_of(home.folder, home.timezone), wrong)
