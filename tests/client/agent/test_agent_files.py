"""A round reads tables and writes its ledger and its log: features never reach a disk."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

WRITTEN = {
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-shm",
    "ledger.head",
    "rounds.jsonl",
    "servers.json",
}
"""Beside the ledger: which rounds were computed from the tables, and which release the server is of."""
_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    """Keep every path that Python opens for writing while somebody listens; an audit hook stays for good."""
    if _opened is not None and event == "open":
        path, _, flags = arguments
        if isinstance(path, str) and isinstance(flags, int) and flags & 3:
            _opened.append(path)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    global _opened
    sys.addaudithook(_note)
    _opened = []
    yield _opened
    _opened = None


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_round_writes_ledger_and_log_and_no_other_file(approved, opened, tmp_path, monkeypatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = contents(approved.folder)
    opened.clear()
    approved.released(1)
    heard = list(opened)
    after = contents(approved.folder)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed <= WRITTEN
    assert "ledger.sqlite" in {name.removesuffix("-wal") for name in changed}
    assert not [path for path in temporary.rglob("*") if path.is_file()]  # torch makes an empty folder
    assert heard
    assert {Path(path).name.removesuffix(".part") for path in heard} <= WRITTEN
