"""A hospital's peer file: who it is, and which hospitals it knows itself. What it knows by others is never in it.

A signed file (``protocol.wire.signed_file``), by the key that signs the hospital's releases. Whoever knows that
hospital directly takes each name and key in the file for vouched by it. A file by a stranger's key is worth nothing,
and vouchers make no chains: what a file says was compared by its own signer with the peer.

A hospital that removed a peer signs a new file. Which of two files of one signer counts, its time says: the later
one. The time is the signer's own, at least that of its ledger's last entry, so that a restored home does not go back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.text import ALLOWED_IN_NAMES, checked_name, is_name, visible
from wardround.protocol.wire.signed_file import FileForm, load_content, read_signed, signed_content
from wardround.protocol.wire.signing import Purpose, SigningKey, checked_public_key

MOST_PEERS = 1000
PEERS = FileForm(
    kind="peers",
    format="wardround-peers-1",
    purpose=Purpose.PEERS,
    signer="signing_key",
    parts=("hospital", "signed_at", "peers"),
    giver="that hospital",
    most=2**18,
)


@dataclass(frozen=True, kw_only=True)
class PeerFile:
    """Whom one hospital knows itself. peers: hospital → signing key. signed_at: UTC, whole seconds.

    content: the file's bytes, every one of them signed. Made by ``sign_peers`` and ``read_peers`` alone.
    """

    hospital: str
    signing_key: str
    signed_at: datetime
    peers: Mapping[str, str]
    content: bytes = field(repr=False)

    def agrees(self, name: str, key: str) -> bool:
        """Whether nothing in it says another key for this name, or another name for this key."""
        return self._keys.get(name, key) == key and self._names.get(key, name) == name

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {**self.peers, self.hospital: self.signing_key}

    @cached_property
    def _names(self) -> dict[str, str]:
        return {key: name for name, key in self._keys.items()}


def sign_peers(hospital: str, peers: Mapping[str, str], now: datetime, key: SigningKey) -> PeerFile:
    """Sign what this hospital vouches for; ConfigurationError for what no reader would take."""
    plain = {"hospital": hospital, "signed_at": _spelt(now), "peers": dict(peers)}
    # Read back as others will read it: a file that they would refuse must not leave.
    return read_peers(signed_content(PEERS, plain, key), "new")


def load_peers(path: Path) -> PeerFile:
    """Read a file and verify its signature; one ConfigurationError for whatever is wrong with it."""
    return read_peers(load_content(PEERS, path), path)


def check_not_ahead(file: PeerFile, now: datetime) -> None:
    """Refuse a file of tomorrow: no honest one that follows would count any more."""
    where = f"peers of {file.hospital}: signed_at"
    line = "is more than a day ahead of this machine's clock; ask that hospital to look at its clock"
    require(file.signed_at <= now + timedelta(days=1), where, _spelt(file.signed_at), line)


def check_identities(identities: Mapping[str, str], where: str) -> None:
    """Refuse names or keys that are none, and two names with one key: ConfigurationError with all faults at once."""
    faults = []
    for name, key in identities.items():
        try:
            checked_public_key(key)
        except ConfigurationError as error:
            faults.append(f"{where}.{visible(name, 60)}: {error}")
        if not is_name(name):
            faults.append(f"{where}.{visible(name, 60)}: {ALLOWED_IN_NAMES}")
    faults += [f"{where}: {visible(one)} and {visible(two)} have one key" for one, two in _twins(identities)]
    if faults:
        raise ConfigurationError("; ".join(faults))


def _twins(identities: Mapping[str, str]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    return [
        (first[key], name) for name, key in identities.items() if first.setdefault(str(key), name) != name
    ]


def read_peers(content: bytes, name: object) -> PeerFile:
    """Verify a file's bytes, then read them; one ConfigurationError, with the name, for whatever is wrong."""
    where = f"peers={name}"
    plain = read_signed(PEERS, content, name)
    peers, hospital = plain["peers"], checked_name(plain["hospital"], f"{where}: hospital")
    require(isinstance(peers, dict), where, "…", "does not hold names and keys; ask for it again")
    require(len(peers) <= MOST_PEERS, where, f"{len(peers)} peers", f"must be at most {MOST_PEERS}")
    check_identities(peers, where)
    own = hospital in peers or plain["signing_key"] in peers.values()
    require(not own, where, hospital, "names its own signer among its peers; ask for it again")
    return PeerFile(
        hospital=hospital,
        signing_key=plain["signing_key"],
        signed_at=_time(plain["signed_at"], where),
        peers=peers,
        content=content,
    )


def _time(text: object, where: str) -> datetime:
    """Read a time in its one spelling."""
    try:
        time = datetime.fromisoformat(str(text)).astimezone(UTC)
        fits = _spelt(time) == text
    except (ValueError, OverflowError):
        fits = False
    if not fits:
        raise ConfigurationError(f"{where}: signed_at is no time in UTC; ask for it again")
    return time


def _spelt(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
