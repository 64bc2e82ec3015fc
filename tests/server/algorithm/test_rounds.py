"""init, plans and apply: the arithmetic, the streaming, and what a bad release can and cannot do."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError
from wardround.server.algorithm import rounds
from wardround.server.algorithm.aggregate import release_weights
from wardround.server.algorithm.screen import NoRelease

HOSPITALS = {"north": 100, "south": 300, "west": 600}


def play(terms, answer, state=None):
    """All rounds: ``answer(plan)`` gives a release; returns the last state and all summaries."""
    state, summaries = state or rounds.init(terms), []
    while not rounds.finished(state, terms):
        state, summary = rounds.apply(state, terms, map(answer, rounds.plans(state, terms)))
        summaries.append(summary)
    return state, summaries


def test_init_starts_at_the_models_public_weights(make_terms):
    state = rounds.init(make_terms())
    assert state.round == 1
    assert state.weights.dtype == np.float64
    np.testing.assert_array_equal(state.weights, np.zeros(6))


def test_plans_share_their_weights_and_name_every_hospital(make_terms):
    terms = make_terms()
    plans = rounds.plans(rounds.init(terms), terms)
    assert [plan.hospital for plan in plans] == ["north", "south", "west"]
    assert all(plan.weights is plans[0].weights for plan in plans)
    assert plans[0].weights.dtype == np.float32
    assert not plans[0].weights.flags.writeable
    assert {plan.ledger_head for plan in plans} == {None}


def test_secure_sums_are_divided_by_all_planned_patients(make_terms, make_release):
    terms = make_terms(noise="secure", momentum=0.0, learning_rate=0.5, sampling_rate=0.25)
    state, step = rounds.init(terms), terms.update_noise(1).grid.step
    releases = [in_units(make_release(plan), i + 1) for i, plan in enumerate(rounds.plans(state, terms))]
    state, summary = rounds.apply(state, terms, releases)
    np.testing.assert_allclose(state.weights, -0.5 * 6 * step / (0.25 * 1000))
    assert summary.update_norm == pytest.approx(0.012 * step * 6**0.5)


def in_units(release, units):
    """The same release as integers of a secure sum, each coordinate so many."""
    return replace(release, vector=np.full(len(release.vector), units, np.int64))


def test_a_missing_hospital_changes_no_others_weight(make_terms, make_release):
    terms = make_terms(momentum=0.0, learning_rate=0.5, sampling_rate=0.25)
    state = rounds.init(terms)
    plans = rounds.plans(state, terms)
    releases = [make_release(plan, np.full(6, i + 1)) for i, plan in enumerate(plans)]
    after, summary = rounds.apply(state, terms, releases[:2])
    factors = release_weights(terms)
    np.testing.assert_allclose(after.weights, -0.5 * (factors["north"] + 2 * factors["south"]))
    assert summary.accepted == ("north", "south")
    assert summary.missing == ("west",)
    assert summary.discarded == ""


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_sums_become_a_weighted_mean_over_the_expected_patients(noise, make_terms):
    """Where every patient's gradient is 1 and as many are drawn as expected, the estimate is 1."""
    factors = release_weights(make_terms(noise=noise, sampling_rate=0.25))
    assert sum(0.25 * HOSPITALS[name] * factor for name, factor in factors.items()) == pytest.approx(1)


def test_differences_of_weights_are_averaged_by_public_patients(make_terms, make_release):
    terms = make_terms(momentum=0.0, learning_rate=1.0, local_steps=3)
    state = rounds.init(terms)
    releases = [make_release(plan, np.eye(6)[i]) for i, plan in enumerate(rounds.plans(state, terms))]
    state, _ = rounds.apply(state, terms, releases)
    np.testing.assert_allclose(state.weights, [0.1, 0.3, 0.6, 0, 0, 0])


def test_the_heads_are_echoed_in_the_next_plan(make_terms, make_release):
    terms = make_terms()
    state = rounds.init(terms)
    releases = [make_release(plan) for plan in rounds.plans(state, terms)[:2]]
    state, _ = rounds.apply(state, terms, releases)
    heads = {plan.hospital: plan.ledger_head for plan in rounds.plans(state, terms)}
    assert heads == {"north": "01" + "ab" * 31, "south": "01" + "ab" * 31, "west": None}


