"""What was told is not told again, what is over is forgotten, and the file gives back what was written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.told import QUIET_SECONDS, Seen, Told, ToldFile, due, look, tell
from wardround.protocol.errors import ConfigurationError

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)
DISK = Alert(event="disk", subject="home", text="0.1 GiB free")
OLD = Alert(event="study_finished", subject="s", text="s ended", happened=BEGIN - timedelta(days=3))


def later(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def test_an_alert_is_told_to_each_recipient_once_while_it_stands() -> None:
    state = look(Told(began=BEGIN), [DISK], later(1))
    assert due(state, [DISK], "it", later(1)) == (DISK,)
    state = tell(state, [DISK.key], "it")
    for minute in range(1, 200):
        state = look(state, [DISK], later(60 * minute))
        assert due(state, [DISK], "it", later(60 * minute)) == ()
    assert due(state, [DISK], "night", later(60 * 200)) == (DISK,)


def test_other_words_of_the_same_alert_are_no_news() -> None:
    state = tell(look(Told(began=BEGIN), [DISK], later(1)), [DISK.key], "it")
    worse = replace(DISK, text="0.05 GiB free")
    assert due(look(state, [worse], later(30)), [worse], "it", later(30)) == ()


def test_what_comes_and_goes_is_told_once_and_what_comes_back_after_the_quiet_is_news() -> None:
    state = tell(look(Told(began=BEGIN), [DISK], later(0)), [DISK.key], "it")
    state = look(state, [], later(QUIET_SECONDS - 1))
    state = look(state, [DISK], later(QUIET_SECONDS - 1))
    assert due(state, [DISK], "it", later(QUIET_SECONDS - 1)) == ()
    state = look(state, [], later(2 * QUIET_SECONDS))
    again = 3 * QUIET_SECONDS
    state = look(look(state, [], later(again)), [DISK], later(again))
    assert due(state, [DISK], "it", later(again)) == (DISK,)


def test_what_stood_before_the_process_was_down_and_stands_after_is_no_news() -> None:
    state = tell(look(Told(began=BEGIN), [DISK], later(0)), [DISK.key], "it")
    assert due(look(state, [DISK], later(10**6)), [DISK], "it", later(10**6)) == ()


def test_what_has_not_stood_for_its_time_is_not_told() -> None:
    away = replace(DISK, event="server_away", after_seconds=300.0)
    state = look(Told(began=BEGIN), [away], later(0))
    assert due(state, [away], "it", later(299)) == ()
    assert due(look(state, [away], later(300)), [away], "it", later(300)) == (away,)


def test_what_happened_before_alerts_were_looked_for_is_not_told() -> None:
    new = replace(OLD, subject="t", happened=later(5))
    state = look(Told(began=BEGIN), [OLD, new], later(6))
    assert due(state, [OLD, new], "it", later(6)) == (new,)


def test_a_clock_that_was_set_back_keeps_nothing_from_being_told() -> None:
    away = replace(DISK, after_seconds=300.0)
    state = look(Told(began=BEGIN), [away], later(10**6))
    state = look(look(state, [away], later(0)), [away], later(300))
    assert due(state, [away], "it", later(300)) == (away,)


def test_a_clock_that_was_set_back_keeps_nothing_from_being_over() -> None:
    state = look(tell(look(Told(began=BEGIN), [DISK], later(10**6)), [DISK.key], "it"), [], later(10**6))
    state = look(look(state, [], later(0)), [], later(QUIET_SECONDS))
    assert state.standing == {}


def test_an_alert_that_is_given_twice_is_told_once() -> None:
    state = look(Told(began=BEGIN), [DISK, DISK], later(1))
    assert due(state, [DISK, DISK], "it", later(1)) == (DISK,)


_TIMES = st.integers(0, 10**9).map(lambda seconds: BEGIN + timedelta(milliseconds=seconds))
_SEEN = st.builds(
    Seen,
    since=_TIMES,
    gone=st.none() | _TIMES,
    told=st.frozensets(st.text(st.characters(categories=["L"]), min_size=1)),
)


@given(standing=st.dictionaries(st.text(st.characters(categories=["L", "N"]), min_size=1), _SEEN))
def test_the_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, standing: dict[str, Seen]
) -> None:
    file = ToldFile(tmp_path_factory.mktemp("told") / "alerts.state")
    state = Told(began=BEGIN, standing=standing)
    file.write(state)
    assert file.read(later(5)) == state
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_begins_now(tmp_path) -> None:
    assert ToldFile(tmp_path / "alerts.state").read(BEGIN) == Told(began=BEGIN)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"began":"2026-11-01T12:00:00","standing":{}}', b'{"began":1,"standing":{}}'],
)
def test_a_damaged_file_is_refused_with_its_remedy(tmp_path, content: bytes) -> None:
    path = tmp_path / "alerts.state"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="remove it, and all that stands is told again"):
        ToldFile(path).read(BEGIN)
