"""The ledger that a real hospital keeps: signed, hash-chained entries in SQLite (see ``client.ledger.port``)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from client.ledger.budget import Caps, Charge
from client.ledger.chain import REAL, SIMULATED, Chain, Charged
from client.ledger.entries import Entry, Field, charge_fields, make_entry, signed_by, utc_text
from client.ledger.port import Receipt, never_charged, repeat_of
from client.ledger.store import Store, create_store
from protocol.accounting import PrivacyEvent
from protocol.errors import ConfigurationError, LedgerError, Refusal
from protocol.signing import SigningKey
from protocol.text import is_name

DECISIONS = ("approved", "declined", "rotated", "revoked", "note")


class SqliteLedger:
    """Guarantees: what ``Ledger`` says, over threads, processes, restarts and crashes.

    A charge is on the disk, signed, before ``charge`` returns. Opening checks every hash and the last
    signature, which covers all. code names the version of the program, and stands in every charge.
    """

    def __init__(self, store: Store, key: SigningKey, code: str) -> None:
        """Read the chain; LedgerError where it was altered. Use ``open_ledger`` or ``create_ledger``."""
        self._store = store
        self._key = key
        self._code = code
        self._chain = Chain()
        self._catch_up()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

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

    def knows(self, head: str | None) -> bool:
        """See ``Ledger.knows``."""
        with self._reading() as chain:
            return head is None or head in chain.heads

    def identify(self, key: str) -> str | None:
        """See ``Ledger.identify``."""
        with self._reading() as chain:
            return chain.identify(key)

    def decision(self, terms: str, operator: str) -> str | None:
        """See ``Ledger.decision``."""
        with self._reading() as chain:
            return chain.decision(terms, operator)

    def now(self, clock: datetime) -> datetime:
        """See ``Ledger.now``."""
        with self._reading() as chain:
            return max(clock, chain.time)

    def find(self, operator: str, terms: str, round_number: int, account: str = "training") -> Receipt | None:
        """See ``Ledger.find``."""
        with self._reading() as chain:
            entry = chain.find(operator, terms, account, round_number)
        return (
            None if entry is None else Receipt(entry.hash, repeat=True, stored=self._store.kept(entry.hash))
        )

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
        further: PrivacyEvent | None = None,
    ) -> float:
        """See ``Ledger.spent``."""
        with self._reading() as chain:
            return chain.spent(account, delta, study, operator, further, self._code)

    def entries(self, after: int = 0) -> list[Entry]:
        """Read all entries, or those after a sequence number."""
        return self._store.after(after)

    def charge(self, charge: Charge, caps: Caps, now: datetime) -> Receipt:
        """See ``Ledger.charge``."""
        with self._writing(now):
            first = self._chain.identify(charge.operator)
            if first is None:
                raise Refusal("operators", f"operator={charge.operator}: this key is out of use")
            charge = replace(charge, operator=first)
            entry = self._chain.find(first, charge.terms, charge.account, charge.round)
            if entry is not None:
                return self._repeat(charge, entry)
            self._chain.budget.check(charge, caps)
            after = self._chain.budget.after(charge, caps.delta)
            stated: dict[str, Field] = {
                "delta": caps.delta,
                "epsilon_study": after.study,
                "epsilon_operator": after.operator,
                "epsilon_life": after.life,
                "code": self._code,
            }
            try:
                head = self._append("charged", now, charge_fields(charge) | stated)
            except ConfigurationError as error:
                raise Refusal("ledger", f"{error}; nothing was spent") from error
            return Receipt(head, repeat=False, stored=None)

    def released(self, charge: Charge, payload: bytes, expires_at: datetime, now: datetime) -> bytes:
        """See ``Ledger.released``."""
        stands = "nothing left; the charge stands, and a round that is asked again is computed again for free"
        with self._writing(now, stands):
            entry = self._chain.find(charge.operator, charge.terms, charge.account, charge.round)
            if entry is None:
                raise never_charged(charge)
            stored = self._repeat(charge, entry).stored
            if stored is not None:
                return stored
            digest, expiry = hashlib.sha256(payload).hexdigest(), utc_text(expires_at)
            self._store.keep(entry.hash, payload, expiry)
            self._append("released", now, {"charge": entry.hash, "release": digest, "expires_at": expiry})
        return payload

    def decide(self, kind: str, now: datetime, **fields: Field) -> str:
        """Record what a person decided (``DECISIONS``), with person and reason; returns the new head.

        ConfigurationError for a field that does not fit, or a key that cannot be rotated.
        """
        if kind not in DECISIONS:
            raise ConfigurationError(f"kind={kind}: must be one of {', '.join(DECISIONS)}")
        with self._writing(now):
            if kind == "rotated" and not self._chain.can_rotate(
                str(fields["operator"]), str(fields["successor"])
            ):
                raise ConfigurationError("operator: its key is out of use, or its successor is known already")
            return self._append(kind, now, fields)

    def refuse(self, clause: str, operator: str, study: str, round_number: int, now: datetime) -> None:
        """Record a refusal; the same one once a day, so that whoever sends plans cannot fill the disk.

        operator is empty where no signature was verified. Costs nothing.
        """
        study = study if is_name(study) else ""  # no study that anybody could have approved
        number = min(max(round_number, 0), 10**9)
        fields: dict[str, Field] = {"clause": clause, "operator": operator, "study": study, "round": number}
        with self._writing(now):
            if self._chain.takes_refusal(self._chain_time(now), fields):
                self._append("refused", now, fields)

    def forget_expired(self, now: datetime) -> None:
        """Delete the stored bytes of terms that have expired."""
        with self._writing(now):
            pass

    def _repeat(self, charge: Charge, before: Charged) -> Receipt:
        answered = before.hash in self._chain.released
        return repeat_of(charge, before.weights, before.hash, answered, self._store.kept(before.hash))

    def _append(self, kind: str, now: datetime, fields: dict[str, Field]) -> str:
        chain = self._chain
        entry = make_entry(kind, chain.sequence + 1, self._chain_time(now), chain.head, fields, self._key)
        self._store.append(entry)
        return entry.hash

    def _chain_time(self, now: datetime) -> datetime:
        return max(now, self._chain.time)

    @contextmanager
    def _writing(self, now: datetime, consequence: str = "nothing was spent") -> Iterator[None]:
        with self._store.writing(consequence):
            self._catch_up()
            forgotten = self._store.forget(utc_text(self._chain_time(now)))
            yield
        if forgotten:
            self._store.flush()

    @contextmanager
    def _reading(self) -> Iterator[Chain]:
        with self._store.reading():
            self._catch_up()
            yield self._chain

    def _catch_up(self) -> None:
        """Follow what this or another process has committed since."""
        chain = self._chain
        if chain.sequence and self._store.hash_at(chain.sequence) != chain.head:
            raise LedgerError(
                "the ledger was exchanged while it was open; restore the newest copy and restart"
            )
        entries = self._store.after(chain.sequence)
        for entry in entries:
            chain.follow(entry)
        if entries and not signed_by(entries[-1], self._key.public):
            raise LedgerError(
                f"entry {entries[-1].sequence} is not signed by this hospital's key {self._key.public}"
            )


def create_ledger(
    path: Path, key: SigningKey, code: str, now: datetime, simulated: bool = False
) -> SqliteLedger:
    """Begin a ledger with an entry that says whose it is, a real hospital's or a simulated one's, for good.

    ConfigurationError where the file exists.
    """
    ledger = SqliteLedger(create_store(path), key, code)
    ledger.decide("note", now, topic=SIMULATED if simulated else REAL, reason="", person="")
    return ledger


def open_ledger(path: Path, key: SigningKey, code: str) -> SqliteLedger:
    """Open a hospital's ledger; LedgerError where it is missing, altered, or another hospital's."""
    return SqliteLedger(Store(path), key, code)
