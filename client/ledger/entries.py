"""Entries of a ledger: their canonical form, hash and signature (``client.ledger.fields`` has what stands in them).

The hash of an entry leaves the hospital, in releases. So that nobody can search for what it commits to (when
the hospital computed, what it spent with others), every entry holds 128 random bits that never leave, and
times are whole seconds. Entries of 0.1.0 have neither; they stand before the first that has.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from wardround.client.ledger.budget import Charge, Spent
from wardround.client.ledger.fields import CHAIN, LONG_FIELDS, Field, fault_of, is_shown, utc_text
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.wire.signing import Purpose, SigningKey, verifies

LARGEST_ENTRY = 16_384


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
    fault = fault_of({**fields, **chain}) or next(
        (name for name, text in fields.items() if name not in LONG_FIELDS and not is_shown(text)), None
    )
    if fault:
        raise ConfigurationError(
            f"{fault}: does not fit an entry of kind {kind}; texts have one line and a limit"
        )
    body = canonical_json({**fields, **chain})
    # By the reader's own checks: nothing is written that could not be read again.
    return read_entry(body, key.sign(Purpose.LEDGER, body).hex())


def read_entry(body: bytes, signature: str) -> Entry:
    """Read a body in its one spelling, every field as its kind declares; LedgerError else.

    The signature is kept and not checked here (``signed_by``): that of a chain's last entry covers all.
    """
    try:
        plain = read_json(body, LARGEST_ENTRY)
        canonical = isinstance(plain, dict) and canonical_json(plain) == body
    except ValueError:
        canonical = False
    if not canonical or (fault := fault_of(plain)):
        newer = canonical and (fault == "kind" or str(fault).startswith("unknown field"))
        raise LedgerError(
            "an entry has a kind or a field that this release does not know: a newer release wrote it, or it was "
            "altered; install the newest release that was ever used with this ledger"
            if newer
            else "an entry does not have the form that this ledger writes: it was altered"
        )
    fields = {name: value for name, value in plain.items() if name not in CHAIN and name != "kind"}
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
    # bytes.fromhex also takes capitals and spaces: other spellings of the same signature.
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
    fields = {**cost_fields(charge), "round": charge.round, "weights": charge.weights_digest}
    return fields | ({"label": charge.label} if charge.label else {})


def cost_fields(charge: Charge) -> dict[str, Field]:
    """Spell who pays for what, whichever round it is."""
    event, unmasked = charge.event, charge.unmasked_noise_multiplier
    return {
        "operator": charge.operator,
        "study": charge.study,
        "terms": charge.terms,
        "account": charge.account,
        "noise_multiplier": event.noise_multiplier,
        "sampling_rate": event.sampling_rate,
        "steps": event.count,
        **({} if unmasked is None else {"unmasked_noise_multiplier": unmasked}),
    }


def charge_of_entry(entry: Entry) -> Charge:
    """Read the charge back; one that was assumed is of no round and of no weights."""
    fields = entry.fields
    unmasked = fields.get("unmasked_noise_multiplier")
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
        label=str(fields.get("label", "")),
        unmasked_noise_multiplier=None if unmasked is None else float(unmasked),
    )


def stated_fields(masked: Spent, unmasked: Spent) -> dict[str, Field]:
    """Spell the ε of a charge's scopes after it; without masks only where that differs."""
    fields: dict[str, Field] = {f"epsilon_{scope}": each for scope, each in zip(_SCOPES, masked, strict=True)}
    if unmasked != masked:
        fields |= {f"epsilon_unmasked_{scope}": each for scope, each in zip(_SCOPES, unmasked, strict=True)}
    return fields


def stated_of_entry(entry: Entry) -> tuple[Spent, Spent]:
    """Read back what a charge's entry states: ε, and ε if every mask failed."""
    fields = entry.fields
    masked = [float(fields[f"epsilon_{scope}"]) for scope in _SCOPES]
    unmasked = [float(fields.get(f"epsilon_unmasked_{scope}", masked[i])) for i, scope in enumerate(_SCOPES)]
    return Spent(*masked), Spent(*unmasked)


_SCOPES = ("study", "operator", "life")
"""Of ``Spent``, in its order."""
