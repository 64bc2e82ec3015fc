"""The grid without processes: one call a round, the same rounds as anywhere, and cheap messages."""

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, calls_of, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, Terms
from wardround.server.algorithm import rounds
from wardround.simulations.federation import in_process

CONTRACT = small_contract(**PUBLIC, features={"age": {**AGE, "edges": list(range(1, 98))}})


def terms_for(hospitals, round_count):
    return Terms(
        study="tea",
        contract=contract_from_mapping(CONTRACT),
        model=ModelSettings(),
        privacy=PrivacySettings(),
        training=TrainingSettings(
            public_patients={f"h{i}": 100 for i in range(hospitals)}, rounds=round_count, learning_rate=0.1
        ),
        noise_multiplier=1.0,
        simulation=True,
    )


def release(plan):
    """Something that depends on hospital, round and weights, as a real release does."""
    generator = np.random.default_rng([plan.round, int(plan.hospital[1:])])
    vector = (plan.weights + generator.normal(size=len(plan.weights))).astype(np.float32)
    return Release(
        study=plan.study,
        hospital=plan.hospital,
        round=plan.round,
        terms_fingerprint=plan.terms_fingerprint,
        weights_digest=plan.weights_digest,
        vector=vector,
        simulation=True,
    )


def test_it_equals_apply_over_the_releases():
    terms = terms_for(5, 8)
    summaries = []
    carried = in_process.run(
        terms, lambda plans: list(map(release, plans)), on_round=lambda s, _: summaries.append(s)
    )
    state = rounds.init(terms)
    while not rounds.finished(state, terms):
        state, _ = rounds.apply(state, terms, map(release, rounds.plans(state, terms)))
    np.testing.assert_array_equal(carried.weights, state.weights)
    np.testing.assert_array_equal(carried.tail.mean, state.tail.mean)
    assert [(s.round, len(s.accepted)) for s in summaries] == [(r, 5) for r in range(1, 9)]


def test_a_round_is_one_call_with_shared_weights():
    calls = []

    def answer(plans):
        calls.append([plan.hospital for plan in plans])
        assert all(plan.weights is plans[0].weights for plan in plans)
        return list(map(release, plans))

    in_process.run(terms_for(4, 3), answer)
    assert calls == [["h0", "h1", "h2", "h3"]] * 3


def test_refusals_go_through():
    seen = []

    def answer(plans):
        return [Refusal("max_rounds", "x") if plan.hospital == "h1" else release(plan) for plan in plans]

    in_process.run(terms_for(3, 1), answer, on_round=lambda s, _: seen.append(s))
    assert seen[0].accepted == ("h0", "h2")
    assert seen[0].rejected[0].reason == "refused: max_rounds"


def test_what_the_answer_raises_ends_the_run():
    def answer(plans):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_process.run(terms_for(3, 1), answer)


def test_it_goes_on_from_a_state():
    terms = terms_for(3, 6)

    def answer(plans):
        return list(map(release, plans))

    whole = in_process.run(terms, answer)
    states = []
    in_process.run(terms, answer, on_round=lambda _, state: states.append(state))
    resumed = in_process.run(terms, answer, state=states[2])
    np.testing.assert_array_equal(whole.weights, resumed.weights)


def test_messages_are_cheap():
    calls = calls_of(lambda: in_process.run(terms_for(81, 40), lambda plans: list(map(release, plans))))
    assert calls < 100 * 81 * 40  # measured: 50 for each hospital and round
