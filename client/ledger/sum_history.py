"""What a ledger says of secure sums: which roster was signed, and for which survivors each slot was answered."""

from typing import NamedTuple

from wardround.client.ledger.entries import Entry
from wardround.client.ledger.port import Key
from wardround.protocol.errors import LedgerError

StudyKey = tuple[str, str]
"""An operator's first key, and the fingerprint of its terms."""


class SignedRoster(NamedTuple):
    """The one roster that this hospital signed under some terms: the entry's hash, and the roster's digest in hex."""

    hash: str
    digest: str


class AnsweredSlot(NamedTuple):
    """What was answered for one slot, ever: the entry's hash, the sum's label, and the survivors as a list of indices.

    request: digest of the body that was answered first, hex, which every repeat of the answer names.
    """

    hash: str
    label: str
    survivors: str
    request: str


class SumHistory:
    """Guarantee: one roster for each operator's terms, and one set of survivors for each slot, ever.

    A study is closed once a person said that entries may be missing: in them other survivors may have been answered.
    contradicted: the slots for which an operator is known to have signed two requests, each with its study's name.
    """

    def __init__(self) -> None:
        """Start before the first entry."""
        self._rosters: dict[StudyKey, SignedRoster] = {}
        self._answered: dict[Key, AnsweredSlot] = {}
        self._closed: set[StudyKey] = set()
        self.contradicted: dict[Key, str] = {}

    @property
    def operators(self) -> set[str]:
        """First keys of the operators whose rosters were signed."""
        return {operator for operator, _ in self._rosters}

    def roster(self, study: StudyKey) -> SignedRoster | None:
        """Return the roster that was signed; None before that."""
        return self._rosters.get(study)

    def answered(self, slot: Key) -> AnsweredSlot | None:
        """Return what was answered for a slot; None where no survivors were named yet."""
        return self._answered.get(slot)

    def is_closed(self, study: StudyKey) -> bool:
        """Whether no sum of this study may be answered any more."""
        return study in self._closed

    def follow_roster(self, entry: Entry) -> None:
        """Take in a roster; LedgerError for a second one."""
        study = _study_of(entry)
        if study in self._rosters:
            raise LedgerError(f"entry {entry.sequence} signs a second roster of one study")
        self._rosters[study] = SignedRoster(entry.hash, str(entry.fields["roster"]))

    def follow_survivors(self, entry: Entry) -> Key:
        """Take in a slot's survivors, and say which slot; LedgerError for a second set, or without a roster."""
        study, fields = _study_of(entry), entry.fields
        slot = (*study, str(fields["account"]), int(fields["round"]))
        if slot in self._answered or study not in self._rosters:
            raise LedgerError(f"entry {entry.sequence} answers a slot again, or without a roster")
        texts = (str(fields[name]) for name in ("label", "survivors", "request"))
        self._answered[slot] = AnsweredSlot(entry.hash, *texts)
        return slot

    def follow_contradiction(self, entry: Entry) -> None:
        """Take in that two requests for a slot are kept; LedgerError where none was answered, or a second time."""
        slot = (*_study_of(entry), str(entry.fields["account"]), int(entry.fields["round"]))
        if slot in self.contradicted or slot not in self._answered:
            raise LedgerError(
                f"entry {entry.sequence} contradicts a slot again, or one that was not answered"
            )
        self.contradicted[slot] = str(entry.fields["study"])

    def close(self, study: StudyKey) -> None:
        """Answer no sum of this study any more."""
        self._closed.add(study)

    def close_all(self) -> None:
        """Answer no sum any more of what had begun."""
        self._closed |= self._rosters.keys()

    def move(self, operator: str, to: str) -> None:
        """Let what was closed under one key of an operator be closed under its first."""
        self._closed |= {(to, terms) for by, terms in self._closed if by == operator}


def _study_of(entry: Entry) -> StudyKey:
    return str(entry.fields["operator"]), str(entry.fields["terms"])
