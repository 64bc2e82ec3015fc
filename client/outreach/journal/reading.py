"""Rows of the journal as values."""

from typing import Any

from wardround.client.outreach.journal.records import OutreachDecision, OutreachProposal, as_time
from wardround.client.outreach.journal.schema import PROPOSAL_COLUMNS
from wardround.protocol.text.plain import read_json

_TIMES = ("send_after", "send_before", "made_at")
_LARGEST_CELL = 2**24  # bytes
_JSON = ("stands_on", "reasons", "options")


def proposal_from_row(row: tuple[Any, ...]) -> OutreachProposal:
    """Read id, ``PROPOSAL_COLUMNS`` and state."""
    plain = dict(zip(("id", *PROPOSAL_COLUMNS, "state"), row, strict=True))
    plain |= {name: as_time(plain[name]) for name in _TIMES}
    plain |= {name: read_json(plain[name].encode(), _LARGEST_CELL) for name in _JSON}
    return OutreachProposal(**plain)


def decision_from_row(row: tuple[Any, ...]) -> OutreachDecision:
    """Read proposal, at, person, act and reason."""
    proposal, at, person, act, reason = row
    return OutreachDecision(proposal=proposal, at=as_time(at), person=person, act=act, reason=reason)
