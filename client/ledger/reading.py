"""What a ledger's database says, to whoever asks: the half of ``client.ledger.sqlite`` that writes nothing."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from wardround.client.ledger.chain import Chain, Charged
from wardround.client.ledger.entries import Entry, signed_by
from wardround.client.ledger.known_by import KnownBy, joins_accounts
from wardround.client.ledger.port import Key, Receipt
from wardround.client.ledger.store import Store, exchanged
from wardround.client.ledger.sum_history import AnsweredSlot, SignedRoster
from wardround.protocol.errors import LedgerError
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.wire.signing import SigningKey


class LedgerReader:
    """Answers from the chain, after following what this or another process has committed since.

    Guarantee: every entry's hash, and the last signature, which covers all, are checked before anything is read.
    """

    def __init__(self, store: Store, key: SigningKey, code: str) -> None:
        """Nothing is read yet."""
        self._store = store
        self._key = key
        self._code = code
        self._chain = Chain()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._store.path

    @property
    def head(self) -> str:
        """Hash of the last entry, hex."""
        with self._reading() as chain:
            return chain.head

    @property
    def simulated(self) -> bool:
        """Whether the first entry says that this is a simulated hospital's."""
        with self._reading() as chain:
            return chain.simulated

    @property
    def time(self) -> datetime:
        """The earliest that now can be: the time of the last entry, refusals aside."""
        with self._reading() as chain:
            return chain.time

    @property
    def clock_confirmed(self) -> datetime | None:
        """When a person last said that the clock is right; None where nobody did."""
        with self._reading() as chain:
            return chain.clock_confirmed

    @property
    def approved(self) -> list[str]:
        """Fingerprints of the terms whose last decision is a yes."""
        with self._reading() as chain:
            return chain.approved()

    def first_key(self, operator: str) -> str:
        """Return the first key of an operator's rotations, in use or not."""
        with self._reading() as chain:
            return chain.first_key(operator)

    def knows(self, head: str | None) -> bool:
        """See ``Ledger.knows``."""
        with self._reading() as chain:
            return head is None or chain.sequence_of(head) is not None

    def expects_head(self, operator: str) -> bool:
        """See ``Ledger.expects_head``."""
        with self._reading() as chain:
            return chain.expects_head(operator)

    def identify(self, key: str) -> str | None:
        """See ``Ledger.identify``."""
        with self._reading() as chain:
            return chain.identify(key)

    def key_in_use(self, key: str) -> str | None:
        """Return the newest key of an operator's rotations; None once it was revoked."""
        with self._reading() as chain:
            return chain.key_in_use(key)

    def has_charged(self, operator: str) -> bool:
        """Whether any release to this operator was ever charged."""
        with self._reading() as chain:
            return any(key[0] == chain.first_key(operator) for key in chain.charges)

    def decision(self, terms: str, operator: str) -> str | None:
        """See ``Ledger.decision``."""
        with self._reading() as chain:
            return chain.decision(terms, operator)

    def approved_until(self, operator: str, terms: str) -> datetime | None:
        """Return the expiry of an operator's terms as a person approved them last; None where no approval says it."""
        with self._reading() as chain:
            return chain.approved_until(terms, operator)

    def now(self, clock: datetime) -> datetime:
        """See ``Ledger.now``."""
        with self._reading() as chain:
            return max(clock, chain.time)

    def find(self, operator: str, terms: str, round_number: int, account: str = "training") -> Receipt | None:
        """See ``Ledger.find``."""
        with self._reading() as chain:
            entry = chain.find(operator, terms, account, round_number)
            return None if entry is None else Receipt(entry.hash, repeat=True, stored=self._stored(entry))

    def rounds_charged(self, operator: str, terms: str, account: str = "training") -> int:
        """See ``Ledger.rounds_charged``."""
        with self._reading() as chain:
            return chain.rounds_charged(operator, terms, account)

    def last_round(self, operator: str, terms: str, account: str = "training") -> int:
        """See ``Ledger.last_round``."""
        with self._reading() as chain:
            return chain.last_round(operator, terms, account)

    def spent(
        self,
        account: str,
        delta: float,
        study: str | None = None,
        operator: str | None = None,
        further: Sequence[PrivacyEvent] = (),
        joined: bool = False,
    ) -> float:
        """See ``Ledger.spent``."""
        with self._reading() as chain:
            first = None if operator is None else chain.first_key(operator)
            return chain.spending.spent(account, delta, study, first, further, self._code, joined)

    def spent_unmasked(
        self,
        account: str,
        delta: float,
        study: str | None = None,
        operator: str | None = None,
        further: Sequence[PrivacyEvent] = (),
        joined: bool = False,
    ) -> float:
        """Compose ε as ``spent`` does, if every mask of every secure sum failed: each release has one share of noise.

        Equal to ``spent`` where no sum was ever charged in that scope. further: events with one share of noise.
        """
        with self._reading() as chain:
            first = None if operator is None else chain.first_key(operator)
            return chain.unmasked.spent(account, delta, study, first, further, self._code, joined)

    @property
    def joined(self) -> bool:
        """See ``Ledger.joined``."""
        with self._reading() as chain:
            return chain.spending.budget.joined

    def would_join(self, known_by: KnownBy) -> bool:
        """Whether a charge with patients so known would make the two accounts add up that do not yet."""
        with self._reading() as chain:
            joins = joins_accounts(chain.known_by, known_by, chain.anything_charged)
            return joins and not chain.spending.budget.joined

    def spent_by_both(self, delta: float) -> float:
        """Compose ε of both accounts together, for life."""
        return self.spent("training", delta, joined=True)

    def entries(self, after: int = 0) -> list[Entry]:
        """Read all entries, or those after a sequence number."""
        return self._store.after(after)

    def notes(self) -> list[Entry]:
        """Read what was noted, and nothing else: a ledger of years has few notes."""
        return self._store.of_kind("note")

    def signed_roster(self, operator: str, terms: str) -> SignedRoster | None:
        """Return the roster that this hospital signed under an operator's terms."""
        with self._reading() as chain:
            return chain.sums.roster((chain.first_key(operator), terms))

    def sums_closed(self, operator: str, terms: str) -> bool:
        """Whether entries of this study may be missing, so that none of its sums may be answered any more."""
        with self._reading() as chain:
            return chain.sums.is_closed((chain.first_key(operator), terms))

    def contradicted(self) -> dict[Key, str]:
        """Return the slots for which an operator signed two requests that contradict each other, with their studies."""
        with self._reading() as chain:
            return dict(chain.sums.contradicted)

    def _stored(self, before: Charged | AnsweredSlot) -> bytes | None:
        """Read a release's bytes; LedgerError where they are not those that the ledger says left."""
        stored = self._store.kept(before.hash)
        if stored is not None and hashlib.sha256(stored).hexdigest() != self._chain.released.get(before.hash):
            raise LedgerError(
                f"the stored bytes of entry {before.hash[:12]} are not those that the ledger names: they were "
                "altered, and are not sent; restore the newest backup"
            )
        return stored

    @contextmanager
    def _reading(self) -> Iterator[Chain]:
        with self._store.reading():
            self._catch_up()
            yield self._chain

    def _catch_up(self) -> None:
        """Follow what this or another process has committed since."""
        chain = self._chain
        # Where another file has taken the name, what was followed so far is no part of it.
        if chain.sequence and self._store.hash_at(chain.sequence) != chain.head:
            raise exchanged()
        entries = self._store.after(chain.sequence)
        for entry in entries:
            chain.follow(entry)
        if entries and not signed_by(entries[-1], self._key.public):
            raise LedgerError(
                f"entry {entries[-1].sequence} is not signed by this hospital's key {self._key.public}"
            )
