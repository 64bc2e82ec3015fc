"""How far a hospital's clock is off is noted, of those too that are turned away, and costs little."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.server.network.test_doorkeeper import KEY, NORTH, STRANGER, signed
from wardround.server.network.clocks import STRANGE_SECONDS, WRITE_SECONDS, Clocks, key_name, read_clocks
from wardround.server.network.node_keys import NodeKeys


class Seconds:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def keys(tmp_path, clock):
    return NodeKeys(lambda: [NORTH], clock, Clocks(tmp_path / "clocks.json", clock))


def noted(tmp_path) -> float | None:
    return read_clocks(tmp_path / "clocks.json").get(key_name(NORTH))


@pytest.mark.parametrize("minutes", [-60, -10, 10, 600])
def test_a_clock_that_is_turned_away_is_noted(keys, tmp_path, minutes: int) -> None:
    assert keys.caller(dict(signed(at=datetime.now(UTC) + timedelta(minutes=minutes)))) is None
    assert noted(tmp_path) == pytest.approx(60 * minutes, abs=30)


def test_a_clock_that_is_right_is_noted_and_let_in(keys, tmp_path) -> None:
    assert keys.caller(dict(signed())) == NORTH
    assert noted(tmp_path) == pytest.approx(0, abs=30)


def test_who_does_not_hold_the_key_notes_nothing(keys, tmp_path) -> None:
    late = datetime.now(UTC) - timedelta(hours=1)
    assert keys.caller(dict(signed(STRANGER, at=late))) is None
    assert keys.caller(dict(signed(STRANGER, at=late, stated=NORTH))) is None
    assert noted(tmp_path) is None


def test_a_crowd_of_late_callers_costs_one_look_at_a_signature_in_ten_seconds(
    keys, clock, monkeypatch
) -> None:
    looked = []
    monkeypatch.setattr(
        "wardround.server.network.node_keys.verify_signature", lambda *_: looked.append(1) or False
    )
    headers = dict(signed(KEY, at=datetime.now(UTC) - timedelta(hours=1)))
    for tenth in range(300):
        clock.now = tenth / 10
        keys.caller(headers)
    assert STRANGE_SECONDS == 10.0
    assert len(looked) == 3


def test_the_file_is_written_at_most_every_half_minute(tmp_path, clock) -> None:
    path, now = tmp_path / "clocks.json", datetime.now(UTC)
    clocks = Clocks(path, clock)
    clocks.note(NORTH, now, now)
    path.unlink()
    clock.now = WRITE_SECONDS - 1
    clocks.note(NORTH, now, now)
    assert not path.exists()
    clock.now = WRITE_SECONDS
    clocks.note(NORTH, now, now)
    assert path.exists()


def test_a_full_disk_keeps_no_hospital_out(tmp_path, clock) -> None:
    clocks = Clocks(tmp_path / "gone" / "clocks.json", clock)
    assert NodeKeys(lambda: [NORTH], clock, clocks).caller(dict(signed())) == NORTH


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b'{"a": ["x", "y"]}', b"\xff"])
def test_a_damaged_file_says_nothing(tmp_path, content: bytes) -> None:
    (tmp_path / "clocks.json").write_bytes(content)
    assert read_clocks(tmp_path / "clocks.json") == {}


def test_the_file_holds_no_key(keys, tmp_path) -> None:
    keys.caller(dict(signed()))
    assert all(len(name) == 64 for name in json.loads((tmp_path / "clocks.json").read_text()))
