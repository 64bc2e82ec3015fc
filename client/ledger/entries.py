"""Entries of a ledger: which fields each kind has, their canonical form, hash and signature.

Fields are digests, public keys, names, numbers and times: there is no place for a patient's data, nor for
anything computed from it. The one free text is the reason that a person types for a decision.

The hash of an entry leaves the hospital, in releases. So that nobody can search for what it commits to (when
the hospital computed, what it spent with others), every entry holds 128 random bits that never leave, and
times are whole seconds. Entries of 0.1.0 have neither; they stand before the first that has.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from client.ledger.budget import Charge
from protocol.accounting import PrivacyEvent
from protocol.canonical import canonical_json
from protocol.errors import ConfigurationError, LedgerError
from protocol.plain import read_json
from protocol.signing import Purpose, SigningKey, checked_public_key, verifies
from protocol.terms import ACCOUNTS
from protocol.text import is_line

LARGEST_ENTRY = 16_384
_LONGEST_TEXT = 500
MOST_HEADS = 100
"""How many heads that others hold one entry takes in."""
_HEAD = "[0-9a-f]{64}"

Field = str | int | float
_Check = Callable[[object], bool]


def _text(pattern: str) -> _Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _printable(most: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= most and value.isprintable()


def _number(least: float, most: float) -> _Check:
    return lambda value: type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _whole(least: int, most: int) -> _Check:
    return lambda value: type(value) is int and least <= value <= most


def _key(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(checked_public_key(value))
    except ConfigurationError:
        return False


def _time(value: object) -> bool:
    return _is_spelt(value, "seconds")


def _old_time(value: object) -> bool:
    return _is_spelt(value, "microseconds")


def _is_spelt(value: object, timespec: str) -> bool:
    try:
        return isinstance(value, str) and _in_utc(datetime.fromisoformat(value), timespec) == value
    except (ValueError, OverflowError):
        return False


_DIGEST, _WORD = _text("[0-9a-f]{64}"), _text("[a-z0-9_.]{1,64}")
_NAME, _REASON = _printable(200), _printable(500)
_POSITIVE, _EPSILON, _SHARE, _ROUND = _number(1e-9, 1e9), _number(0, 1e9), _number(1e-12, 1), _whole(0, 10**9)
_STUDY: dict[str, _Check] = {"operator": _key, "study": _NAME, "terms": _DIGEST}
_PERSON: dict[str, _Check] = {"reason": _REASON, "person": _NAME}
_COST: dict[str, _Check] = {
    "account": lambda value: value in ACCOUNTS,
    "noise_multiplier": _POSITIVE,
    "sampling_rate": _SHARE,
    "steps": _whole(1, 10**9),
    "delta": _SHARE,
    "epsilon_study": _EPSILON,
    "epsilon_operator": _EPSILON,
    "epsilon_life": _EPSILON,
    "code": _NAME,
}

FIELDS: Mapping[str, Mapping[str, _Check]] = {
    "charged": {
        **_STUDY,
        **_COST,
        "round": _ROUND,
        "weights": _DIGEST,
        "held": _text("|[0-9a-f]{64}"),
    },
    "released": {"charge": _DIGEST, "release": _DIGEST, "expires_at": _time},
    "refused": {
        "operator": lambda value: value == "" or _key(value),
        "study": _NAME,
        "round": _ROUND,
        "clause": _WORD,
    },
    "approved": {**_STUDY, **_PERSON},
    "declined": {**_STUDY, **_PERSON},
    "rotated": {"operator": _key, "successor": _key, **_PERSON},
    "revoked": {"operator": _key, **_PERSON},
    "note": {"topic": _WORD, **_PERSON},
    "clock": _PERSON,
    "recovered": {"heads": _text(f"|{_HEAD}( {_HEAD}){{0,{MOST_HEADS - 1}}}"), **_PERSON},
    "assumed": {
        **_STUDY,
        **_COST,
        "releases": _whole(0, 10**9),
    },
}
_CHAIN: dict[str, _Check] = {
    "sequence": _whole(1, 10**12),
    "time": _time,
    "previous": _DIGEST,
    "nonce": _text("[0-9a-f]{32}"),
}
_OLD_KINDS = FIELDS.keys() - {"clock", "recovered", "assumed"}


@dataclass(frozen=True)
class Entry:
    """One signed entry. body is its canonical JSON; hash the SHA-256 of body; signature is hex.

    nonce: 128 random bits in hex, empty in an entry of 0.1.0.
    """

    kind: str
    sequence: int
    time: datetime
    previous: str
    fields: Mapping[str, Field]
    body: bytes
    hash: str
    signature: str
    nonce: str


def make_entry(
    kind: str, sequence: int, time: datetime, previous: str, fields: Mapping[str, Field], key: SigningKey
) -> Entry:
    """Check the fields against their kind, and sign; ConfigurationError names a field that does not fit."""
    chain = {
        "kind": kind,
        "sequence": sequence,
        "time": utc_text(time),
        "previous": previous,
        # With 0.1.0 a server found the microsecond of a charge, and so how long a round took: one core, 5 s.
        "nonce": os.urandom(16).hex(),
    }
    fault = _fault({**fields, **chain}) or next(
        (name for name, text in fields.items() if name != "heads" and not _is_shown(text)), None
    )
    if fault:
        raise ConfigurationError(
            f"{fault}: does not fit an entry of kind {kind}; texts have one line and a limit"
        )
    body = canonical_json({**fields, **chain})
    return read_entry(body, key.sign(Purpose.LEDGER, body).hex())


def _is_shown(text: Field) -> bool:
    """Whether what is written from now on is empty or a line; an older entry may hold what Python calls printable."""
    return not isinstance(text, str) or text == "" or is_line(text, _LONGEST_TEXT)


def read_entry(body: bytes, signature: str) -> Entry:
    """Read a body in its one spelling, every field as its kind declares; LedgerError else.

    The signature is kept and not checked here (``signed_by``): that of a chain's last entry covers all.
    """
    try:
        plain = read_json(body, LARGEST_ENTRY)
        canonical = isinstance(plain, dict) and canonical_json(plain) == body
    except ValueError:
        canonical = False
    if not canonical or _fault(plain):
        raise LedgerError("an entry is not of the form that this ledger writes: it was altered")
    fields = {name: value for name, value in plain.items() if name not in _CHAIN and name != "kind"}
    time = datetime.fromisoformat(plain["time"])
    digest = hashlib.sha256(body).hexdigest()
    return Entry(
        kind=plain["kind"],
        sequence=plain["sequence"],
        time=time,
        previous=plain["previous"],
        fields=fields,
        body=body,
        hash=digest,
        signature=signature,
        nonce=plain.get("nonce", ""),
    )


def signed_by(entry: Entry, public: str) -> bool:
    """Whether the hospital's key signed the entry, its signature in its one spelling."""
    if not re.fullmatch("[0-9a-f]{128}", entry.signature):
        return False
    return verifies(public, Purpose.LEDGER, entry.body, bytes.fromhex(entry.signature))


