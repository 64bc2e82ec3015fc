"""Peer files that were imported, one for each signer: HOME/peers/SIGNER.peers. Which of them count, the policy says.

A signer whom the policy does not list vouches for nobody, and its file is kept all the same: put back into the policy
it must not vouch by an older file again.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.files import write_durably
from wardround.protocol.wire.peer_file import (
    MOST_PEERS,
    PEERS,
    PeerFile,
    check_not_ahead,
    read_peers,
)
from wardround.protocol.wire.signed_file import load_content

logger = logging.getLogger("wardround.hospital")

_SUFFIX = ".peers"


@dataclass(frozen=True)
class KeptPeers:
    """What the folder holds. faults: of each file that does not read, its name and why; it vouches for nobody."""

    files: tuple[PeerFile, ...]
    faults: tuple[str, ...]


def kept_peers(folder: Path) -> KeptPeers:
    """Read and verify all kept files."""
    files, faults = [], []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            files.append(_verified(load_content(PEERS, path), path.name))
        except WardroundError as error:
            faults.append(f"{path.name}: {error}")
            logger.warning("peers: %s: %s", path.name, error)
    return KeptPeers(tuple(files), tuple(faults))


@lru_cache(MOST_PEERS)
def _verified(content: bytes, name: str) -> PeerFile:
    # An agent asks at every plan: of 300 hospitals' files it would verify 90,000 keys each time.
    return read_peers(content, name)


def keep_peers(folder: Path, file: PeerFile, now: datetime) -> None:
    """Keep a signer's file in the place of its earlier one.

    ConfigurationError, and nothing is written, for a file that is older than the kept one, or another of the same
    second: whoever carries files could otherwise bring back a peer that the signer removed.
    """
    check_not_ahead(file, now)
    path, earlier = folder / f"{_word(file.signing_key)}{_SUFFIX}", _files_of(folder, file.signing_key)
    for kept in earlier.values():
        if file.signed_at <= kept.signed_at and file.content != kept.content:
            raise ConfigurationError(
                f"peers of {file.hospital}: signed {file.signed_at:%Y-%m-%d %H:%M:%S} UTC, and one of "
                f"{kept.signed_at:%Y-%m-%d %H:%M:%S} UTC is here already; nothing was done: ask that hospital "
                "for a new file"
            )
    if not earlier and len(list(folder.glob(f"*{_SUFFIX}"))) >= MOST_PEERS:
        raise ConfigurationError(f"peers: {MOST_PEERS} files are kept already; remove some of {folder}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if path not in earlier or earlier[path].content != file.content:
            write_durably(path, file.content, 0o644)
        # Under another name, which a person or an earlier version gave it.
        for other in earlier.keys() - {path}:
            other.unlink()
    except OSError as error:
        raise ConfigurationError(f"path={path}: cannot be written ({error.strerror})") from error


def _files_of(folder: Path, signer: str) -> dict[Path, PeerFile]:
    """Find the files of one signer, whatever their names; ConfigurationError where the one of its name is damaged."""
    found = {}
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            file = _verified(load_content(PEERS, path), path.name)
        except WardroundError as error:
            if path.stem == _word(signer):
                raise ConfigurationError(f"{path.name}: {error}; remove it") from error
            continue
        if file.signing_key == signer:
            found[path] = file
    return found


def _word(signer: str) -> str:
    # By the key: two hospitals may call themselves by one name. All of its digest: of 64 bits somebody can find two
    # keys, and have the second one's file refused for the first one's sake.
    return hashlib.sha256(signer.encode()).hexdigest()
