"""Set-up of a study's secure sums, once: keys from every hospital, the one roster, and every dealing to its receivers.

    keys of all, each signed → ``roster_of`` → a dealing of each, which signs that roster → ``brought_to`` each member
    → each says whose shares did not open

Nobody may be missing and nobody may fail: a roster without one hospital would be another roster, for another study,
and whoever could make the server go on with fewer would choose who the members are. Every message may be asked again:
a hospital gives its stored answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import (
    DEALT_BYTES,
    DIGEST_BYTES,
    SIGNATURE_BYTES,
    Dealing,
    MemberKeys,
    RosterKeys,
    TakenShares,
)
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.roster import Roster, check_keys
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.wire.sum_roster import (
    join_roster,
    member_keys_signed_by,
    roster_order,
    roster_signed_by,
)
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest


@dataclass(frozen=True, kw_only=True)
class SumStudy:
    """What of a study's terms its roster stands on. terms: their fingerprint; signing_keys: by hospital."""

    study: str
    terms: str
    thresholds: Thresholds
    slots: tuple[Slot, ...]
    signing_keys: Mapping[str, str]
    simulation: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        """Give the hospitals in the roster's order: member i has index i + 1."""
        return roster_order(self.signing_keys)


def wrong_answer(study: SumStudy, answer: SumAnswer, request: SumRequest) -> str:
    """Say in what an answer of set-up is not about what was asked; empty where it is."""
    checks = (
        (answer.step is request.step, "wrong step"),
        (answer.study == study.study, "wrong study"),
        (answer.terms_fingerprint == study.terms, "wrong terms"),
        (answer.asked == request.body_digest, "answers another request"),
        (answer.roster == request.roster, "wrong roster"),
        (study.simulation or not answer.simulation, "simulated"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def read_keys(study: SumStudy, hospital: str, body: bytes) -> MemberKeys:
    """Read a hospital's keys; MessageError unless it signed them for these terms, and all are good and distinct."""
    keys = MemberKeys.from_bytes(body, len(study.slots))
    public = study.signing_keys[hospital]
    if not member_keys_signed_by(keys, public, terms=study.terms, hospital=hospital):
        raise MessageError("keys: are not signed by this hospital for these terms")
    # Here, where whose they are is known: such keys stay out of the roster, and their hospital is told and waited for.
    check_keys(keys.sealing_key, keys.slot_keys, "keys")
    return keys


def roster_of(study: SumStudy, keys: RosterKeys) -> Roster:
    """Make the roster; MessageError, with the hospital's name where it is one's fault, unless all keys are good."""
    return join_roster(study.study, study.terms, study.thresholds, study.slots, study.signing_keys, keys)


def check_dealing(study: SumStudy, roster: Roster, hospital: str, body: bytes) -> None:
    """MessageError unless a hospital's dealing is whole and signs this very roster."""
    signature = Dealing.from_bytes(body, len(roster.members), len(roster.slots)).signature
    if not roster_signed_by(roster, study.terms, signature, study.signing_keys[hospital]):
        raise MessageError("dealing: does not sign this roster")


def brought_to(index: int, dealings: Iterable[bytes], members: int, slots: int) -> bytes:
    """Write what a member (its index, from 1) is brought: of each dealing, in the roster's order, what is for it.

    dealings: checked, as they came. The bytes of ``BroughtShares``, cut out without reading each share.
    """
    parts = []
    for dealing in dealings:
        parts.append(dealing[:SIGNATURE_BYTES])
        for slot in range(slots):
            at = SIGNATURE_BYTES + (slot * members + index - 1) * DEALT_BYTES
            parts.append(dealing[at : at + DEALT_BYTES])
    return b"".join(parts)


def dealt_digests(shares: bytes) -> tuple[bytes, ...]:
    """Give the hashes that stand in shares as they travel (``DEALT_BYTES`` each), in their order."""
    return tuple(
        shares[at - DIGEST_BYTES : at] for at in range(DEALT_BYTES, len(shares) + DEALT_BYTES, DEALT_BYTES)
    )


def failed_dealers(study: SumStudy, hospital: str, body: bytes) -> tuple[str, ...]:
    """Name the dealers whose signature or shares this hospital could not take; MessageError for bad bytes."""
    taken = TakenShares.from_bytes(body, len(study.members))
    return tuple(study.members[index - 1] for index in taken.failed)
