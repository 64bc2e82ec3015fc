"""Who gives way at the door: who has come least far, and of those who has been still for longest."""

import asyncio
import itertools
from unittest.mock import Mock

import pytest

from wardround.client.agent.room import Caller, Room, Stage, gives_way


def caller(number: int, stage: Stage = Stage.UNKNOWN, moved_at: float = 0.0, held: int = 0) -> Caller:
    return Caller(Mock(spec=asyncio.Task), number, moved_at, stage, held)


def test_the_stage_decides_before_the_time() -> None:
    stages = [caller(n, stage, moved_at=-n) for n, stage in enumerate(Stage) if stage is not Stage.TAKING]
    for order in itertools.permutations(stages, 3):
        assert gives_way(order).stage == min(one.stage for one in order)


def test_who_takes_nothing_goes_before_who_sends_and_the_other_way_round() -> None:
    sending, taking = caller(1, Stage.SENDING, moved_at=2.0), caller(2, Stage.TAKING, moved_at=1.0)
    assert gives_way([sending, taking]) is taking
    taking.moved_at = 3.0
    assert gives_way([sending, taking]) is sending


def test_of_equal_stage_who_has_been_still_for_longest() -> None:
    assert gives_way([caller(1, moved_at=5.0), caller(2, moved_at=3.0), caller(3, moved_at=4.0)]).number == 2
    waiting = [caller(number, Stage.WAITING, moved_at=number) for number in range(3)]
    assert (
        gives_way(waiting).number == 2
    )  # who waits for its own answer goes last, and the newest of them first


def test_no_more_callers_and_bytes_than_there_is_room() -> None:
    room = Room(6, 100)
    callers = [caller(number, moved_at=number) for number in range(8)]
    for one in callers:
        room.enter(one)
        assert len(room) <= 6
    assert [one.task.cancel.called for one in callers] == [True, True] + 6 * [False]  # type: ignore[attr-defined]
    for one, held in zip(callers[2:5], (60, 30, 40), strict=True):
        room.comes_to(one, Stage.SENDING, one.moved_at)
        room.holds(one, held, one.moved_at)
        assert room.held_bytes <= 100
    assert callers[2].task.cancel.called  # type: ignore[attr-defined]
    assert room.held_bytes == 70
    for one in callers[5:]:
        room.comes_to(one, Stage.SENDING, one.moved_at)
    sent_away = [one.task.cancel.called for one in callers]  # type: ignore[attr-defined]
    assert sent_away == [
        True,
        True,
        True,
        True,
        True,
        False,
        False,
        False,
    ]  # half of the places are for these
    for one in callers:
        room.leave(one)
        room.leave(one)
    assert len(room) == room.held_bytes == 0


@pytest.mark.parametrize("held", [1, 101])
def test_who_has_left_holds_nothing(held: int) -> None:
    room, one = Room(1, 100), caller(0)
    room.enter(one)
    room.leave(one)
    room.holds(one, held, 1.0)
    assert room.held_bytes == 0
