"""Files are whole or what they were, whatever the disk does; parts that got no name are removed."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from wardround.protocol import files
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import part_in, read_bounded, read_private, settle, write_durably


def full_disk(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_what_stands_in_the_place_of_a_part_is_not_written_to(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "list"
    other.write_bytes(b"another's")
    for put in (lambda part: part.symlink_to(other), lambda part: part.hardlink_to(other), os.mkfifo):
        put(tmp_path / "list.part")
        write_durably(path, b"new", 0o600)
        assert (other.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"another's", b"new", False)


def test_a_part_is_its_owners_alone_and_is_removed_with_what_sqlite_laid_beside_it(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), part_in(tmp_path) as part:
        assert part.stat().st_mode & 0o777 == 0o600
        part.with_name(part.name + "-wal").touch()
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_settled_part_has_its_name_and_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with part_in(tmp_path) as part:
        part.write_bytes(b"new")
        settle(part, tmp_path / "file")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_part_that_cannot_be_made_durable_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"), part_in(tmp_path) as part:
        settle(part, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_secrets_that_others_may_read_are_refused_and_not_quoted(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hush")
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as told:
        read_private(path, "mail.password_file", 10)
    line = f"mail.password_file={path}: others may read it (mode {mode:o}); chmod 600 {path}"
    assert str(told.value) == line


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_secrets_of_their_owner_alone_are_read_within_the_bound(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hush")
    path.chmod(mode)
    assert (read_private(path, "key", 4), read_private(path, "key", 2)) == (b"hush", b"hus")
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "none", "key", 4)


@pytest.mark.parametrize("read", [read_bounded, lambda path, most: read_private(path, "key", most)])
def test_a_named_pipe_is_no_file_and_holds_nobody_up(tmp_path: Path, read: Callable[..., bytes]) -> None:
    """A pipe in the place of a home's file held each command until somebody wrote to it."""
    path, failed = tmp_path / "policy.yaml", list[str]()
    os.mkfifo(path, 0o600)

    def try_it() -> None:
        with suppress(OSError):
            read(path, 10)
        failed.append("ended")

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(10)
    assert failed == ["ended"]
    with pytest.raises(OSError, match="a named pipe, not a file"):
        read(path, 10)


def test_what_a_shell_opened_for_the_program_is_read_to_its_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def write_slowly() -> None:
        for part in (b"three ", b"green ", b"horses"):
            time.sleep(0.02)  # the reader must wait, not take an empty pipe for its end
            os.write(writing, part)
        os.close(writing)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert read_bounded(Path(f"/dev/fd/{reading}"), 100) == b"three green horses"
    thread.join()
    os.close(reading)
