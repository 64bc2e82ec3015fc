"""What the acts of deciding stand on: the open home, the journal, the signed log, and the person."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from wardround.client.commands.open_home import OpenHome, open_home, person
from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.content.approvals_file import ContentApprovals
from wardround.client.outreach.content.folder import ContentFolder, read_folder
from wardround.client.outreach.decide.acts import OutreachLog
from wardround.client.outreach.decide.decisions import Decider
from wardround.client.outreach.decide.patients import patients_by_token
from wardround.client.outreach.journal.journal import Journal, open_journal
from wardround.client.outreach.recalls import RecalledModels, recalled_models
from wardround.client.policy.people import People, Person
from wardround.client.policy.people_file import people_of


@dataclass(frozen=True, eq=False)
class OpenOutreach:
    """One hospital's outreach, while a command runs."""

    opened: OpenHome
    journal: Journal
    log: OutreachLog
    people: People

    def decider(self, options: Namespace) -> Decider:
        """Give the person who decides, and for which reason."""
        return self._decider(self.people.known(person(options.person)), options.reason or "")

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

    def content(self) -> ContentFolder:
        """Read the modules."""
        return read_folder(self.opened.home.content_folder)

    def standings(self, content: ContentFolder) -> Mapping[str, Standing]:
        """Say how each module stands today."""
        home = self.opened.home
        approvals = ContentApprovals(home.approvals_folder, home.key.public)
        return approvals.standings(content, home.date(self.opened.now))

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
        yield OpenOutreach(opened, journal, log, people_of(home.folder))
