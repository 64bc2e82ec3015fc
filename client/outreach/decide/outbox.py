"""One export to one recipient: what was approved leaves once, whatever stops the program, and wherever.

    staged     a hidden file in the recipient's folder, whole and durable (of a messenger: each message's digest)
    reserved   the journal knows of it
    exporting  the journal says so; nobody else takes it now
    signed     the log says that it leaves
    published  the file gets its name, in one step of the file system; a messenger answers
    signed     the log says that it left, or that it did not
    exported   the journal says so

Guarantee (test_outreach_export.py): what the log says has left never leaves again, whatever the journal and the folder
say; and nothing leaves before the log says that it does. Both take the hospital's key.

After a crash the next export first ends what was begun. A staged file that is still there never left: it is published
byte for byte, or written anew where one of its messages would not leave as it stands there. One that has its name left.
Where there is neither, a person says what became of it.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.acts import (
    SENT,
    UNSENT,
    OutreachAct,
    OutreachLog,
    leaf,
    leaves_of,
    modules_of,
)
from wardround.client.outreach.decide.message import OutgoingMessage
from wardround.client.outreach.decide.sendable import WAITS, Sendable, parted
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.records import OutreachProposal, as_time
from wardround.client.outreach.journal.states import APPROVED, EXPORTING, VOID
from wardround.client.policy.outreach import Recipient
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.turns import in_turn
from wardround.protocol.wire.signing import SigningKey

LOCK = "outreach.lock"
FRESH = timedelta(minutes=5)
"""How long what was read of consents, vetoes and addresses counts: a slow sender must not make it old."""
ROW_STAGED, ROW_SENT = "staged", "sent"
"""States of an export in the journal, for people and for what was begun; the signed log decides."""


@dataclass
class ExportReport:
    """What became of an export: counts, and the files' names. kept, void: by rule."""

    sent: int = 0
    files: list[str] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)
    void: Counter[str] = field(default_factory=Counter)
    doubt: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Outbox:
    """What an export works on.

    home: for the lock. words: those of ``sendable``, kept up as this export signs. person: who exports. read_at: on
    this machine's steady clock.
    """

    home: Path
    journal: Journal
    log: OutreachLog
    key: SigningKey
    recipient: Recipient
    sendable: Sendable
    words: dict[str, str] = field(repr=False)
    person: str
    now: datetime
    read_at: float = field(default_factory=time.monotonic)

    @property
    def clock(self) -> datetime:
        """What time it is by now; ``now`` is when the tables were read."""
        return self.now + timedelta(seconds=time.monotonic() - self.read_at)

    @property
    def fresh(self) -> bool:
        """Whether the tables were read a short time ago: whoever withdrew since is not known here."""
        return self.clock - self.now < FRESH

    def check_fresh(self) -> None:
        """ConfigurationError where the tables were read too long ago."""
        if not self.fresh:
            raise ConfigurationError(
                f"recipient {self.recipient.name}: another export was at work for long; nothing left: run it again"
            )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other exports, and a stop, out."""
        with turn_of(self.home):
            yield

    def move(self, ids: Sequence[int], state: str, reason: str) -> tuple[int, ...]:
        """Move proposals in the journal."""
        return self.journal.move(ids, state, person=self.person, reason=reason, at=self.now)

    def begun(self) -> dict[int, tuple[OutreachProposal, str]]:
        """Give what is exporting to this recipient: proposal and digest, by id."""
        rows = self.journal.exports().filter(recipient=self.recipient.name)
        digests = dict(zip(rows["proposal"].to_list(), rows["digest"].to_list(), strict=True))
        exporting = self.journal.proposals((EXPORTING,))
        return {one.id: (one, digests[one.id]) for one in exporting if one.id in digests}

    def reserved(self) -> Iterator[tuple[OutreachProposal, str]]:
        """Give what the journal holds as reserved for this recipient and not as sent: proposal and digest."""
        rows = self.journal.exports().filter(recipient=self.recipient.name, state=ROW_STAGED)
        digests = dict(zip(rows["proposal"].to_list(), rows["digest"].to_list(), strict=True))
        for one in self.journal.proposals(ids=tuple(digests)) if digests else ():
            yield one, digests[one.id]

    def begun_at(self, proposal: int) -> datetime:
        """Say when the export of a proposal was begun."""
        return as_time(self.journal.exports().filter(proposal=proposal)["at"].item())

    def approved(self) -> list[OutreachProposal]:
        """Give what is approved for a channel of this recipient."""
        return [one for one in self.journal.proposals((APPROVED,)) if one.channel in self.recipient.channels]

    def said_lately(self, proposals: Iterable[OutreachProposal]) -> bool:
        """Whether one of these patients said something since the tables were read: nothing goes to them then."""
        lately = self.sendable.lately()
        return any(one.token in lately for one in proposals)

    def reserve(self, digests: Mapping[int, str]) -> None:
        """Write down, before anything leaves, which bytes leave with each proposal."""
        self.journal.write_exports(digests, self.recipient.name, ROW_STAGED, self.now)

    def write_sent(self, digests: Mapping[int, str]) -> None:
        """Write down for people when and where they left."""
        self.journal.write_exports(digests, self.recipient.name, ROW_SENT, self.now)

    def word(self, proposal: OutreachProposal) -> str:
        """Give the signed log's last word on whether it leaves, left or did not; empty where there is none."""
        return self.words.get(leaf(proposal), "")

    def sign_outcome(self, proposals: Sequence[OutreachProposal], sent: bool, reason: str = "") -> None:
        """Sign that these left, for good, or that they did not, and may."""
        self.sign(SENT if sent else UNSENT, proposals, reason)

    def sign(self, kind: str, proposals: Sequence[OutreachProposal], reason: str = "") -> None:
        """Sign an act about what leaves, durably."""
        leaves = leaves_of(proposals)
        act = OutreachAct(
            kind=kind,
            leaves=leaves,
            modules=modules_of(proposals),
            person=self.person,
            reason=reason or f"to {self.recipient.name}",
            time=self.now,
        )
        self.log.add(act, self.key)
        self.words.update(dict.fromkeys(leaves.values(), kind))

    def put_aside(self, held: Mapping[int, Held], report: ExportReport) -> None:
        """Void what may not be sent, and count what waits."""
        for one, verdict in held.items():
            if verdict.rule in WAITS:
                report.kept[verdict.rule] += 1
            else:
                self.move((one,), VOID, f"{verdict.rule}: {verdict.why}"[:500])
                report.void[verdict.rule] += 1

    def choose(self, report: ExportReport, most: int) -> tuple[list[OutreachProposal], list[OutgoingMessage]]:
        """Give what may leave now, at most so many, with their messages; put the others aside."""
        waiting = self.approved()
        messages, held = parted(waiting, self.sendable)
        self.put_aside(held, report)
        chosen = messages[:most]
        ids = {one.proposal for one in chosen}
        return [one for one in waiting if one.id in ids], chosen


def digest_of(content: bytes) -> str:
    """Hash what leaves: SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def turn_of(home: Path) -> Iterator[None]:
    """Keep other exports, and a stop, out. The lock is a file of its own: SQLite has its locks on the journal.

    ConfigurationError where it cannot be made.
    """
    with in_turn(home / LOCK):
        yield
