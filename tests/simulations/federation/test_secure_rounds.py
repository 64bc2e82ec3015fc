"""Secure sums in a simulation: integers, exact sums, the same bits by every carrier, void rounds and spare ones."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.builders import PUBLIC, small_contract
from tests.simulations.federation.answering import Answers
from tests.simulations.federation.answering import answering as answers_of
from wardround.client.round.answer_request import answer_request
from wardround.client.train.check_closed_form import random_cohort
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ReleaseRejected
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.cost import training_events, unmasked_epsilon
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.request import TABLES, UPDATE
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.wire import decode_release, encode_release
from wardround.server.algorithm import rounds
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.rounds import RoundSummary
from wardround.server.algorithm.screen import expect, screen
from wardround.server.evaluation.evaluation import due, plans, sum_tables
from wardround.simulations.federation import in_process
from wardround.simulations.federation.federation import OPERATOR, UNDATED, Federation
from wardround.simulations.federation.messages import run_over_messages

NAMES = ("east", "north", "south", "west", "york")


def federation(patients: int = 30) -> Federation:
    contract = contract_from_mapping(small_contract(**PUBLIC))
    cohort = random_cohort(contract.layout, (patients,) * 5, 4, Keystream(bytes(32)))
    return Federation(contract, NAMES, cohort, cohort, seed=3, as_of=UNDATED, data_fingerprint="")


def terms(**changes: Any) -> Terms:
    """Five hospitals, of which four must answer; four rounds and one spare."""
    given: dict[str, Any] = {
        "study": "tea",
        "contract": federation().contract,
        "model": ModelSettings(),
        "privacy": PrivacySettings(epsilon=5.0, noise="secure"),
        "training": TrainingSettings(rounds=4, optimizer="newton"),
        "public_patients": dict.fromkeys(NAMES, 30),
        "simulation": True,
        "evaluation": EvaluationSettings(rounds=(2, 4)),
    }
    return propose(**given | changes)


def answering(of: Terms, absent: Callable[[RoundPlan], bool] = lambda plan: False) -> Answers:
    return answers_of(of, federation(), absent)


def run(of: Terms, answer: Answers) -> tuple[rounds.RoundState, list[RoundSummary]]:
    state, seen = rounds.init(of), []
    while not rounds.finished(state, of):
        state, summary = rounds.apply(state, of, answer(rounds.plans(state, of)))
        seen.append(summary)
    return state, seen


def test_a_call_and_messages_end_in_the_same_bits() -> None:
    of = terms()
    called = in_process.run(of, answering(of))
    carried = run_over_messages(of, answering(of))
    np.testing.assert_array_equal(called.weights, carried.weights)
    assert called.round == 5
    assert np.any(called.weights != 0)


def test_the_sum_does_not_depend_on_the_order_of_arrival() -> None:
    of = terms()
    forward, _ = run(of, answering(of))
    answer = answering(of)
    backward, _ = run(of, lambda asked: answer(asked)[::-1])
    np.testing.assert_array_equal(forward.weights, backward.weights)


def test_releases_are_integers_that_travel_exactly_and_only_from_a_simulation() -> None:
    of = terms()
    release = answering(of)(rounds.plans(rounds.init(of), of))[0]
    assert release.vector.dtype == np.int64
    large = replace(release, vector=release.vector + 2**60 + 1)
    np.testing.assert_array_equal(decode_release(encode_release(large)).vector, large.vector)
    with pytest.raises(Exception, match="must be masked"):
        encode_release(replace(release, simulation=False))


def test_fewer_than_the_threshold_is_a_void_round_and_a_spare_one_replaces_it() -> None:
    of = terms()
    late = answering(of, lambda p: p.round == 2 and p.hospital in NAMES[:2])
    state, seen = run(of, late)
    assert [one.discarded for one in seen] == ["", "3 of the 4 releases that a sum needs", "", "", ""]
    assert state.void == (2,)
    assert (state.made, state.round) == (4, 6)
    assert seen[1].update_norm == 0


def test_one_absent_is_within_the_threshold_and_its_noise_is_missing_alone() -> None:
    of = terms()
    state, seen = run(of, answering(of, lambda p: p.hospital == "york"))
    assert not any(one.discarded for one in seen)
    assert state.void == ()


def test_numbers_run_out_and_the_study_ends_with_fewer_steps() -> None:
    of = terms()
    state, seen = run(of, answering(of, lambda p: p.round > 2 and p.hospital in NAMES[:2]))
    assert rounds.finished(state, of)
    assert (state.made, state.round, len(seen)) == (2, 6, 5)
    assert due(state, of)
    assert plans(state, of, state.weights)[0].round == 4


def test_what_is_asked_follows_the_steps_made_and_not_the_number() -> None:
    of = terms()
    state = rounds.init(of)
    asked = []
    answer = answering(of, lambda p: p.round == 1 and p.hospital in NAMES[:2])
    while not rounds.finished(state, of):
        asked.append(rounds.plans(state, of)[0].asks)
        state, _ = rounds.apply(state, of, answer(rounds.plans(state, of)))
    assert asked == ["mean_rows", "mean_rows", "update", "update", "update"]


def test_a_model_is_measured_once_though_a_void_round_follows() -> None:
    of = terms()
    answer = answering(of, lambda p: p.round == 3 and p.hospital in NAMES[:2])
    state, measured = rounds.init(of), []
    while not rounds.finished(state, of):
        state, _ = rounds.apply(state, of, answer(rounds.plans(state, of)))
        if due(state, of):
            measured.append((state.round - 1, plans(state, of, state.weights)[0].round))
    assert measured == [(2, 2), (5, 4)]


def test_tables_are_summed_exactly() -> None:
    of = terms()
    state = rounds.skip_to(rounds.init(of), 3)
    asked = plans(state, of, state.weights)
    assert asked[0].asks == "tables"
    releases = answering(of)(asked)
    found = sum_tables(of, asked[0], releases)
    total = sum(release.vector for release in releases)
    np.testing.assert_array_equal(found.total, np.ldexp(total.astype(float), of.table_noise.grid.exponent))


def test_integers_out_of_range_and_floats_are_refused() -> None:
    of = terms()
    plan = rounds.plans(rounds.init(of), of)[0]
    release: Release = answering(of)(rounds.plans(rounds.init(of), of))[0]
    expected = expect(of, 1, plan.weights_digest, len(plan.weights))
    np.testing.assert_array_equal(screen(release, expected, ()), release.vector)
    for wrong in (release.vector + of.update_noise(1).largest, release.vector.astype(np.float32)):
        with pytest.raises(ReleaseRejected, match=r"out of range|wrong dtype"):
            screen(replace(release, vector=wrong), expected, ())


def test_a_sum_that_no_honest_hospitals_could_have_is_void() -> None:
    of = terms()
    state = rounds.init(of)
    honest = [one.vector for one in answering(of)(rounds.plans(state, of))]
    heads = dict.fromkeys(NAMES, "ab" * 32)
    taken, summary = rounds.close_sum(state, of, heads, (), sum(honest))
    assert (taken.void, summary.discarded) == ((), "")
    clip = int(of.privacy.clip_norm / of.update_noise(1).grid.step)
    spoilt, summary = rounds.close_sum(state, of, heads, (), sum(honest) + 1000 * 5 * clip)
    assert (spoilt.void, summary.discarded) == ((1,), "norm out of bound")


def noise_of_sums(of: Terms, hospitals: int, seeds: int) -> np.ndarray[Any, Any]:
    """Sum the releases of so many hospitals without patients, in units of the grid: noise alone."""
    place = federation(patients=0)
    found = []
    for seed in range(seeds):
        wards = replace(place, seed=seed).wards(of)[:hospitals]
        names = [ward.hospital for ward in wards]
        asked = [one for one in rounds.plans(rounds.init(of), of) if one.hospital in names]
        admit = {UPDATE.account: place.admit, TABLES.account: place.admit_heldout}
        found.append(sum(one.vector for one in answer_request(asked, wards, of, OPERATOR, admit)))
    return np.concatenate(found)


@pytest.mark.statistical
def test_honest_and_smallest_sum_have_their_noise_and_no_less() -> None:
    """Accepted at σ, refused at 2σ/3 and 3σ/2: for all hospitals, and for the m that a lying server can isolate."""
    of = terms()
    share = math.sqrt(of.update_noise(1).shares.variance)
    for count in (len(NAMES), of.thresholds.honest_shares):
        noise = noise_of_sums(of, count, 600)
        sigma = math.sqrt(count) * share
        assert stats.kstest(noise, "norm", (0, sigma)).pvalue > 1e-4
        for wrong in (2 / 3, 3 / 2):
            assert stats.kstest(noise, "norm", (0, wrong * sigma)).pvalue < 1e-9
    least = of.noise_multiplier * of.privacy.clip_norm / of.update_noise(1).grid.step
    assert noise.std() > 0.95 * least


@pytest.mark.parametrize("hospitals", [3, 5, 20, 81])
def test_epsilon_of_m_shares_is_googles_and_never_above_the_stated(hospitals: int) -> None:
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    names = {f"h{number}": 1000 for number in range(hospitals)}
    of = terms(public_patients=names, privacy=PrivacySettings(noise="secure"))
    shares = of.update_noise(1).shares
    accountant = PLDAccountant()
    multiplier = shares.multiplier(of.thresholds.honest_shares)
    (event,) = training_events(of)
    accountant.compose(GaussianDpEvent(multiplier), event.count)
    assert 0.99 <= accountant.get_epsilon(of.privacy.delta) / of.privacy.epsilon <= 1.0
    assert unmasked_epsilon(of, of.privacy.delta)["training"] > of.privacy.epsilon


def test_ten_thousand_hospitals_have_thresholds_and_a_sum_that_fits() -> None:
    names = {f"h{number}": 1000 for number in range(10_000)}
    of = terms(public_patients=names, secure_sum=SecureSumChoice(spare_slots=0))
    noise = of.update_noise(1)
    assert noise.largest * 10_000 < 2**63
    assert noise.shares.multiplier(6429) >= of.noise_multiplier
