"""Evaluations of a served study in secure sums: the tables of the sum, kept once; a void one leaves it unevaluated."""

from dataclasses import replace

import numpy as np
import pytest

from tests.server.study.test_secure_sums import NAMES, Hospitals, events
from tests.server.study.test_secure_sums import study as study  # a fixture
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.secure_sum.grid import decode
from wardround.protocol.terms.evaluation import EvaluationSettings, table_factors
from wardround.protocol.terms.request import TABLES
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import PrivacySettings, TrainingSettings
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.algorithm import rounds
from wardround.server.algorithm.screen import expect, summed_norm_bound
from wardround.server.evaluation.evaluation import plans, tables_of
from wardround.server.store.kept_sums import load_sum
from wardround.server.study import held_out
from wardround.server.study.release_decision_file import begin_release_decision
from wardround.server.study.secure_sums import Sums
from wardround.server.study.set_up_sums import set_up
from wardround.server.study.sum_rounds import sum_of_tables


@pytest.fixture
def hospitals(make_terms):
    """Four hospitals whose held-out patients are all in the first cell, a thousand steps of the grid each."""
    keys = {name: new_key() for name in NAMES}
    terms = replace(
        make_terms(rounds=2),
        simulation=False,
        reply_delay_seconds=0.0,
        privacy=PrivacySettings(noise="secure"),
        training=TrainingSettings(rounds=2, learning_rate=1.0, public_patients=dict.fromkeys(NAMES, 100)),
        evaluation=EvaluationSettings(rounds=(2,), noise_multiplier=5.0, score_bins=4),
        secure_sum=SecureSumSettings(
            threshold=3, colluding=1, parameters=6, members={name: key.public for name, key in keys.items()}
        ),
    )
    found = Hospitals(terms, keys)
    cells = np.zeros(terms.table_noise.dimension, np.int64)
    cells[0] = 1000
    found.integers = dict.fromkeys(NAMES, cells)
    return found


@pytest.fixture
def finished(study):
    begin_release_decision(study.folder.release_decision, ReleaseDecisionSettings())
    return replace(rounds.init(study.terms), round=3)


def evaluate(study, state, hospitals):
    held_out.evaluate_last(study, state, Sums(set_up(study, hospitals.asks()), hospitals.asks()))


def test_the_tables_of_the_sum_are_kept_and_never_asked_for_again(study, finished, hospitals):
    hospitals.away = {SumStep.MASKED: {"west"}}
    assert held_out.conclude(study, finished) is None
    evaluate(study, finished, hospitals)
    found = load_sum(study.folder.evaluations, study.terms.fingerprint, 2)
    assert set(found.accepted) == {"north", "south", "east"}
    np.testing.assert_array_equal(
        found.total, decode(3 * hospitals.integers["north"], study.terms.table_noise.grid)
    )
    hospitals.asked.clear()
    evaluate(study, finished, hospitals)
    assert hospitals.asked == []
    assert held_out.conclude(study, finished).before.evaluation.hospitals == 3
    assert [event["account"] for event in events(study, "survivors", "unmasked")] == ["held_out"] * 2


def test_a_void_sum_of_tables_leaves_the_model_unevaluated_and_paid_for(study, finished, hospitals):
    masked = hospitals.masked

    def lying(plan):
        answer = masked(plan)
        return replace(answer, body=bytes(32) + answer.body[32:]) if plan.hospital == "west" else answer

    hospitals.masked = lying
    evaluate(study, finished, hospitals)
    found = held_out.conclude(study, finished)
    assert (found.released, found.release_decision.releasable) == (None, False)
    assert found.epsilon > 0
    assert "bad dealer by west" in events(study, "void_sum")[0]["why"]
    hospitals.asked.clear()
    evaluate(study, finished, hospitals)
    assert hospitals.asked == []


def test_a_liar_beyond_the_norm_of_the_whole_sum_makes_the_evaluation_void(study, finished, hospitals):
    terms = study.terms
    size = terms.table_noise.dimension
    bound = summed_norm_bound(expect(terms, 2, "", size, request=TABLES), NAMES)
    honest = hospitals.integers["north"]
    lie = honest.copy()
    lie[0] = round(1.01 * bound / terms.table_noise.grid.step)
    hospitals.integers = {**hospitals.integers, "west": lie}
    evaluate(study, finished, hospitals)
    assert load_sum(study.folder.evaluations, terms.fingerprint, 2) is None
    assert [event["why"] for event in events(study, "void_sum")] == ["norm out of bound"]
    found = held_out.conclude(study, finished)
    assert (found.released, found.release_decision.releasable) == (None, False)
    # The truth, told later, is not asked for: the slot is used up.
    hospitals.integers = dict.fromkeys(NAMES, honest)
    hospitals.asked.clear()
    evaluate(study, finished, hospitals)
    assert hospitals.asked == []


def test_a_sum_just_within_the_norm_is_kept(study, finished, hospitals):
    terms = study.terms
    bound = summed_norm_bound(expect(terms, 2, "", terms.table_noise.dimension, request=TABLES), NAMES)
    lie = hospitals.integers["north"].copy()
    lie[0] = round(0.99 * bound / terms.table_noise.grid.step) - 3000
    hospitals.integers = {**hospitals.integers, "west": lie}
    evaluate(study, finished, hospitals)
    assert load_sum(study.folder.evaluations, terms.fingerprint, 2) is not None


def test_intervals_after_a_drop_out_are_of_the_survivors_shares_of_the_noise(study, finished, hospitals):
    terms = study.terms
    hospitals.away = {SumStep.MASKED: {"west"}}
    asked = plans(finished, terms, rounds.reported_weights(finished))
    found, _ = sum_of_tables(study, asked, Sums(set_up(study, hospitals.asks()), hospitals.asks()), 0.0)
    assert len(found.accepted) == terms.thresholds.threshold == len(terms.hospitals) - 1
    tables, factors = tables_of(terms, found), table_factors(terms.contract, terms.evaluation)
    noise = terms.table_noise
    variance = len(found.accepted) * noise.shares.variance * noise.grid.step**2
    assert len(factors) == 1  # one table, of all: nothing is made to agree
    np.testing.assert_allclose(tables.covariance, [[variance / factors[0] ** 2]])
    assert tables.hospitals == len(found.accepted)


def test_too_few_shares_of_tables_wait_and_the_slot_is_never_given_up(study, finished, hospitals):
    hospitals.away = {SumStep.SURVIVORS: {"north", "east"}}
    with pytest.raises(ConfigurationError, match="evaluation after round 2, shares: 2 of 4"):
        evaluate(study, finished, hospitals)
    assert held_out.conclude(study, finished) is None
    hospitals.away = {}
    evaluate(study, finished, hospitals)
    assert held_out.conclude(study, finished).before.evaluation.hospitals == 4
