"""What a server keeps of its secure sums: whole or known to be damaged, and one set of survivors per slot."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.server.algorithm.sums import DIMENSION, MemoryStudy
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.secure_sum.exchange import Dealing, DealtShare
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.server.algorithm.screen import NoRelease
from wardround.server.algorithm.sum_trips import begin, fix, survivors_for, take_masked
from wardround.server.store import sum_files
from wardround.server.store.sum_files import SumFolder, SurvivorsLost

INTEGERS = np.arange(4 * DIMENSION).reshape(4, DIMENSION) * 10**9


@pytest.fixture(scope="module")
def four():
    return MemoryStudy(Thresholds(4, 1, 3))


@pytest.fixture
def fixed(four):
    trip = begin(four.asked)
    for index in (1, 3, 4):
        trip = take_masked(trip, four.sent(index, INTEGERS[index - 1]))
    return fix(take_masked(trip, NoRelease("h2", "late")))


@pytest.fixture
def folder(tmp_path):
    return SumFolder(tmp_path / "secure_sum")


def test_survivors_come_back_as_they_were_fixed(folder, four, fixed):
    assert folder.fixed(four.asked) is None
    folder.save_fixed(fixed)
    found = folder.fixed(four.asked)
    assert found.survivors == (1, 3, 4)
    assert np.array_equal(found.total, fixed.total)
    assert found.total.dtype == np.uint64
    assert (found.heads, found.refused) == (fixed.heads, {"h2": "late"})
    for index in range(1, 5):
        assert survivors_for(found, index).to_bytes() == survivors_for(fixed, index).to_bytes()


def test_survivors_that_are_damaged_or_of_another_sum_are_lost_and_never_named_anew(folder, four, fixed):
    folder.save_fixed(fixed)
    with pytest.raises(SurvivorsLost, match="belongs to another sum"):
        folder.fixed(replace(four.asked, label=bytes(32)))
    (path,) = (folder.folder / "training").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SurvivorsLost, match="is damaged"):
        folder.fixed(four.asked)


def test_survivors_that_cannot_be_read_now_are_not_lost(folder, four, fixed, monkeypatch):
    folder.save_fixed(fixed)

    def refused(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as during:
        during.setattr(Path, "read_bytes", refused)
        with pytest.raises(ConfigurationError, match="and is not damaged"):
            folder.fixed(four.asked)
    assert folder.fixed(four.asked).survivors == (1, 3, 4)


def test_survivors_that_a_newer_release_fixed_are_not_lost(folder, four, fixed, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(sum_files, "_FORMAT", "wardround-survivors-2")
        folder.save_fixed(fixed)
    with pytest.raises(ConfigurationError, match=r"is of a newer form \(wardround-survivors-2\)"):
        folder.fixed(four.asked)


def test_two_sets_of_survivors_of_one_slot_are_none(folder, four, fixed):
    folder.save_fixed(fixed)
    trip = begin(four.asked)
    for index in (1, 2, 3):
        trip = take_masked(trip, four.sent(index, INTEGERS[index - 1]))
    folder.save_fixed(fix(trip))
    with pytest.raises(SurvivorsLost):
        folder.fixed(four.asked)


def test_survivors_of_slots_before_are_dropped(folder, fixed):
    folder.save_fixed(fixed)
    later = replace(fixed.asked, slot=replace(fixed.asked.slot, number=1))
    folder.save_fixed(replace(fixed, asked=later))
    assert len(list((folder.folder / "training").iterdir())) == 1


def test_hashes_are_read_for_one_slot_off_each_dealing(folder, four):
    roster, digests = four.study.roster, four.study.slot_key_digests
    for index, member in enumerate(roster.members, 1):
        slots = tuple(
            tuple(DealtShare(bytes(81), digest) for digest in digests[slot][index]) for slot in roster.slots
        )
        folder.save_dealing(member.name, Dealing(bytes(64), slots).to_bytes())
    for slot in roster.slots:
        assert folder.slot_key_digests(roster, slot) == digests[slot]


def test_a_part_of_the_set_up_that_is_damaged_is_none(folder):
    assert (folder.keys(), folder.dealing("north"), folder.is_taken()) == (None, None, False)
    folder.save_keys(b"keys")
    folder.save_dealing("north", b"dealt")
    folder.save_taken()
    assert (folder.keys(), folder.dealing("north"), folder.is_taken()) == (b"keys", b"dealt", True)
    path = folder.folder / "north.dealing"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert folder.dealing("north") is None
