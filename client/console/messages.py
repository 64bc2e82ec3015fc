"""Messages that wait, as clinicians and as communications see and decide them: by the functions of ``outreach``.

A decision holds for what the person saw: the page carries a seal over the messages that it showed, and when. What
changed since is looked at again.
"""

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardround.client.commands.outreach_decide import sendable_modules
from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.console.seals import PageSeals
from wardround.client.console.texts import text_of_module
from wardround.client.outreach.decide.acts import HOLD, REFUSE
from wardround.client.outreach.decide.decisions import WAITING, Decider, chosen, set_aside
from wardround.client.outreach.decide.decisions import approve as sign_approval
from wardround.client.outreach.decide.queue import for_clinicians, for_communications
from wardround.client.outreach.decide.rules import FEWEST_SHOWN, reading_seconds, role_of, too_fast
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.journal.journal import JOURNAL_FILE
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED
from wardround.client.policy.people import CLINICIAN, COMMUNICATIONS
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError

MOST_LINES = 25
APPROVE_ACT = "approve"
_STATES = (*WAITING, APPROVED)
_ASIDE = {"hold": HOLD, "refuse": REFUSE}


class MessageDesk:
    """What waits in one home."""

    def __init__(self, home: Path, seals: PageSeals) -> None:
        """seals: of the desk."""
        self._home, self._seals = home, seals

    def waiting(self, person: str) -> dict[str, Any]:
        """Give what waits as this person's role may see it, with the texts."""
        if not (self._home / JOURNAL_FILE).exists():  # which looking would begin
            role = role_of(person, people_of(self._home))
            return {"role": role, "all": 0, "lines": [], "groups": []}
        with open_outreach(Namespace(home=self._home)) as outreach:
            proposals = chosen(outreach.journal, _STATES)
            if role_of(person, outreach.people) == CLINICIAN:
                return self._for_clinician(outreach, proposals, person)
            return self._for_communications(outreach, proposals, person)

    def decide(self, person: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Approve, hold or refuse; ConfigurationError where the person may not, or something changed since."""
        act = given.get("act", "")
        if act not in (APPROVE_ACT, *_ASIDE):
            raise ConfigurationError("act: must be approve, hold or refuse")
        with open_outreach(Namespace(home=self._home)) as outreach:
            reason = " ".join(given.get("reason", "").split())
            decider = outreach.decider(person, reason)
            by_id = role_of(person, outreach.people) == CLINICIAN
            shown = self._shown(outreach, given, by_id)
            seconds = self._seals.seconds(person, _sealed(shown), given.get("seal", ""))
            ids = {one.id for one in shown if given.get(f"id_{one.id}") == "yes"}
            proposals = [one for one in shown if one.id in ids] if by_id else shown
            if not proposals:
                raise ConfigurationError("messages: none was chosen; tick those that you decide about")
            decider.check(proposals, single=by_id)
            if act == APPROVE_ACT:
                return self._approve(outreach, decider, proposals, seconds, by_id)
            moved = set_aside(decider, proposals, _ASIDE[act])
            return {"act": act, "done": _count(len(moved), by_id), "waiting": None, "why": "", "warning": ""}

    def _approve(
        self,
        outreach: OpenOutreach,
        decider: Decider,
        proposals: Sequence[OutreachProposal],
        seconds: float,
        by_id: bool,
    ) -> dict[str, Any]:
        waiting = outreach.unapproved(proposals)
        modules = sendable_modules(outreach, waiting)
        done = sign_approval(decider, waiting, seconds)
        return {
            "act": APPROVE_ACT,
            "done": _count(len(done.approved), by_id),
            "waiting": _count(len(done.waiting), by_id),
            "why": done.needed.why,
            "warning": too_fast(seconds, reading_seconds(modules, decider.policy)),
        }

    def _shown(self, outreach: OpenOutreach, given: Mapping[str, str], by_id: bool) -> list[OutreachProposal]:
        """Give what the page showed, as it stands now."""
        if not by_id:
            return chosen(outreach.journal, _STATES, (), given.get("trigger", ""), given.get("module", ""))
        ids = [int(text) for text in given.get("shown", "").split(",") if text.isascii() and text.isdigit()]
        return chosen(outreach.journal, _STATES, ids) if ids else []

    def _for_clinician(
        self, outreach: OpenOutreach, proposals: Sequence[OutreachProposal], person: str
    ) -> dict[str, Any]:
        first = proposals[:MOST_LINES]
        lines = for_clinicians(outreach.seen(first), outreach.patients(), signed_about(outreach.log.read()))
        return {
            "role": CLINICIAN,
            "all": len(proposals),
            "lines": [asdict(line) for line in lines],
            "shown": ",".join(str(one.id) for one in first),
            "seal": self._seals.seal(person, _sealed(first)),
            "texts": _texts(outreach, first),
        }

    def _for_communications(
        self, outreach: OpenOutreach, proposals: Sequence[OutreachProposal], person: str
    ) -> dict[str, Any]:
        groups = []
        for trigger, module in sorted({(one.trigger, one.module) for one in proposals}):
            inside = [one for one in proposals if (one.trigger, one.module) == (trigger, module)]
            seen = for_communications(outreach.seen(inside))
            rows = [asdict(row) | {"shown": row.shown} for row in seen]
            groups.append(
                {"trigger": trigger, "module": module, "rows": rows, "seal": self._seals.seal(person, _sealed(inside)),
                 "texts": _texts(outreach, inside)}
            )  # fmt: skip
        return {"role": COMMUNICATIONS, "groups": groups}


def _sealed(proposals: Iterable[OutreachProposal]) -> list[str]:
    return [f"{one.id} {one.module_digest}" for one in proposals]


def _count(count: int, by_id: bool) -> int | None:
    """Give a count of what somebody decided; None where it is of few patients, and they are not the person's to see."""
    return count if by_id or count == 0 or count >= FEWEST_SHOWN else None


def _texts(outreach: OpenOutreach, proposals: Iterable[OutreachProposal]) -> list[dict[str, Any]]:
    modules = {module.name: module for module in outreach.content().modules}
    names = sorted({one.module for one in proposals} & modules.keys())
    return [text_of_module(modules[name]) for name in names]
