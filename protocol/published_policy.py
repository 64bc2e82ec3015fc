"""What a hospital chooses to publish of its policy, so that an operator sees beforehand what it would refuse.

Its limits alone: who may propose studies there, who approves, how many patients it has, and what it has spent
stay at home. Nothing in it depends on a table or on the ledger. One line of canonical JSON, signed by the
hospital with the key that signs its releases.
"""

import json
import math
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from pathlib import Path

from protocol.canonical import canonical_json
from protocol.errors import ConfigurationError
from protocol.limits import Limits
from protocol.signing import Purpose, SigningKey, checked_public_key, read_bounded, verifies, write_new
from protocol.text import checked_name

FORMAT = "wardround-policy-1"
LARGEST = 2**20


@dataclass(frozen=True, kw_only=True)
class PublishedPolicy:
    """One hospital's limits on a day. signing_key: the public key that ``signature`` verifies under."""

    hospital: str
    published_at: str
    limits: Limits
    signing_key: str
    signature: str = field(repr=False)


def publish_policy(hospital: str, limits: Limits, now: datetime, key: SigningKey) -> PublishedPolicy:
    """Sign the limits, and only them, also of a policy that holds more."""
    day = now.date().isoformat()
    own = Limits(**{one.name: getattr(limits, one.name) for one in fields(Limits)})
    payload = _signing_bytes(checked_name(hospital), day, own, key.public)
    signature = key.sign(Purpose.POLICY, payload).hex()
    return PublishedPolicy(
        hospital=hospital, published_at=day, limits=own, signing_key=key.public, signature=signature
    )


def save_policy(published: PublishedPolicy, path: Path) -> None:
    """Write the file; never overwrites."""
    plain = _plain(published.hospital, published.published_at, published.limits, published.signing_key)
    write_new(
        path, canonical_json({**plain, "format": FORMAT, "signature": published.signature}) + b"\n", 0o644
    )


def load_policy(path: Path) -> PublishedPolicy:
    """Read a file and verify its signature; one ConfigurationError for whatever is wrong with it."""
    try:
        content = read_bounded(path, LARGEST)
        plain = json.loads(content) if len(content) <= LARGEST else {}
        if plain.pop("format") != FORMAT:
            raise ValueError("another format")
        signature = bytes.fromhex(plain.pop("signature"))
        published = PublishedPolicy(
            **{**plain, "limits": _limits(plain["limits"])}, signature=signature.hex()
        )
        payload = canonical_json(plain)
    except OSError as error:
        raise ConfigurationError(f"policy={path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"policy={path}: is not a file of the format {FORMAT}") from error
    checked_name(published.hospital)
    if not verifies(checked_public_key(published.signing_key), Purpose.POLICY, payload, signature):
        raise ConfigurationError(f"policy={path}: its signature does not fit; ask the hospital for it again")
    return published


def _plain(hospital: str, day: str, limits: Limits, signing_key: str) -> dict[str, object]:
    values = {one.name: getattr(limits, one.name) for one in fields(Limits)}
    # JSON has no infinity: a limit that is not set stands as null.
    spelled = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    texts = {name: list(value) if isinstance(value, tuple) else value for name, value in spelled.items()}
    return {"hospital": hospital, "published_at": day, "limits": texts, "signing_key": signing_key}


def _signing_bytes(hospital: str, day: str, limits: Limits, signing_key: str) -> bytes:
    return canonical_json(_plain(hospital, day, limits, signing_key))


def _limits(plain: dict[str, object]) -> Limits:
    """Read limits, each of the type of its default; ValueError for anything else."""
    defaults = {one.name: 0.0 if one.default is MISSING else one.default for one in fields(Limits)}
    if set(plain) != set(defaults):
        raise ValueError("other limits")
    return Limits(**{name: _value(plain[name], default) for name, default in defaults.items()})  # type: ignore[arg-type]


def _value(value: object, default: object) -> object:
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
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
