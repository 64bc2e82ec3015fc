"""A clinician puts another approved text in a message's place, by the rules of ``outreach change``.

Nothing is approved by it: the new message waits, as every other.
"""

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wardround.client.commands.outreach_decide import put_in_place, replacements
from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.console.seals import PageSeals
from wardround.client.console.texts import text_of_module
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.decisions import WAITING, chosen
from wardround.client.outreach.journal.journal import JOURNAL_FILE
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED
from wardround.protocol.errors import ConfigurationError


class ChangeDesk:
    """Messages of one home whose text a person replaces."""

    def __init__(self, home: Path, seals: PageSeals) -> None:
        """seals: of the desk."""
        self._home, self._seals = home, seals

    def choices(self, person: str, number: str) -> dict[str, Any]:
        """Show one message, and what may stand in its place; ConfigurationError where it does not wait any more."""
        self._require_journal(number)
        with open_outreach(Namespace(home=self._home)) as outreach:
            proposal = _proposal(outreach, number)
            others = replacements(outreach, proposal)
            now = [one for one in outreach.content().modules if one.name == proposal.module]
            return {
                "id": proposal.id,
                "patient": outreach.patients().get(proposal.token, ""),
                "trigger": proposal.trigger,
                "module": proposal.module,
                "now": [text_of_module(one) for one in now],
                "others": [text_of_module(one) for one in others],
                "seal": self._seals.seal(person, _shown(proposal, others)),
            }

    def change(self, person: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Put another text in the place of one; ConfigurationError where that may not be, or something changed."""
        number = given.get("id", "")
        self._require_journal(number)
        with open_outreach(Namespace(home=self._home)) as outreach:
            reason = " ".join(given.get("reason", "").split())
            decider = outreach.decider(person, reason)
            proposal = _proposal(outreach, number)
            decider.check([proposal], single=True)
            others = replacements(outreach, proposal)
            self._seals.seconds(person, _shown(proposal, others), given.get("seal", ""))
            names = [one.name for one in others]
            if given.get("module", "") not in names:
                raise ConfigurationError("module: choose one of the texts that the page shows")
            new = put_in_place(outreach, decider, proposal, given["module"])
            return {"void": proposal.id, "proposed": new, "module": given["module"]}

    def _require_journal(self, number: str) -> None:
        if not (self._home / JOURNAL_FILE).exists():  # which looking would begin
            raise _gone(number)


def _proposal(outreach: OpenOutreach, number: str) -> OutreachProposal:
    ids = [int(number)] if number.isascii() and number.isdigit() and len(number) < 16 else []
    found = chosen(outreach.journal, (*WAITING, APPROVED), ids) if ids else []
    if not found:
        raise _gone(number)
    return found[0]


def _gone(number: str) -> ConfigurationError:
    return ConfigurationError(f"message={number[:16]}: does not wait any more; look at the messages again")


def _shown(proposal: OutreachProposal, others: Iterable[Module]) -> Iterator[str]:
    yield f"change {proposal.id} {proposal.module_digest}"
    yield from (f"to {one.name} {one.digest}" for one in others)
