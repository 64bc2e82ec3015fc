"""The port of a hospital's ledger, and the ledger that simulations keep in memory.

``client.ledger.sqlite`` is the one that real hospitals keep. Whoever computes a release calls, in this order:
``charge`` (durable before anything is computed), then, unless the receipt brings stored bytes,
computes, then ``released``, and sends what *that* returns: of two computations of one charge only
the first leaves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from wardround.client.ledger.budget import Budget, Caps, Charge
from wardround.client.ledger.known_by import KnownBy
from wardround.protocol.errors import Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent

Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Receipt:
    """What a charge answers.

    head: hash of the charging entry; the release carries it. repeat: charged before, nothing was spent
    now. stored: the bytes that already left; None means compute (a charge without bytes is computed
    once more).
    """

    head: str
    repeat: bool
    stored: bytes | None


class Ledger(Protocol):
    """What a hospital remembers. Guarantee: a charge never disappears, whatever crashes afterwards."""

    @property
    def head(self) -> str:
        """Hash of the last entry, hex; 64 zeros before the first."""

    @property
    def joined(self) -> bool:
        """Whether the two accounts add up, since who is one patient changed after the first charge."""

    def knows(self, head: str | None) -> bool:
        """Whether an entry has this hash; None (no release yet) is known to every ledger."""

    def expects_head(self, operator: str) -> bool:
        """Whether this operator has named a head before, and so holds one."""

    def identify(self, key: str) -> str | None:
        """Return the first key of an operator's rotations, which names its account; None once out of use."""

    def decision(self, terms: str, operator: str) -> str | None:
        """Return a person's last decision on an operator's terms: ``approved``, ``declined`` or None."""

    def now(self, clock: datetime) -> datetime:
        """Return the later of the clock and the last entry that is no refusal."""

    def find(self, operator: str, terms: str, round_number: int, account: str = "training") -> Receipt | None:
        """Look up a charged round of this operator; another operator's is never found."""

    def charge(
        self,
        charge: Charge,
        caps: Caps,
        now: datetime,
        held: str | None = None,
        known_by: KnownBy | None = None,
    ) -> Receipt:
        """Charge once, durably; a repeat returns its receipt and spends nothing.

        held: the head that the plan names. known_by: how patients are known; where that changed since an earlier
        charge, both accounts add up from this one on.

        Raises Refusal: a cap would be exceeded (``max_epsilon_…``), the round was charged for other
        weights (``weights``), its bytes were deleted since (``answered``), or the disk does not take the
        entry (``ledger``), or the clock leaps (``clock``); of a secure sum, another plan was charged for the slot
        (``label``) or its survivors were answered (``survivors``). Nothing is spent then.
        """

    def released(self, charge: Charge, payload: bytes, expires_at: datetime, now: datetime) -> bytes:
        """Store the bytes durably before they leave; returns the bytes that may leave (the first stored)."""

    def spent(
        self,
        account: str,
        delta: float,
        study: str | None = None,
        operator: str | None = None,
        further: Sequence[PrivacyEvent] = (),
        joined: bool = False,
    ) -> float:
        """Compose ε of an account: for life, of an operator or a study; as if ``further`` were charged.

        joined: as if both accounts added up already.
        """

    def rounds_charged(self, operator: str, terms: str, account: str = "training") -> int:
        """Count the rounds charged under these terms."""

    def last_round(self, operator: str, terms: str, account: str = "training") -> int:
        """Return the highest round charged under these terms; 0 before the first."""


NO_ENTRY = "0" * 64


def repeat_of(
    charge: Charge, weights_digest: str, head: str, answered: bool, stored: bytes | None
) -> Receipt:
    """Return the receipt of a round charged before, or refuse other weights and deleted bytes (rule 4)."""
    # Under other weights it would be a second release for the price of one.
    if charge.weights_digest != weights_digest:
        raise Refusal(
            "weights",
            f"round={charge.round} with weights {charge.weights_digest[:12]}: was charged for weights "
            f"{weights_digest[:12]}; ask for the next round",
        )
    # Computed again it would have fresh noise: both together would tell more than was charged.
    if answered and stored is None:
        raise Refusal(
            "answered", f"round={charge.round} was answered and its bytes are deleted; ask for the next round"
        )
    return Receipt(head, repeat=True, stored=stored)


