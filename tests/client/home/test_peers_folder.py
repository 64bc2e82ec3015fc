"""The folder of imported peer files: one for each signer, by the whole digest of its key, the newest alone."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardround.client.home.peers_folder import keep_peers, kept_peers
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.peer_file import sign_peers
from wardround.protocol.wire.signing import new_key

KEY, OTHER = new_key(), new_key().public
NOW = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = sign_peers("south", {"west": OTHER}, NOW - timedelta(days=1), KEY)
SECOND = sign_peers("south", {}, NOW, KEY)
NAME = f"{hashlib.sha256(KEY.public.encode()).hexdigest()}.peers"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_named_by_the_whole_digest_of_its_signers_key(tmp_path: Path) -> None:
    """Of 64 bits somebody finds two keys: the second one's file was then refused for the first one's sake."""
    folder = tmp_path / "peers"
    for _ in range(2):
        keep_peers(folder, FIRST, NOW)
        assert names(folder) == [NAME]


def test_a_file_of_an_earlier_name_is_its_signers_earlier_one(tmp_path: Path) -> None:
    for kept, brought in ((FIRST, SECOND), (SECOND, SECOND)):
        folder = tmp_path / kept.signed_at.isoformat()
        folder.mkdir()
        (folder / f"{NAME[:16]}.peers").write_bytes(kept.content)
        keep_peers(folder, brought, NOW)
        assert names(folder) == [NAME]
        assert kept_peers(folder).files == (SECOND,)
    folder = tmp_path / "back"
    folder.mkdir()
    (folder / f"{NAME[:16]}.peers").write_bytes(SECOND.content)
    with pytest.raises(ConfigurationError, match="is here already"):
        keep_peers(folder, FIRST, NOW)
    assert names(folder) == [f"{NAME[:16]}.peers"]


def test_what_is_damaged_is_named_and_keeps_no_other_signers_file_out(tmp_path: Path) -> None:
    (tmp_path / "rubbish.peers").write_bytes(b"rubbish")
    keep_peers(tmp_path, FIRST, NOW)
    (tmp_path / NAME).write_bytes(b"rubbish")
    with pytest.raises(ConfigurationError, match=f"{NAME}.*remove it"):
        keep_peers(tmp_path, SECOND, NOW)
