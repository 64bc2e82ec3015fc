"""A file with a secret: replaced whole, its earlier bytes overwritten, and found again wherever a crash comes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wardround.client.secure_sum.secret_file as secret_file
from wardround.client.secure_sum.secret_file import erase, erase_leftovers, leftovers_of, replace_secret

OLD, NEW = b"the old secret" * 100, b"the new one" * 99


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "one.keys"
    replace_secret(path, OLD)
    return path


@pytest.fixture
def blocks(path: Path, tmp_path: Path) -> Path:
    """The old file's bytes where they lie, whatever becomes of its names."""
    (tmp_path / "disk").mkdir()
    other = tmp_path / "disk" / "blocks"
    os.link(path, other)
    return other


def test_what_was_there_is_overwritten_and_what_is_there_is_the_owners_alone(
    path: Path, blocks: Path
) -> None:
    replace_secret(path, NEW)
    assert path.read_bytes() == NEW
    assert blocks.read_bytes() == bytes(len(OLD))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir() if one.is_file()] == [path.name]
    os.link(path, blocks.with_name("new"))
    erase(path)
    assert not path.exists()
    assert blocks.with_name("new").read_bytes() == bytes(len(NEW))


def test_where_a_file_has_one_name_only_it_is_overwritten_all_the_same(
    path: Path, blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    replace_secret(path, NEW)
    assert (path.read_bytes(), blocks.read_bytes()) == (NEW, bytes(len(OLD)))


def test_a_disk_that_fails_leaves_what_was_there(
    path: Path, blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_file, "settle", full)
    with pytest.raises(OSError, match="No space"):
        replace_secret(path, NEW)
    assert path.read_bytes() == blocks.read_bytes() == OLD
    assert not path.with_name("one.keys.part").exists()
    monkeypatch.undo()
    replace_secret(path, NEW)
    assert (path.read_bytes(), blocks.read_bytes()) == (NEW, bytes(len(OLD)))


def _killed(act: Callable[[], None]) -> None:
    """Run it in a process of its own, which somebody kills on the way."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)  # it was to be killed before
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _die(*_: Any, **__: Any) -> None:
    os._exit(9)


PLACES = (
    "before the new one is whole",
    "before its name",
    "after its name",
    "while overwriting",
    "at the end",
)


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_one_of_both_is_there_whole_and_the_next_start_erases_the_rest(
    path: Path, blocks: Path, place: str
) -> None:
    def act() -> None:
        whole = {name: getattr(secret_file, name) for name in ("settle", "_overwrite")}

        def settled(*given: Any) -> None:
            whole["settle"](*given)
            os._exit(9)

        def half(file: Any) -> None:
            file.seek(0)
            file.write(bytes(10))
            file.flush()
            os._exit(9)

        def overwritten(file: Any) -> None:
            whole["_overwrite"](file)
            os._exit(9)

        if place == PLACES[0]:
            os.link = _die  # type: ignore[assignment]
        elif place == PLACES[1]:
            secret_file.settle = _die  # type: ignore[assignment]
        elif place == PLACES[2]:
            secret_file.settle = settled  # type: ignore[assignment]
        else:
            secret_file._overwrite = half if place == PLACES[3] else overwritten  # type: ignore[assignment]
        replace_secret(path, NEW)

    _killed(act)
    taken = place not in PLACES[:2]
    assert path.read_bytes() == (NEW if taken else OLD)
    (left,) = leftovers_of(path.parent, ".keys")
    assert left == path
    erase_leftovers(left)
    assert path.read_bytes() == (NEW if taken else OLD)
    assert blocks.read_bytes() == (bytes(len(OLD)) if taken else OLD)
    assert [one.name for one in path.parent.iterdir() if one.is_file()] == [path.name]
    # And the same once more, without a start in between.
    replace_secret(path, b"third")
    assert blocks.read_bytes() == bytes(len(OLD))
