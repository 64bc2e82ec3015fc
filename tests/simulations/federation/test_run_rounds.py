"""Rounds over a grid: late, missing, doubled and foreign replies; resume; every wait ends."""

import time

import numpy as np
import pytest
from flwr.app import Error, Message

from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.server.algorithm import rounds
from wardround.server.network.strategy import TimeLimits
from wardround.server.store.checkpoint import resume
from wardround.simulations.federation.app import plan_of, reply
from wardround.simulations.federation.messages import InProcessGrid
from wardround.simulations.federation.run_rounds import run_rounds, wait_for_nodes

NODES = {"north": 1, "south": 2, "west": 3}
QUICK = TimeLimits(nodes_seconds=0.1, round_seconds=0.1, poll_seconds=0.01)


class Patchy(InProcessGrid):
    """A grid whose nodes answer one by one, each as its hospital's function says; None never answers."""

    def __init__(self, answers):
        super().__init__(3, lambda plans: [])
        self.answers = answers
        self.pulls = 0

    def pull_messages(self, message_ids):
        self.pulls += 1
        found = [self._pending.pop(identity) for identity in message_ids if identity in self._pending]
        for message in found:
            answer = self.answers(plan_of(message))
            if isinstance(answer, Error):
                yield Message(answer, reply_to=message)
            elif answer is not None:
                yield reply(message, answer)
                yield reply(message, answer)  # doubled on the way


def play(grid, terms, limits=QUICK, **options):
    seen = []
    state = options.pop("state", None) or rounds.init(terms)
    state = run_rounds(
        grid, NODES, terms, state, limits=limits, on_round=lambda s, _: seen.append(s), **options
    )
    return state, seen


def test_a_silent_hospital_is_left_out_and_asked_again(make_terms, make_release):
    silent_in = {("south", 2)}
    terms = make_terms(rounds=3)
    grid = Patchy(lambda plan: None if (plan.hospital, plan.round) in silent_in else make_release(plan))
    _, seen = play(grid, terms)
    assert [summary.missing for summary in seen] == [(), ("south",), ()]
    assert all(summary.rejected == () for summary in seen)


def test_refusals_and_errors_are_named_and_the_round_goes_on(make_terms, make_release):
    answers = {"north": Refusal("purposes", "x"), "south": Error(code=1)}
    grid = Patchy(lambda plan: answers.get(plan.hospital) or make_release(plan))
    _, seen = play(grid, make_terms(rounds=1))
    assert seen[0].accepted == ("west",)
    assert {(one.hospital, one.reason) for one in seen[0].rejected} == {
        ("north", "refused: purposes"),
        ("south", "error"),
    }


@pytest.mark.parametrize(
    ("answer", "why"), [(None, "no answer within 0 s"), (Refusal("max_rounds", "x"), "refused: max_rounds")]
)
def test_a_round_that_nobody_joins_stops_the_study(answer, why, make_terms, tmp_path):
    terms = make_terms()
    with pytest.raises(ConfigurationError, match=f"round 1: 0 of 3 hospitals .*{why}"):
        play(Patchy(lambda plan: answer), terms, checkpoints=tmp_path)
    assert resume(tmp_path, terms).state.round == 1


def test_the_deadline_holds(make_terms, make_release):
    grid = Patchy(lambda plan: make_release(plan) if plan.hospital == "north" else None)
    started = time.monotonic()
    play(grid, make_terms(rounds=2), limits=TimeLimits(round_seconds=0.2, poll_seconds=0.01))
    assert 0.4 <= time.monotonic() - started < 2.0


def test_nodes_that_do_not_come_end_the_wait():
    grid = InProcessGrid(2, lambda plans: [])
    assert wait_for_nodes(grid, 2, QUICK) == [1, 2]
    with pytest.raises(ConfigurationError, match="2 of 3 hospitals are connected"):
        wait_for_nodes(grid, 3, QUICK)


def test_a_killed_study_asks_the_same_again_and_ends_the_same(make_terms, make_release, tmp_path):
    """The server dies after hospitals answered round 3 and before it closed it."""
    terms = make_terms(rounds=5, momentum=0.9)
    asked = []

    def answer(plan):
        asked.append((plan.hospital, plan.round, plan.weights_digest, plan.ledger_head))
        return make_release(plan, np.full(6, plan.round))

    undisturbed, _ = play(Patchy(answer), terms)
    undisturbed_asked, asked[:] = list(asked), []

    def dies(plan):
        if plan.hospital == "west" and plan.round == 3:
            raise KeyboardInterrupt
        return answer(plan)

    with pytest.raises(KeyboardInterrupt):
        play(Patchy(dies), terms, checkpoints=tmp_path)
    state = resume(tmp_path, terms).state
    assert state.round == 3
    state, seen = play(Patchy(answer), terms, state=state, checkpoints=tmp_path)
    assert [summary.round for summary in seen] == [3, 4, 5]
    np.testing.assert_array_equal(state.weights, undisturbed.weights)
    assert set(asked) == set(undisturbed_asked)
    assert rounds.finished(resume(tmp_path, terms).state, terms)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_every_wait_is_bounded(value):
    with pytest.raises(ConfigurationError, match="round_seconds"):
        TimeLimits(round_seconds=value)
