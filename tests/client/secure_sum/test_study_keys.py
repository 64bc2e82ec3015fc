"""The file of a study's keys: whole or refused, for its owner alone, gone when its time has come."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardround.client.secure_sum.study_keys import StudyKeyFiles, StudyKeys
from wardround.protocol.errors import Refusal
from wardround.protocol.secure_sum.keys import new_study_secret
from wardround.protocol.secure_sum.sharing import SHARE_BYTES

TERMS, OPERATOR = "ab" * 32, "ed25519:" + "A" * 43
NOW = datetime(2030, 1, 1, tzinfo=UTC)
OPENED = tuple(
    tuple(bytes([dealer, slot]) + bytes(SHARE_BYTES - 2) for slot in range(3)) for dealer in range(4)
)


@pytest.fixture
def files(tmp_path: Path) -> StudyKeyFiles:
    return StudyKeyFiles(tmp_path / "sums")


def the_file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "sums").iterdir()
    return file


@pytest.mark.parametrize(
    ("roster_keys", "opened"), [(b"", ()), (b"keys\nof all", ()), (b"keys\nof all", OPENED)]
)
def test_what_is_saved_is_read_back(
    files: StudyKeyFiles, roster_keys: bytes, opened: tuple[tuple[bytes, ...], ...]
) -> None:
    keys = StudyKeys(new_study_secret(), NOW, roster_keys, opened)
    files.save(OPERATOR, TERMS, keys)
    read = files.load(OPERATOR, TERMS)
    assert read is not None
    assert read.secret.to_bytes() == keys.secret.to_bytes()
    assert (read.expires_at, read.roster_keys, read.opened) == (NOW, roster_keys, opened)
    assert files.load("ed25519:" + "B" * 43, TERMS) is None
    assert files.load(OPERATOR, "cd" * 32) is None


def test_nothing_of_it_is_shown(files: StudyKeyFiles) -> None:
    keys = StudyKeys(new_study_secret(), NOW, b"roster", OPENED)
    assert keys.secret.to_bytes().hex() not in repr(keys)
    assert "secret" not in repr(keys)


def test_a_file_that_is_damaged_is_refused_and_not_taken_for_none(
    files: StudyKeyFiles, tmp_path: Path
) -> None:
    files.save(OPERATOR, TERMS, StudyKeys(new_study_secret(), NOW, b"roster", OPENED))
    file = the_file(tmp_path)
    whole = file.read_bytes()
    # Another number of dealers would cut the shares elsewhere: each byte of the head counts too.
    others = (whole.replace(b'"dealers":4', b'"dealers":2'), whole.replace(b"2030", b"2031"))
    for content in (
        b"",
        b"{}\n",
        whole[:-1],
        whole[:40],
        bytes(len(whole)),
        whole[:-1] + b"x",
        b"\xff" * 9,
        *others,
    ):
        file.write_bytes(content)
        with pytest.raises(Refusal) as refused:
            files.load(OPERATOR, TERMS)
        assert refused.value.clause == "study_keys"


def test_expired_files_are_deleted_and_others_stay(files: StudyKeyFiles, tmp_path: Path) -> None:
    files.save(OPERATOR, TERMS, StudyKeys(new_study_secret(), NOW))
    files.save(OPERATOR, "cd" * 32, StudyKeys(new_study_secret(), NOW + timedelta(days=2)))
    assert files.forget_expired(NOW - timedelta(seconds=1)) == 0
    assert files.forget_expired(NOW + timedelta(days=1)) == 1
    assert files.load(OPERATOR, TERMS) is None
    assert files.load(OPERATOR, "cd" * 32) is not None
    # A crash while it is overwritten leaves zeros, at least at its beginning: what is left goes too.
    file = the_file(tmp_path)
    file.write_bytes(bytes(10) + file.read_bytes()[10:])
    assert files.forget_expired(NOW) == 1
    assert not list((tmp_path / "sums").iterdir())


def test_what_a_crash_left_half_written_is_deleted_at_the_next_start(
    files: StudyKeyFiles, tmp_path: Path
) -> None:
    files.save(OPERATOR, TERMS, StudyKeys(new_study_secret(), NOW))
    whole = the_file(tmp_path)
    part = whole.with_name(whole.name + ".part")
    part.write_bytes(whole.read_bytes()[:50])
    os.link(whole, whole.with_name(whole.name + ".before"))
    files.forget_parts()
    assert the_file(tmp_path) == whole
    assert files.load(OPERATOR, TERMS) is not None


def test_what_cannot_be_read_keeps_no_other_from_being_deleted(
    files: StudyKeyFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files.save(OPERATOR, TERMS, StudyKeys(new_study_secret(), NOW))
    (tmp_path / "sums" / "0.keys").write_bytes(b"rubbish")
    assert files.forget_expired(NOW) == 1
    assert "0.keys" in caplog.text


def test_a_disk_that_takes_no_file_is_a_clause(files: StudyKeyFiles, tmp_path: Path) -> None:
    (tmp_path / "sums").write_text("a file where the folder should be")
    with pytest.raises(Refusal) as refused:
        files.save(OPERATOR, TERMS, StudyKeys(new_study_secret(), NOW))
    assert refused.value.clause == "study_keys"


def test_what_was_saved_before_is_overwritten(files: StudyKeyFiles, tmp_path: Path) -> None:
    keys = StudyKeys(new_study_secret(), NOW)
    files.save(OPERATOR, TERMS, keys)
    file = the_file(tmp_path)
    os.link(file, tmp_path / "blocks")
    files.save(OPERATOR, TERMS, replace(keys, opened=OPENED))
    assert not any((tmp_path / "blocks").read_bytes())
    assert the_file(tmp_path) == file


def test_one_operators_studies_are_bounded_and_keep_no_others_out(
    files: StudyKeyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no person approves, an operator may propose studies without end."""
    keys, other = StudyKeys(new_study_secret(), NOW), "ed25519:" + "B" * 43
    monkeypatch.setattr("wardround.client.secure_sum.study_keys.MOST_STUDIES", 3)
    for number in range(3):
        files.save(OPERATOR, f"{number:064x}", keys)
    with pytest.raises(Refusal, match="3 studies of this operator have keys here already") as refused:
        files.save(OPERATOR, "9" * 64, keys)
    assert refused.value.clause == "study_keys"
    files.save(OPERATOR, f"{1:064x}", replace(keys, opened=OPENED))  # one of them goes on
    files.save(other, "9" * 64, keys)
    assert files.forget_expired(NOW) == 4
    files.save(OPERATOR, "9" * 64, keys)
    monkeypatch.setattr("wardround.client.secure_sum.study_keys.LARGEST_KEPT", 600)
    with pytest.raises(Refusal, match="at most 3 studies and 600 bytes"):
        files.save(OPERATOR, "8" * 64, replace(keys, opened=OPENED))