def test_a_head_is_kept_over_rounds_that_a_hospital_misses(make_terms, make_release):
    terms = make_terms()
    state, _ = rounds.apply(
        rounds.init(terms), terms, map(make_release, rounds.plans(rounds.init(terms), terms))
    )
    state, _ = rounds.apply(state, terms, map(make_release, rounds.plans(state, terms)[:1]))
    heads = {plan.hospital: plan.ledger_head[:2] for plan in rounds.plans(state, terms)}
    assert heads == {"north": "02", "south": "01", "west": "01"}


def test_apply_leaves_its_state_alone(make_terms, make_release):
    terms = make_terms()
    state = rounds.init(terms)
    releases = [make_release(plan, np.ones(6)) for plan in rounds.plans(state, terms)]
    first, _ = rounds.apply(state, terms, releases)
    again, _ = rounds.apply(state, terms, releases)
    np.testing.assert_array_equal(state.weights, np.zeros(6))
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(releases[0].vector, np.ones(6))


@given(
    faults=st.lists(
        st.sampled_from(["study", "round", "nan", "huge", "spoof", "repeat", "none"]), max_size=12
    )
)
def test_bad_releases_never_touch_the_weights(faults, make_terms, make_release):
    terms = make_terms()
    state = rounds.init(terms)
    plans = rounds.plans(state, terms)
    honest = [make_release(plan, np.ones(6)) for plan in plans]
    bad = {
        "study": make_release(plans[0], study="coffee"),
        "round": make_release(plans[1], round=7),
        "nan": make_release(plans[2], np.full(6, np.nan)),
        "huge": make_release(plans[2], np.full(6, 1e30)),
        "spoof": make_release(plans[0], hospital="nobody"),
        "repeat": make_release(plans[0], np.full(6, 2.0)),
        "none": NoRelease("south", "malformed"),
    }
    clean, _ = rounds.apply(state, terms, honest)
    stream = [honest[0], *(bad[fault] for fault in faults), *honest[1:]]
    dirty, summary = rounds.apply(state, terms, stream)
    np.testing.assert_array_equal(clean.weights, dirty.weights)
    assert summary.accepted == ("north", "south", "west")
    assert len(summary.rejected) == len(faults)


def test_a_round_without_any_release_changes_nothing_but_its_number(make_terms):
    terms = make_terms()
    state, summary = rounds.apply(rounds.init(terms), terms, [])
    assert summary.discarded == "no release"
    assert summary.missing == ("north", "south", "west")
    assert state.round == 2
    assert state.optimizer.steps == 0


def test_reported_weights_are_the_tails_mean(make_terms, make_release):
    terms = make_terms(noise="secure", momentum=0.0, learning_rate=1.0, tail_average=0.5)
    state, _ = play(terms, lambda plan: in_units(make_release(plan), 1))
    step = -3 / 1000 * terms.update_noise(1).grid.step
    np.testing.assert_allclose(state.weights, 4 * step)
    np.testing.assert_allclose(rounds.reported_weights(state), 3.5 * step)
    np.testing.assert_allclose(rounds.reported_weights(rounds.init(terms)), 0)


def test_other_terms_and_finished_studies_are_refused(make_terms, make_release):
    terms = make_terms()
    with pytest.raises(ConfigurationError, match="has other terms"):
        rounds.plans(rounds.init(terms), make_terms(rounds=5))
    state, summaries = play(terms, make_release)
    assert [summary.round for summary in summaries] == [1, 2, 3, 4]
    with pytest.raises(ConfigurationError, match="end at 4"):
        rounds.plans(state, terms)


def test_weights_beyond_float32_stop_the_study(make_terms, make_release):
    terms = make_terms(learning_rate=1e42, tail_average=0)
    with pytest.raises(ConfigurationError, match="learning_rate"):
        play(terms, lambda plan: make_release(plan, np.ones(6)))


def test_memory_does_not_grow_with_hospitals(make_terms, make_release):
    """Releases are made one at a time; a list of them would hold 60 vectors of 0.2 MB."""

    def peak(hospitals):
        terms = make_terms(public_patients={f"h{i}": 100 for i in range(hospitals)})
        state = rounds.init(terms)
        wide = rounds.replace(
            state, weights=np.zeros(50_000), optimizer=rounds.optimize.init(terms.training, 50_000)
        )
        wide = rounds.replace(wide, tail=rounds.optimize.init_tail(50_000))
        plans = rounds.plans(wide, terms)
        tracemalloc.start()
        rounds.apply(wide, terms, map(make_release, plans))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(60) < 1.2 * peak(10)
