"""What a hospital chooses to publish of its policy, so that an operator sees beforehand what it would refuse.

Its limits alone: who may propose studies there, who approves, how many patients it has, and what it has spent
stay at home. Nothing in it depends on a table or on the ledger. A signed file (``protocol.wire.signed_file``), by the
key that signs the hospital's releases.
"""

import math
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.limits import Limits
from wardround.protocol.text.text import checked_name, is_line
from wardround.protocol.wire.signed_file import FileForm, load_content, read_signed, signed_content
from wardround.protocol.wire.signing import Purpose, SigningKey

FORM = FileForm(
    kind="policy",
    format="wardround-policy-2",
    purpose=Purpose.POLICY,
    signer="signing_key",
    parts=("hospital", "published_at", "limits"),
    giver="the hospital",
    most=2**20,
)


@dataclass(frozen=True, kw_only=True)
class PublishedPolicy:
    """One hospital's limits on a day. signing_key: the public key that it is signed with. content: the file's bytes."""

    hospital: str
    published_at: str
    limits: Limits
    signing_key: str
    content: bytes = field(repr=False)


def publish_policy(hospital: str, limits: Limits, now: datetime, key: SigningKey) -> PublishedPolicy:
    """Sign the limits, and only them, also of a policy that holds more."""
    # Field by field: a hospital's policy is a subclass, with operators and patients that stay at home.
    own = Limits(**{one.name: getattr(limits, one.name) for one in fields(Limits)})
    plain = {
        "hospital": checked_name(hospital),
        "published_at": now.date().isoformat(),
        "limits": _limits_to_plain(own),
    }
    return _published(signed_content(FORM, plain, key), "new")


def load_policy(path: Path) -> PublishedPolicy:
    """Read a file and verify its signature; one ConfigurationError for whatever is wrong with it."""
    return _published(load_content(FORM, path), path)


def _published(content: bytes, name: object) -> PublishedPolicy:
    plain = read_signed(FORM, content, name)
    checked_name(plain["hospital"], f"policy={name}: hospital")
    try:
        date.fromisoformat(plain["published_at"])
        limits = _limits(plain["limits"])
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"policy={name}: does not hold a policy's limits and a day; ask the hospital for it again"
        ) from error
    return PublishedPolicy(**{**plain, "limits": limits}, content=content)


def _limits_to_plain(limits: Limits) -> dict[str, object]:
    values = {one.name: getattr(limits, one.name) for one in fields(Limits)}
    # JSON has no infinity: a limit that is not set stands as null.
    spelled = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in spelled.items()}


def _limits(plain: dict[str, object]) -> Limits:
    """Read limits, each of the type of its default; ValueError for anything else."""
    defaults = {one.name: 0.0 if one.default is MISSING else one.default for one in fields(Limits)}
    if set(plain) != set(defaults):
        raise ValueError("other limits")
    values: dict[str, Any] = {name: _value(plain[name], default) for name, default in defaults.items()}
    return Limits(**values)


def _value(value: object, default: object) -> object:
    if isinstance(default, tuple):
        if isinstance(value, list) and all(is_line(item) for item in value):
            return tuple(value)
    # Before int: to Python, True is a whole number.
    elif isinstance(default, bool):
        if isinstance(value, bool):
            return value
    elif isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif value is None:
        return math.inf
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("a limit of another type")