class MemoryLedger:
    """A simulated hospital's ledger: same budget, same repeats, no signatures, gone with the process.

    Keeps the bytes of each study's last release only; composes ε when a cap or a reader asks for it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.head = NO_ENTRY
        self.joined = False
        self._heads: set[str] = set()
        self._budget = Budget()
        self._charged: dict[Key, tuple[str, str]] = {}
        self._answered: set[Key] = set()
        self._last: dict[Key, tuple[int, bytes]] = {}
        self._latest: dict[tuple[str, str, str], int] = {}
        self._time = datetime.min.replace(tzinfo=UTC)

    def knows(self, head: str | None) -> bool:
        """Whether a charge had this hash."""
        return head is None or head in self._heads

    def expects_head(self, operator: str) -> bool:
        """Nothing outlives the process, and nothing is put back."""
        return False

    def identify(self, key: str) -> str | None:
        """Return the key itself: simulated operators do not rotate keys."""
        return key

    def decision(self, terms: str, operator: str) -> str | None:
        """Nobody decides in a simulation; its policy asks for no approval."""
        return None

    def now(self, clock: datetime) -> datetime:
        """Return the later of the clock and the last charge."""
        return max(clock, self._time)

    def find(self, operator: str, terms: str, round_number: int, account: str = "training") -> Receipt | None:
        """See ``Ledger.find``."""
        key = (operator, terms, account, round_number)
        if key not in self._charged:
            return None
        return Receipt(self._charged[key][1], repeat=True, stored=self._stored(key))

    def charge(
        self,
        charge: Charge,
        caps: Caps,
        now: datetime,
        held: str | None = None,
        known_by: KnownBy | None = None,
    ) -> Receipt:
        """See ``Ledger.charge``; a simulated hospital's patients are known in one way."""
        key = _key(charge)
        if key in self._charged:
            digest, head = self._charged[key]
            return repeat_of(charge, digest, head, key in self._answered, self._stored(key))
        self._budget.check(charge, caps)
        self._budget.add(charge)
        self._time = self.now(now)
        self.head = hashlib.sha256(
            f"{self.head}{charge.terms}{charge.round}{charge.weights_digest}".encode()
        ).hexdigest()
        self._heads.add(self.head)
        self._charged[key] = (charge.weights_digest, self.head)
        self._latest[key[:3]] = max(charge.round, self._latest.get(key[:3], 0))
        return Receipt(self.head, repeat=False, stored=None)

    def released(self, charge: Charge, payload: bytes, expires_at: datetime, now: datetime) -> bytes:
        """See ``Ledger.released``; the study's earlier bytes are forgotten."""
        key = _key(charge)
        stored = self._stored(key)
        if stored is not None:
            return stored
        if key not in self._charged:
            raise never_charged(charge)
        self._answered.add(key)
        # Round 0 in the key: one place for each study and account, which the next release takes over.
        self._last[(*key[:3], 0)] = (charge.round, payload)
        return payload

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
        return self._budget.spent(account, delta, study, operator, further, joined)

    def rounds_charged(self, operator: str, terms: str, account: str = "training") -> int:
        """See ``Ledger.rounds_charged``."""
        return sum(key[:3] == (operator, terms, account) for key in self._charged)

    def last_round(self, operator: str, terms: str, account: str = "training") -> int:
        """See ``Ledger.last_round``."""
        return self._latest.get((operator, terms, account), 0)

    def _stored(self, key: Key) -> bytes | None:
        round_number, payload = self._last.get((*key[:3], 0), (-1, None))
        return payload if round_number == key[3] else None


def _key(charge: Charge) -> Key:
    return charge.operator, charge.terms, charge.account, charge.round


def never_charged(charge: Charge) -> Refusal:
    """Return the refusal of a release that nobody charged: the caller's fault, stopped before bytes leave."""
    return Refusal("ledger", f"round={charge.round}: was never charged; charge it first")
