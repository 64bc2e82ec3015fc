"""The ledger that a real hospital keeps: signed, hash-chained entries in SQLite (see ``client.ledger.port``)."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from wardround.client.ledger.budget import Assumed, Caps, Charge
from wardround.client.ledger.chain import REAL, SIMULATED, Charged
from wardround.client.ledger.clock import next_second
from wardround.client.ledger.entries import Entry, charge_fields, cost_fields, stated_fields
from wardround.client.ledger.fields import Field, utc_text
from wardround.client.ledger.head_file import head_path
from wardround.client.ledger.known_by import KnownBy, joins_accounts
from wardround.client.ledger.port import Receipt, never_charged, repeat_of
from wardround.client.ledger.store import Store, create_store
from wardround.client.ledger.sum_entries import SumEntries
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.text.text import is_name
from wardround.protocol.wire.signing import SigningKey

DECISIONS = ("approved", "declined", "rotated", "revoked", "note", "clock")


class SqliteLedger(SumEntries):
    """Guarantees: what ``Ledger`` says, over threads, processes, restarts and crashes.

    A charge is on the disk, signed, before ``charge`` returns, and so is the head outside the database. Opening
    checks every hash, the last signature, which covers all, and that the database holds the head. code names
    the version of the program, and stands in every charge.
    """

    def charge(
        self,
        charge: Charge,
        caps: Caps,
        now: datetime,
        held: str | None = None,
        known_by: KnownBy | None = None,
    ) -> Receipt:
        """See ``Ledger.charge``."""
        with self._writing(now):
            first = self._standing(charge.operator, charge.terms)
            charge = replace(charge, operator=first)
            entry = self._chain.find(first, charge.terms, charge.account, charge.round)
            if entry is not None and self._stored(entry) is not None:
                # Before the caps: what is paid for is sent again, however little is left of the budget.
                return self._repeat(charge, entry)
            self._require_unanswered(charge)
            if entry is not None:
                return self._repeat(charge, entry)
            if self._chain.answered_unknown(first, charge.terms, charge.account):
                raise Refusal(
                    "answered",
                    f"round={charge.round}: may have been answered before the ledger was recovered, and is charged; "
                    "fresh noise would reveal more than was charged",
                )
            joins = self._joins(known_by)
            budget = self._chain.spending.budget
            (budget.as_joined() if joins else budget).check(charge, caps)
            try:
                fields = (
                    charge_fields(charge) | self._stated(charge, caps.delta, joins) | {"held": held or ""}
                )
                before = self._enter_known_by(known_by, now)
                head = self._append("charged", now, fields, before)
            except ConfigurationError as error:
                raise Refusal("ledger", f"{error}; nothing was spent") from error
            return Receipt(head, repeat=False, stored=None)

    def released(self, charge: Charge, payload: bytes, expires_at: datetime, now: datetime) -> bytes:
        """See ``Ledger.released``."""
        stands = "nothing left; the charge stays, and if the round is asked again it is computed at no further cost"
        with self._writing(now, stands):
            self._standing(charge.operator, charge.terms)
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
                raise ConfigurationError("operator: its key is out of use, or the new key is known already")
            return self._append(kind, now, fields)

    def refuse(self, clause: str, operator: str, study: str, round_number: int, now: datetime) -> None:
        """Record a refusal; the same one once a day, so that whoever sends plans cannot fill the disk.

        operator is empty where no signature was verified. Costs nothing.
        """
        study = study if is_name(study) else ""  # no study that anybody could have approved
        number = min(max(round_number, 0), 10**9)
        fields: dict[str, Field] = {"clause": clause, "operator": operator, "study": study, "round": number}
        with self._writing(now):
            if self._chain.takes_refusal(next_second(now, self._chain.time), fields):
                self._append("refused", now, fields)

    def recover(
        self,
        now: datetime,
        heads: Sequence[str],
        person: str,
        reason: str,
        assumed: Sequence[Assumed],
        delta: float,
    ) -> str:
        """Record that entries were lost, which heads others hold of them, and what they may have cost.

        On a copy that is then put in place (``client.ledger.recover``). After it no round that was charged, or is
        assumed to be, is ever computed, and nothing is approved any more. Returns the new head.
        """
        with self._writing(now):
            head = self._append(
                "recovered", now, {"heads": " ".join(heads), "person": person, "reason": reason}
            )
        # One by one: each entry states the ε that holds after those before it.
        for one in assumed:
            with self._writing(now):
                cost = cost_fields(one.charge) | self._stated(one.charge, delta)
                head = self._append("assumed", now, cost | {"releases": one.releases})
        return head

    def forget_expired(self, now: datetime) -> datetime | None:
        """Delete the stored bytes of terms that have expired; returns the time that counts, None after a leap."""
        with self._writing(now):
            return None if self._leaps(now) else next_second(now, self._chain.time)

    def copy_to(self, target: Path) -> None:
        """Write the whole ledger, stored bytes included, into an empty file; sqlite3.Error where that fails."""
        self._store.copy_to(target)

    def _joins(self, known_by: KnownBy | None) -> bool:
        """Whether both accounts add up once patients are so known, and did not before."""
        chain = self._chain
        return known_by is not None and joins_accounts(chain.known_by, known_by, chain.anything_charged)

    def _enter_known_by(self, known_by: KnownBy | None, now: datetime) -> Entry | None:
        """Record how patients are known where that is not what was last recorded; the charge follows at once."""
        if known_by is None or known_by.digest == self._chain.known_by:
            return None
        return self._entry("known_by", now, known_by._asdict(), None)

    def _stated(self, charge: Charge, delta: float, joins: bool = False) -> dict[str, Field]:
        """Say what holds after a charge, as the hospital takes it and if every mask failed."""
        budgets = (self._chain.spending.budget, self._chain.unmasked.budget)
        charges = (charge, charge.if_unmasked)
        masked, unmasked = (
            (budget.as_joined() if joins else budget).after(one, delta)
            for budget, one in zip(budgets, charges, strict=True)
        )
        return {**stated_fields(masked, unmasked), "delta": delta, "code": self._code}

    def _repeat(self, charge: Charge, before: Charged) -> Receipt:
        if charge.label != before.label:
            raise Refusal(
                "label",
                f"round={charge.round}: was charged for another plan of this slot; ask again with that plan, or for "
                "the next round",
            )
        answered = before.hash in self._chain.released
        return repeat_of(charge, before.weights, before.hash, answered, self._stored(before))


def create_ledger(
    path: Path, key: SigningKey, code: str, now: datetime, simulated: bool = False
) -> SqliteLedger:
    """Begin a ledger with an entry that says whose it is, a real hospital's or a simulated one's, for good.

    ConfigurationError where the file exists.
    """
    outside = head_path(path)
    if outside.exists() and not path.exists():
        raise ConfigurationError(f"head={outside}: exists already: there was a ledger here; restore it")
    ledger = SqliteLedger(create_store(path), key, code, outside, new=True)
    ledger.decide("note", now, topic=SIMULATED if simulated else REAL, reason="", person="")
    return ledger


def open_ledger(path: Path, key: SigningKey, code: str) -> SqliteLedger:
    """Open a hospital's ledger; LedgerError where it is missing, altered, another hospital's, or forgets."""
    return SqliteLedger(Store(path), key, code, head_path(path))
