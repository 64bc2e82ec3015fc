"""What a patient may ask: what was sent to them, why, and on which consent (GDPR 15); and what was not, and why not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.decide.why import why_this_one
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.records import OutreachProposal, as_text

_SAID = ("at", "consent", "channel", "topic", "until", "why")


@dataclass(frozen=True)
class AboutPatient:
    """Everything that outreach keeps about one patient. messages, held: plain data for people and machines."""

    messages: Sequence[dict[str, Any]] = field(repr=False)
    held: Sequence[dict[str, str]] = field(repr=False)
    withdrawals: Sequence[dict[str, str]] = field(repr=False)


def about_patient(journal: Journal, token: str, withdrawals: Sequence[Withdrawal]) -> AboutPatient:
    """Gather it. token: of the patient; withdrawals: those of the hospital's own list that may mean them."""
    exports = {row["proposal"]: row for row in journal.exports().iter_rows(named=True)}
    messages = [_message(journal, one, exports.get(one.id)) for one in journal.proposals(token=token)]
    held = [
        {name: row[name] for name in ("trigger", "rule", "why", "made_at")}
        for row in journal.held().filter(token=token).iter_rows(named=True)
    ]
    said = [
        {name: as_text(one.at) if name == "at" else getattr(one, name) for name in _SAID}
        for one in withdrawals
    ]
    return AboutPatient(messages, held, said)


def _message(journal: Journal, proposal: OutreachProposal, export: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "state": proposal.state,
        "message": proposal.module,
        "standard_message": proposal.standard,
        "topic": proposal.topic,
        "channel": proposal.channel,
        "because_of": proposal.trigger,
        "reasons": list(why_this_one(proposal)),
        "options": [dict(one) for one in proposal.options],
        "stands_on": dict(proposal.stands_on),
        "chosen_by_model": proposal.model,
        "sent_to": export["recipient"] if export and proposal.state == "exported" else "",
        "sent_at": export["at"] if export and proposal.state == "exported" else "",
        "decisions": [
            {"at": as_text(one.at), "person": one.person, "act": one.act, "reason": one.reason}
            for one in journal.decisions(proposal.id)
        ],
    }
