"""What people did about proposals: HOME/approvals/outreach.log, a signed log (``client.outreach.signed_log``).

An act is signed before it counts, over the very content of each proposal (``leaf``): a proposal whose module, address,
time or patient is another one afterwards is not what was approved. The log keeps no identifier and no token, and
outlives the journal's purge, so that a journal that was put back is found before anything leaves twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.client.outreach.content.deciding import LONGEST_REASON
from wardround.client.outreach.decide.standing import StandingApproval, standing_from_plain, standing_to_plain
from wardround.client.outreach.journal.records import OutreachProposal, as_text
from wardround.client.outreach.signed_log import LogForm, SignedLog
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.text import is_digest, is_line
from wardround.protocol.wire.signing import Purpose

APPROVE, HOLD, REFUSE, EXPORT = "approve", "hold", "refuse", "export"
SENT, UNSENT = "sent", "unsent"
"""What became of what was to leave: it left, and never leaves again; or it did not, and may."""
STANDING, APPLY, END, STOP = "standing", "apply", "end", "stop"
KINDS = (APPROVE, HOLD, REFUSE, EXPORT, SENT, UNSENT, STANDING, APPLY, END, STOP)
OUTREACH_LOG = "outreach.log"
MOST_AT_ONCE = 10_000  # proposals of one act
_LEAF_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class OutreachAct:
    """One act of one person.

    kind: of ``KINDS``. leaves: by the proposal's id, what it said (``leaf``). modules: digests of the modules in them.
    needed: how many people an approval needs. read_seconds: how long the texts were before the person, -1 where they
    were not. standing: what is signed (``standing``), else None; number: which one is applied or ended, else 0.
    """

    kind: str
    leaves: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    needed: int = 1
    read_seconds: int = -1
    standing: StandingApproval | None = None
    number: int = 0
    person: str
    reason: str
    time: datetime


class OutreachLog(SignedLog[OutreachAct]):
    """The log of a folder, usually HOME/approvals."""

    def __init__(self, folder: Path, public: str) -> None:
        """Name the folder; it is made with the first act."""
        super().__init__(folder, public, _FORM)


def leaf(proposal: OutreachProposal) -> str:
    """Hash what a person approves of a proposal: 32 hexadecimal digits.

    Whom it reaches, by which channel, with which bytes of which module, when, and why. Tokens are keyed, so that
    nobody finds a patient by trying.
    """
    said = [
        proposal.id,
        proposal.token,
        proposal.recipient,
        proposal.trigger,
        proposal.occasion,
        proposal.topic,
        proposal.module,
        proposal.module_digest,
        proposal.channel,
        as_text(proposal.send_after),
        as_text(proposal.send_before),
        proposal.population,
    ]
    return hashlib.sha256(canonical_json(said)).hexdigest()[:_LEAF_DIGITS]


def leaves_of(proposals: Sequence[OutreachProposal]) -> dict[str, str]:
    """Give the leaf of each proposal, by id."""
    return {str(one.id): leaf(one) for one in proposals}


def modules_of(proposals: Sequence[OutreachProposal]) -> tuple[str, ...]:
    """Give the digests of their modules, each once."""
    return tuple(sorted({one.module_digest for one in proposals}))


def _to_plain(act: OutreachAct) -> dict[str, Any]:
    plain = asdict(act)
    plain["leaves"], plain["modules"] = dict(act.leaves), list(act.modules)
    plain["standing"] = None if act.standing is None else standing_to_plain(act.standing)
    plain["time"] = act.time.astimezone(UTC).isoformat(timespec="seconds")
    return plain


def _from_plain(plain: Mapping[str, Any]) -> OutreachAct | None:
    if plain.keys() != OutreachAct.__dataclass_fields__.keys():
        return None
    try:
        standing = None if plain["standing"] is None else standing_from_plain(plain["standing"])
        time = datetime.fromisoformat(plain["time"])
        texts = is_line(plain["person"]) and is_line(plain["reason"], LONGEST_REASON)
        leaves = all(key.isdecimal() and _is_leaf(value) for key, value in plain["leaves"].items())
        modules = isinstance(plain["modules"], list) and all(map(is_digest, plain["modules"]))
        numbers = all(type(plain[name]) is int for name in ("needed", "read_seconds", "number"))
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    whole = plain["kind"] in KINDS and (plain["kind"] == STANDING) == (standing is not None)
    if not (texts and leaves and modules and numbers and whole and time.tzinfo is not None):
        return None
    return OutreachAct(**{**plain, "standing": standing, "modules": tuple(plain["modules"]), "time": time})


def _is_leaf(value: object) -> bool:
    return isinstance(value, str) and len(value) == _LEAF_DIGITS and is_digest(value * 2)


_FORM = LogForm(
    name="outreach",
    purpose=Purpose.OUTREACH,
    listing="outreach queue",
    to_plain=_to_plain,
    from_plain=_from_plain,
    largest=2**28,
    longest=2**20,
)
