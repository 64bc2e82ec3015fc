"""Check a ledger away from its hospital: an export, the hospital's public key, a head held elsewhere."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from wardround.client.ledger.chain import Chain
from wardround.client.ledger.entries import Entry, read_entry, signed_by
from wardround.client.ledger.spending import Spending
from wardround.protocol.errors import LedgerError
from wardround.protocol.terms.terms import ACCOUNTS

# Cut by a pattern: an entry's hash is over exactly these bytes, which parsing would not keep.
_LINE = re.compile(rb'\{"entry":(\{.*\}),"signature":"([0-9a-f]{128})"\}')
_UNDERSTATED = 1e-3


def export(entries: Iterable[Entry]) -> bytes:
    """Spell entries as JSON lines: no stored bytes, nothing but what the hospital signed."""
    return b"".join(b'{"entry":%b,"signature":"%b"}\n' % (e.body, e.signature.encode()) for e in entries)


@dataclass(frozen=True)
class Verified:
    """What a good export says.

    epsilon is the composed ε of each account for life, at the δ of its last charge; unmasked the same if every mask of
    every secure sum failed. after_held counts the entries that follow the held head, None where no head was held.
    unknown says what remains open.
    """

    entries: int
    head: str
    first: datetime
    last: datetime
    epsilon: dict[str, float]
    unmasked: dict[str, float]
    after_held: int | None
    unknown: str


def verify(content: bytes, public: str, held_head: str | None = None) -> Verified:
    """Find whatever was altered, removed, moved, added or cut off; LedgerError names the first fault.

    held_head is the hash of an entry that somebody else kept, such as the server from a release. Entries
    that the hospital wrote after it may still have been cut off; without a held head, so may any at the
    end.
    """
    entries = _entries(content)
    chain = Chain()
    for entry in entries:
        if not signed_by(entry, public):
            raise LedgerError(f"entry {entry.sequence} is not signed by {public}")
        chain.follow(entry)
    held = None if held_head is None else chain.sequence_of(held_head)
    if held_head is not None and held is None:
        raise LedgerError(
            f"head {held_head}: is not in this ledger; entries were cut off, or an old copy was restored"
        )
    after = None if held is None else chain.sequence - held
    return Verified(
        entries=chain.sequence,
        head=chain.head,
        first=entries[0].time,
        last=chain.time,
        epsilon={account: _recomposed(chain.spending, account) for account in ACCOUNTS},
        unmasked={account: _recomposed(chain.unmasked, account, " without masks") for account in ACCOUNTS},
        after_held=after,
        unknown=_unknown(after),
    )


def _entries(content: bytes) -> list[Entry]:
    lines = content.split(b"\n")
    if len(lines) < 2 or lines[-1]:
        raise LedgerError("the export does not end with a complete entry: it was cut off")
    entries = []
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise LedgerError(f"line {number} is not an entry and its signature: it was altered")
        entries.append(read_entry(match[1], match[2].decode()))
    return entries


def _recomposed(spending: Spending, account: str, which: str = "") -> float:
    """Compose an account again, and compare with what its last charge stated."""
    stated = spending.stated(account)
    if stated is None:
        return 0.0
    epsilon = spending.budget.spent(account, stated.delta)
    if stated.epsilon < epsilon * (1 - _UNDERSTATED):
        raise LedgerError(
            f"{account} account: epsilon{which}={stated.epsilon:.6g} is stated, its charges compose to {epsilon:.6g}"
        )
    return epsilon


def _unknown(after: int | None) -> str:
    if after is None:
        return (
            "no head was held: every entry here is whole and in its place, but entries may have been cut off "
            "at the end, or this may be an old copy; give the head of the last release that the server keeps"
        )
    return f"whole up to the held head; {after} entries follow it, and later ones may have been cut off"
