"""What a chain of ledger entries says, followed entry after entry by a hospital's agent and by an auditor."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from wardround.client.ledger.budget import Charge
from wardround.client.ledger.entries import Entry, charge_of_entry, require_next, stated_of_entry
from wardround.client.ledger.fields import Field
from wardround.client.ledger.known_by import KnownBy, joins_accounts
from wardround.client.ledger.port import NO_ENTRY, Key
from wardround.client.ledger.spending import Spending
from wardround.client.ledger.sum_history import SumHistory
from wardround.protocol.errors import LedgerError

REFUSALS_A_DAY = 1000
REAL, SIMULATED = "ledger_begun", "simulation_begun"
"""Topics of a ledger's first entry: whether its home is a real hospital's or a simulated one, for good."""


class Charged(NamedTuple):
    """A charging entry's hash, the digest of the weights that it was for, and the label of its secure sum, if any."""

    hash: str
    weights: str
    label: str = ""


class Chain:
    """Everything that follows from the entries so far.

    Guarantee: entries are followed in their order only, each holding the hash of the one before; a round
    is charged once and released once. Signatures are the caller's to check.

    time: the earliest that now can be: that of the last entry, refusals aside. clock_confirmed: that of the last entry
    by which a person said that the clock is right. released: by charge,
    the digest of what left; empty where it may have left before the ledger was recovered. known_by: the digest of how
    patients are known, empty before it was first recorded. spending: what all charges come to; unmasked: the same if
    every mask of every secure sum failed.
    """

    def __init__(self) -> None:
        """Start before the first entry."""
        self.sequence = 0
        self.head = NO_ENTRY
        self.time = datetime.min.replace(tzinfo=UTC)
        self.clock_confirmed: datetime | None = None
        self.simulated = False
        self.random = False
        self.known_by = ""
        self.heads: dict[str, int] = {}
        self.charges: dict[Key, Charged] = {}
        self.released: dict[str, str] = {}
        self.spending, self.unmasked = Spending(), Spending()
        self.sums = SumHistory()
        self._heads_of_others: dict[str, int] = {}
        self._assumed: dict[tuple[str, str, str], int] = {}
        self._naming: set[str] = set()
        self._decisions: dict[tuple[str, str], str] = {}
        self._approved_until: dict[tuple[str, str], datetime] = {}
        # Counted as they come: a look through all charges at every plan would be quadratic over a ledger's life.
        self._rounds: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._first_key: dict[str, str] = {}
        self._key_in_use: dict[str, str | None] = {}
        self._refusal_day: Field = ""
        self._refusals: set[tuple[Field, ...]] = set()

    def follow(self, entry: Entry) -> None:
        """Take in the next entry; LedgerError where it cannot be the next."""
        require_next(entry, self.sequence + 1, self.head)
        self._require_form(entry)
        operator = str(entry.fields.get("operator", ""))
        match entry.kind:
            case "charged":
                self._follow_charge(entry)
            case "assumed":
                self._follow_assumed(entry)
            case "known_by":
                self._follow_known_by(KnownBy(str(entry.fields["digest"]), str(entry.fields["form"])))
            case "released":
                self._follow_release(str(entry.fields["charge"]), str(entry.fields["release"]))
            case "roster":
                self._follow_sum(entry)
                self.sums.follow_roster(entry)
            case "survivors":
                self._follow_sum(entry)
                self._follow_survivors(entry, self.sums.follow_survivors(entry))
            case "contradiction":
                self.sums.follow_contradiction(entry)
            case "recovered":
                self._follow_recovered(entry)
            case "approved" | "declined":
                self._follow_decision(entry, (str(entry.fields["terms"]), self.first_key(operator)))
            case "rotated":
                self._follow_rotation(operator, str(entry.fields["successor"]))
            case "revoked":
                self._key_in_use[self.first_key(operator)] = None
            case "note":
                self._follow_note(str(entry.fields["topic"]))
            case "clock":
                self.clock_confirmed = entry.time
            case "refused":
                self._follow_refusal(_refusal_key(entry.time, entry.fields))
        self.sequence, self.head = entry.sequence, entry.hash
        # A refusal of garbage while the clock was ten years ahead once closed a hospital for ten years.
        self.time = self.time if entry.kind == "refused" else entry.time
        self.random = self.random or bool(entry.nonce)
        self.heads[entry.hash] = entry.sequence

    @property
    def anything_charged(self) -> bool:
        """Whether anything may ever have left."""
        return bool(self.charges or self._assumed)

    def sequence_of(self, head: str) -> int | None:
        """Return the number of the entry with this hash, or of the one by which a person took the head in."""
        return self.heads.get(head, self._heads_of_others.get(head))

    def expects_head(self, operator: str) -> bool:
        """Whether this operator has named a head before: it holds one, and must go on naming one."""
        return self.first_key(operator) in self._naming

    def answered_unknown(self, operator: str, terms: str, account: str) -> bool:
        """Whether rounds of these terms may have been answered in a ledger that was lost."""
        return (self.first_key(operator), terms, account) in self._assumed

    def first_key(self, key: str) -> str:
        """Return the first key of an operator, in use or not: the name of its account."""
        return self._first_key.get(key, key)

    def identify(self, key: str) -> str | None:
        """Return the first key of the operator that uses this key now; None for a key out of use."""
        return self.first_key(key) if self.key_in_use(key) == key else None

    def key_in_use(self, key: str) -> str | None:
        """Return the newest key of an operator's rotations; None once it was revoked."""
        first = self.first_key(key)
        return self._key_in_use.get(first, first)

    def can_rotate(self, operator: str, successor: str) -> bool:
        """Whether a key is in use and its successor is new: two operators' accounts never become one."""
        charged = {key[0] for key in self.charges}
        known = charged | self.sums.operators | self._first_key.keys() | self._key_in_use.keys() | {operator}
        return self.identify(operator) is not None and successor not in known

    def decision(self, terms: str, operator: str) -> str | None:
        """Return the last decision on an operator's terms."""
        return self._decisions.get((terms, self.first_key(operator)))

    def approved_until(self, terms: str, operator: str) -> datetime | None:
        """Return the expiry of an operator's terms as a person approved them last; None where no approval says it."""
        return self._approved_until.get((terms, self.first_key(operator)))

    def find(self, operator: str, terms: str, account: str, round_number: int) -> Charged | None:
        """Find the charge of a round."""
        return self.charges.get((self.first_key(operator), terms, account, round_number))

    def rounds_charged(self, operator: str, terms: str, account: str) -> int:
        """Count the rounds charged under these terms, with those that may have been before a recovery."""
        scope = (self.first_key(operator), terms, account)
        return self._rounds.get(scope, (0, 0))[0] + self._assumed.get(scope, 0)

    def approved(self) -> list[str]:
        """List the terms whose last decision is a yes."""
        return [terms for (terms, _), kind in self._decisions.items() if kind == "approved"]

    def begun(self) -> list[str]:
        """List the terms that may have had releases that are not charged here: approved now, or charged in part."""
        whole = {terms for _, terms, _ in self._assumed}
        return sorted({*self.approved(), *(terms for _, terms, _, _ in self.charges)} - whole)

    def last_round(self, operator: str, terms: str, account: str) -> int:
        """Return the highest round charged under these terms; 0 before the first."""
        first = self.first_key(operator)
        return self._rounds.get((first, terms, account), (0, 0))[1]

    def takes_refusal(self, time: datetime, fields: Mapping[str, Field]) -> bool:
        """Whether a refusal is worth an entry: no repeat within a day, nor a flood."""
        key = _refusal_key(time, fields)
        return self._refusal_day != key[0] or (
            key not in self._refusals and len(self._refusals) < REFUSALS_A_DAY
        )

    def _follow_charge(self, entry: Entry) -> None:
        charge = charge_of_entry(entry)
        key = (charge.operator, charge.terms, charge.account, charge.round)
        if key in self.charges or charge.operator != self.first_key(charge.operator):
            raise LedgerError(
                f"entry {entry.sequence} charges a round again, or under an operator's later key"
            )
        if self.sums.answered(key) is not None:
            raise LedgerError(f"entry {entry.sequence} charges a round whose survivors were answered before")
        self.charges[key] = Charged(entry.hash, charge.weights_digest, charge.label)
        count, last = self._rounds.get(key[:3], (0, 0))
        self._rounds[key[:3]] = count + 1, max(last, charge.round)
        if entry.fields.get("held"):
            self._naming.add(charge.operator)
        self._add(entry, charge)

    def _follow_assumed(self, entry: Entry) -> None:
        charge = charge_of_entry(entry)
        key = (charge.operator, charge.terms, charge.account)
        self._assumed[key] = self._assumed.get(key, 0) + int(entry.fields["releases"])
        self.sums.close(key[:2])
        self._add(entry, charge)

    def _follow_sum(self, entry: Entry) -> None:
        """A roster or survivors: under the operator's first key, and the head that it named counts as a plan's."""
        operator = str(entry.fields["operator"])
        if operator != self.first_key(operator):
            raise LedgerError(f"entry {entry.sequence} stands under an operator's later key")
        if entry.fields["held"]:
            self._naming.add(operator)

    def _follow_survivors(self, entry: Entry, slot: Key) -> None:
        # The stored answer is looked up, and checked, as a release's is.
        self.released[entry.hash] = str(entry.fields["answer"])
        if (charged := self.charges.get(slot)) is not None:
            # What was charged and has not left by now never may: it counts as answered, with bytes that nobody has.
            self.released.setdefault(charged.hash, "")

    def _add(self, entry: Entry, charge: Charge) -> None:
        masked, unmasked = stated_of_entry(entry)
        delta, code = float(entry.fields["delta"]), str(entry.fields["code"])
        self.spending.add(charge, masked, delta, code)
        self.unmasked.add(charge.if_unmasked, unmasked, delta, code)

    def _follow_known_by(self, known_by: KnownBy) -> None:
        """Who was held out may be learned from once patients are known otherwise: then both accounts add up."""
        if joins_accounts(self.known_by, known_by, self.anything_charged):
            self.spending.join()
            self.unmasked.join()
        self.known_by = known_by.digest

    def _follow_release(self, charge: str, release: str) -> None:
        if charge not in self.heads or charge in self.released:
            raise LedgerError(
                f"entry {self.sequence + 1} releases what was not charged, or was released before"
            )
        self.released[charge] = release

    def _follow_recovered(self, entry: Entry) -> None:
        """What was charged may have left since; what was decided may have been taken back: both at their worst."""
        for charged in self.charges.values():
            # An empty digest: answered, with bytes that nobody has. `repeat_of` then refuses fresh noise.
            self.released.setdefault(charged.hash, "")
        self._decisions.clear()
        self._approved_until.clear()
        self.sums.close_all()
        for head in str(entry.fields["heads"]).split():
            self._heads_of_others.setdefault(head, entry.sequence)

    def _follow_decision(self, entry: Entry, study: tuple[str, str]) -> None:
        self._decisions[study] = entry.kind
        if (until := entry.fields.get("expires_at")) is not None:
            self._approved_until[study] = datetime.fromisoformat(str(until))

    def _require_form(self, entry: Entry) -> None:
        """Time runs forward but by a person's word; entries as 0.1.0 wrote them stand at the beginning."""
        if entry.time < self.time and entry.kind != "clock":
            raise LedgerError(f"entry {entry.sequence} is of an earlier time than those before it")
        if self.random and not entry.nonce:
            raise LedgerError(f"entry {entry.sequence} has no random bits, after entries that have")

    def _follow_note(self, topic: str) -> None:
        """A home is real or simulated from its first entry on: a later beginning is a forger's."""
        if topic in (REAL, SIMULATED) and self.sequence:
            raise LedgerError(f"entry {self.sequence + 1} begins a ledger that has begun")
        self.simulated = self.simulated or topic == SIMULATED

    def _follow_refusal(self, key: tuple[Field, ...]) -> None:
        if self._refusal_day != key[0]:
            self._refusal_day, self._refusals = key[0], set()
        self._refusals.add(key)

    def _follow_rotation(self, operator: str, successor: str) -> None:
        if not self.can_rotate(operator, successor):
            raise LedgerError(f"entry {self.sequence + 1} rotates a key out of use, or to a key known before")
        first = self.first_key(operator)
        self._first_key[successor] = first
        self._key_in_use[first] = successor
        self._follow_account(successor, first)

    def _follow_account(self, successor: str, first: str) -> None:
        """What was assumed of a key that only a lost ledger knew as a successor is its operator's."""
        for key in [key for key in self._assumed if key[0] == successor]:
            moved = (first, *key[1:])
            self._assumed[moved] = self._assumed.get(moved, 0) + self._assumed.pop(key)
        self.sums.move(successor, first)
        self.spending.move(successor, first)
        self.unmasked.move(successor, first)


def _refusal_key(time: datetime, fields: Mapping[str, Field]) -> tuple[Field, ...]:
    return (f"{time:%F}", *(value for _, value in sorted(fields.items())))