def require_next(entry: Entry, sequence: int, previous: str) -> None:
    """Refuse an entry that does not follow the one before it in number and hash."""
    if entry.sequence != sequence or entry.previous != previous:
        raise LedgerError(
            f"entry {entry.sequence} does not follow entry {sequence - 1}: some were removed, added or moved"
        )


def charge_fields(charge: Charge) -> dict[str, Field]:
    """Spell what a charge says, without what the ledger adds to it."""
    return {**cost_fields(charge), "round": charge.round, "weights": charge.weights_digest}


def cost_fields(charge: Charge) -> dict[str, Field]:
    """Spell who pays for what, whichever round it is."""
    event = charge.event
    return {
        "operator": charge.operator,
        "study": charge.study,
        "terms": charge.terms,
        "account": charge.account,
        "noise_multiplier": event.noise_multiplier,
        "sampling_rate": event.sampling_rate,
        "steps": event.count,
    }


def charge_of_entry(entry: Entry) -> Charge:
    """Read the charge back; one that was assumed is of no round and of no weights."""
    fields = entry.fields
    return Charge(
        operator=str(fields["operator"]),
        study=str(fields["study"]),
        terms=str(fields["terms"]),
        round=int(fields.get("round", 0)),
        weights_digest=str(fields.get("weights", "")),
        event=PrivacyEvent(
            float(fields["noise_multiplier"]), float(fields["sampling_rate"]), int(fields["steps"])
        ),
        account=str(fields["account"]),
    )


def utc_text(time: datetime) -> str:
    """Spell a time in UTC, in whole seconds, so that texts sort as times do."""
    return _in_utc(time, "seconds")


def _in_utc(time: datetime, timespec: str) -> str:
    return time.astimezone(UTC).isoformat(timespec=timespec)


def _fault(plain: Mapping[str, object]) -> str | None:
    kind = plain.get("kind")
    checks = FIELDS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        return "kind"
    checks = {**checks, **_CHAIN} if "nonce" in plain or kind not in _OLD_KINDS else _checks_of_old(checks)
    for name in plain.keys() - checks.keys() - {"kind"}:
        return f"unknown field {name}"
    return next((name for name, holds in checks.items() if name not in plain or not holds(plain[name])), None)


def _checks_of_old(checks: Mapping[str, _Check]) -> dict[str, _Check]:
    """How 0.1.0 wrote an entry: a hospital loses nothing that it recorded then."""
    old = {name: _old_time if holds is _time else holds for name, holds in {**checks, **_CHAIN}.items()}
    return {name: holds for name, holds in old.items() if name not in ("nonce", "held")}
