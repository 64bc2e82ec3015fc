"""Which fields each kind of a ledger's entry has, and what each may hold.

Fields are digests, public keys, names, numbers and times: there is no place for a patient's data, nor for
anything computed from it. The one free text is the reason that a person types for a decision.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.text.text import DIGEST_PATTERN, is_line
from wardround.protocol.wire.signing import checked_public_key

_LONGEST_TEXT = 500
MOST_HEADS = 100
"""How many heads that others hold one entry takes in."""

Field = str | int | float
_Check = Callable[[object], bool]


def _text(pattern: str) -> _Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _printable(most: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= most and value.isprintable()


def _number(least: float, most: float) -> _Check:
    def within(value: object) -> bool:
        # `type`, since True is an int too; `isinstance` is for the type checker.
        return type(value) in (int, float) and isinstance(value, int | float) and least <= value <= most

    return within


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


_DIGEST, _WORD = _text(DIGEST_PATTERN), _text("[a-z0-9_.]{1,64}")
_NAME, _REASON = _printable(200), _printable(500)
_POSITIVE, _EPSILON, _SHARE, _ROUND = _number(1e-9, 1e9), _number(0, 1e9), _number(1e-12, 1), _whole(0, 10**9)
_HELD = _text(f"|{DIGEST_PATTERN}")
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
        "held": _HELD,
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
    "recovered": {"heads": _text(f"|{DIGEST_PATTERN}( {DIGEST_PATTERN}){{0,{MOST_HEADS - 1}}}"), **_PERSON},
    "known_by": {"digest": _DIGEST, "form": _WORD},
    "roster": {**_STUDY, "roster": _DIGEST, "held": _HELD},
    "survivors": {
        **_STUDY,
        "account": lambda value: value in ACCOUNTS,
        "round": _ROUND,
        "label": _DIGEST,
        "survivors": _text(r"[1-9][0-9]{0,3}( [1-9][0-9]{0,3}){0,999}"),
        "request": _DIGEST,
        "answer": _DIGEST,
        "expires_at": _time,
        "held": _HELD,
    },
    "contradiction": {
        **_STUDY,
        "account": lambda value: value in ACCOUNTS,
        "round": _ROUND,
        "first": _DIGEST,
        "second": _DIGEST,
    },
    "assumed": {
        **_STUDY,
        **_COST,
        "releases": _whole(0, 10**9),
    },
}
CHAIN: dict[str, _Check] = {
    "sequence": _whole(1, 10**12),
    "time": _time,
    "previous": _DIGEST,
    "nonce": _text("[0-9a-f]{32}"),
}
_UNMASKED: dict[str, _Check] = {
    "unmasked_noise_multiplier": _POSITIVE,
    "epsilon_unmasked_study": _EPSILON,
    "epsilon_unmasked_operator": _EPSILON,
    "epsilon_unmasked_life": _EPSILON,
}
_OPTIONAL: Mapping[str, Mapping[str, _Check]] = {
    "charged": {"label": _DIGEST, **_UNMASKED},
    "assumed": _UNMASKED,
    "approved": {"expires_at": _time},
}
"""What an entry may have besides: a charge for a secure sum says which (``secure_sum.label``), and what of the noise
is left without masks. Each ε without masks stands where a sum was ever charged; elsewhere it is the ε beside it. An
approval says until when the terms were approved."""
# 0.1.0 knew none of these: one of them without a nonce is forged.
_OLD_KINDS = FIELDS.keys() - {
    "clock",
    "recovered",
    "assumed",
    "known_by",
    "roster",
    "survivors",
    "contradiction",
}
LONG_FIELDS = ("heads", "survivors")
"""Fields that may be longer than a line; their own patterns bound them."""


def fault_of(plain: Mapping[str, object]) -> str | None:
    """Name the first field that does not fit an entry's kind, the kind's own name and the chain's fields among them."""
    kind = plain.get("kind")
    checks = FIELDS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        return "kind"
    optional = {name: holds for name, holds in _OPTIONAL.get(str(kind), {}).items() if name in plain}
    new = "nonce" in plain or kind not in _OLD_KINDS
    checks = {**checks, **optional, **CHAIN} if new else _checks_of_old(checks)
    for name in plain.keys() - checks.keys() - {"kind"}:
        return f"unknown field {name}"
    # A masked charge that did not say what it costs without masks would count as private by itself.
    if "label" in optional and "unmasked_noise_multiplier" not in plain:
        return "unmasked_noise_multiplier"
    return next((name for name, holds in checks.items() if name not in plain or not holds(plain[name])), None)


def _checks_of_old(checks: Mapping[str, _Check]) -> dict[str, _Check]:
    """How 0.1.0 wrote an entry: a hospital loses nothing that it recorded then."""
    old = {name: _old_time if holds is _time else holds for name, holds in {**checks, **CHAIN}.items()}
    return {name: holds for name, holds in old.items() if name not in ("nonce", "held")}


def is_shown(text: Field) -> bool:
    """Whether what is written from now on is empty or a line; an older entry may hold what Python calls printable."""
    return not isinstance(text, str) or text == "" or is_line(text, _LONGEST_TEXT)


def utc_text(time: datetime) -> str:
    """Spell a time in UTC, in whole seconds, so that texts sort as times do."""
    return _in_utc(time, "seconds")


def _in_utc(time: datetime, timespec: str) -> str:
    return time.astimezone(UTC).isoformat(timespec=timespec)
