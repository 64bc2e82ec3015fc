"""What one secure sum is about, as 32 bytes that enter every mask and every seal of it.

Two hospitals that were told different things (other weights, terms, roster, size) have different labels: their masks
do not cancel and their shares do not open, so a server gains nothing by telling them apart.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.text.canonical import canonical_json

VERSION = 1
"""Of the construction: raised with any change of what hospitals and server compute."""
_ADDRESSEE = frozenset(("hospital", "ledger_head"))

PlainFields = Mapping[str, str | int | bool]


@dataclass(frozen=True, order=True)
class Slot:
    """One secure sum of a study: the account, the kind of request (a word), a number from 0. Spares have one too."""

    account: str
    kind: str
    number: int

    def digest(self) -> bytes:
        """Give 32 bytes that stand for the slot alone, where no label exists yet (set-up)."""
        return hashlib.sha256(b"wardround secure sum slot\n" + canonical_json(asdict(self))).digest()


def seed_label(slot: Slot, label: bytes) -> bytes:
    """Give what the shares of a seed are sealed and hashed under: 32 bytes of slot and label together.

    A label stands for its slot, but who sent nothing in a slot cannot see which slot a label is of. Under the label
    alone a server could ask for the seeds of one slot in another that nobody was charged for, and then for the slot
    keys in their own: both secrets of a member, and so its release.
    """
    return hashlib.sha256(b"wardround secure sum seed shares\n" + slot.digest() + label).digest()


@dataclass(frozen=True, kw_only=True)
class SumLabel:
    """All that members must have been told alike.

    terms: fingerprint. roster: ``Roster.digest``. plan: every field of the round plan that is the same for all
    members; what differs by member (its name, the ledger's head that it is asked about) must not be there, or no two
    labels were equal. weights: digest of the weights. dimension: d, numbers in the sum.
    """

    study: str
    terms: str
    roster: bytes
    slot: Slot
    plan: PlainFields
    weights: str
    dimension: int
    grid: Grid

    def __post_init__(self) -> None:
        """Check that equal labels have one spelling; ValueError otherwise.

        JSON writes 1 and 1.0 differently and the keys 1 and "1" alike: neither may stand in a plan.
        """
        if wrong := sorted(_ADDRESSEE & set(self.plan)):
            raise ValueError(f"plan: {', '.join(wrong)} differ by member")
        if not all(type(key) is str and type(value) in (str, int, bool) for key, value in self.plan.items()):
            raise ValueError("plan: must map text to text, whole numbers, true or false")

    def digest(self) -> bytes:
        """Hash the canonical form with SHA-256: 32 bytes."""
        content = {
            "version": VERSION,
            "study": self.study,
            "terms": self.terms,
            "roster": self.roster.hex(),
            "slot": asdict(self.slot),
            "plan": dict(self.plan),
            "weights": self.weights,
            "dimension": self.dimension,
            "grid": asdict(self.grid),
        }
        return hashlib.sha256(b"wardround secure sum label\n" + canonical_json(content)).digest()
