"""What secure sums cost, by the bytes that are really sent, and by the streams that are really made."""

import numpy as np
import pytest

from tests.server.algorithm.sums import DIMENSION, MemoryStudy, SetUpMember
from wardround.protocol.secure_sum import unmask
from wardround.protocol.secure_sum.exchange import RosterKeys
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.server.algorithm.sum_setup import SumStudy, brought_to, read_keys
from wardround.server.algorithm.sum_trips import (
    await_shares,
    begin,
    fix,
    outcome,
    survivors_for,
    take_given,
    take_masked,
)
from wardround.server.study.sum_forecast import second_trip_bytes, set_up_bytes, unmasking_bytes


def test_set_up_is_as_many_bytes_as_its_messages():
    members = {name: SetUpMember(name) for name in ("north", "south", "west", "east")}
    study = SumStudy(
        study="tea",
        terms="ab" * 32,
        thresholds=Thresholds(4, 1, 3),
        slots=(Slot("training", "round", 1), Slot("training", "round", 2)),
        signing_keys={name: one.key.public for name, one in members.items()},
    )
    own = {name: members[name].keys(study) for name in study.members}
    keys = RosterKeys(tuple(read_keys(study, *one) for one in own.items())).to_bytes()
    dealings = [members[name].deal(keys) for name in study.members]
    brought = brought_to(1, dealings, 4, 2)
    assert set_up_bytes(4, 2) == len(own["east"]) + len(keys) + len(dealings[0]) + len(brought)


@pytest.mark.parametrize("survivors", [[1, 2, 3, 4, 5], [1, 2, 4, 5]])
def test_trip_two_and_unmasking_are_as_forecast(survivors, monkeypatch):
    study = MemoryStudy(Thresholds(5, 1, 4))
    trip = begin(study.asked)
    for index in survivors:
        trip = take_masked(trip, study.sent(index, np.zeros(DIMENSION, np.int64)))
    fixed = fix(trip)
    second = await_shares(fixed, study.digests)
    bodies = []
    for index in range(1, 6):
        asked = survivors_for(fixed, index)
        answer = study.given(index, asked)
        bodies.append(len(asked.to_bytes()) + len(answer.body))
        second = take_given(second, answer, answer.asked)
    made, add_stream = [], unmask.add_stream
    monkeypatch.setattr(
        unmask,
        "add_stream",
        lambda vector, *a, **k: made.append(8 * len(vector)) or add_stream(vector, *a, **k),
    )
    assert not outcome(second).any()
    assert sum(made) == unmasking_bytes(5, len(survivors), DIMENSION)
    assert (max(bodies) == second_trip_bytes(5)) == (len(survivors) == 5)
    assert max(bodies) <= second_trip_bytes(5)


def test_the_worst_unmasking_of_300_hospitals_and_a_million_parameters():
    assert unmasking_bytes(300, 240, 10**6) == pytest.approx(117e9, rel=0.01)
