"""Replies, bounces, complaints and calls become withdrawals at once; doubt falls on the safe side. Pure.

    a reply that says stop, in any language    no contact any more
    a complaint                                no contact any more
    a refusal by telephone                     what it names; where it names nothing, everything
    a bounce                                   not by this channel any more

An address counts for every patient who has it, an identifier for everybody whom it could mean.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wardround.client.connectors.withdrawals import ALL, CONSENTS, Withdrawal
from wardround.client.outreach.content.stopping import says_stop
from wardround.client.outreach.decide.inbound_file import (
    BOUNCE,
    COMPLAINT,
    REFUSAL,
    REPLY,
    InboundRow,
)
from wardround.client.outreach.tables import CHANNELS

_LAST_DIGITS, _FEWEST_DIGITS = 9, 5
_WHY = {REPLY: "stop", BOUNCE: "bounce", COMPLAINT: "complaint", REFUSAL: "refusal"}


@dataclass(frozen=True)
class Heard:
    """What rows come to.

    latest: of each withdrawal, when at the latest it was said. unclear: lines of replies that a person must read;
    nobody: lines that name no patient here.

    Of nobody's lines, those with an identifier count all the same: its patient may come.
    """

    withdrawals: tuple[Withdrawal, ...]
    latest: tuple[datetime, ...]
    counts: Mapping[str, int]
    unclear: tuple[int, ...]
    nobody: tuple[int, ...]


@dataclass(frozen=True)
class Addressees:
    """Who has an address, and who got a message. by_address: bare address → identifiers; by_message: id → identifier.

    went_to: the bare addresses to which a message may have gone, of a telephone or a mailbox. channels: of a message.
    known: of identifiers as rows have them, those that mean somebody here.
    """

    by_address: Mapping[str, tuple[str, ...]] = field(repr=False)
    by_message: Mapping[str, str] = field(repr=False)
    went_to: Mapping[str, tuple[str, ...]] = field(repr=False)
    channels: Mapping[str, str] = field(repr=False)
    known: frozenset[str] = field(repr=False)

    def of(self, row: InboundRow) -> tuple[str, ...]:
        """Give the identifiers that a row may mean."""
        found = [row.patient] if row.patient else []
        if row.message in self.by_message:
            found.append(self.by_message[row.message])
        if row.kind in (REPLY, COMPLAINT):
            # It came from where the message went, and means all who are reached there: a second record of one person,
            # whose telephone would go on getting messages.
            found += [one for place in self.went_to.get(row.message, ()) for one in self.by_address[place]]
        found += self.by_address.get(bare_address(row.address), ())
        return tuple(dict.fromkeys(found))


def bare_address(address: str) -> str:
    """Spell an address as it is compared: the last digits of a telephone, else letters and digits.

    >>> bare_address("+1 (555) 010-0199") == bare_address("0015550100199"), bare_address("A.B@North.example")
    (True, 'abnorthexample')
    """
    digits = "".join(one for one in address if one.isdecimal())
    letters = "".join(one for one in address.casefold() if one.isalnum())
    telephone = len(digits) >= _FEWEST_DIGITS and len(digits) == len(letters)
    return str(int(digits[-_LAST_DIGITS:])).zfill(_LAST_DIGITS) if telephone else letters


def hear(rows: Sequence[InboundRow], addressees: Addressees) -> Heard:
    """Turn rows into withdrawals."""
    withdrawals: list[Withdrawal] = []
    latest: list[datetime] = []
    counts: Counter[str] = Counter()
    unclear, nobody = [], []
    for row in rows:
        counts[row.kind] += 1
        if row.kind == REPLY and not says_stop(row.text):
            unclear.append(row.line)
            continue
        patients = addressees.of(row)
        if all(one == row.patient and one not in addressees.known for one in patients):
            nobody.append(row.line)
        withdrawals += [_withdrawal(row, one, addressees) for one in patients]
        latest += [row.latest] * len(patients)
    return Heard(tuple(withdrawals), tuple(latest), counts, tuple(unclear), tuple(nobody))


def _withdrawal(row: InboundRow, patient: str, addressees: Addressees) -> Withdrawal:
    channel = row.channel or addressees.channels.get(row.message, "")
    named = row.consent if row.consent in CONSENTS else ALL
    record = hashlib.sha256(f"{patient}\n{row.record}".encode()).hexdigest()
    return Withdrawal(
        patient=patient,
        consent=named if row.kind == REFUSAL else "contact",
        # A channel that is none here takes back all of them.
        channel=channel if row.kind == BOUNCE and channel in CHANNELS else "",
        why=_WHY[row.kind],
        at=row.at,
        record=record,
    )
