"""Secure sums of a simulation with masks: bit for bit the figures without them, drop-outs and void rounds included."""

from dataclasses import replace

import numpy as np
import pytest

from tests.simulations.federation.test_secure_rounds import NAMES, answering, terms
from wardround.conf.settings import FederationSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.request import TABLES
from wardround.server.algorithm import rounds
from wardround.server.algorithm.screen import expect, summed_norm_bound
from wardround.server.evaluation.assess import measuring
from wardround.server.evaluation.evaluation import plans
from wardround.simulations.federation.masked import MaskedSums


def played(of, answer, close=None):
    state, seen = rounds.init(of), []
    while not rounds.finished(state, of):
        asked = rounds.plans(state, of)
        answers = answer(asked)
        state, summary = close(state, of, asked, answers) if close else rounds.apply(state, of, answers)
        seen.append((summary.round, set(summary.accepted), bool(summary.discarded)))
    return state, seen


def absent(plan):
    """One is away in the second round, two in the third, which is void."""
    return (plan.round, plan.hospital) in {(2, NAMES[0]), (3, NAMES[1]), (3, NAMES[4])}


def test_masks_change_no_bit_of_the_model():
    of = terms()
    plain, masked = (
        played(of, answering(of, absent)),
        played(of, answering(of, absent), MaskedSums(of, 1).close),
    )
    np.testing.assert_array_equal(plain[0].weights, masked[0].weights)
    assert plain[1] == masked[1]
    assert plain[0].void == masked[0].void == (3,)
    assert plain[0].ledger_heads == masked[0].ledger_heads


def test_masks_change_no_bit_of_an_evaluation():
    of = terms()
    answer = answering(of)
    state, _ = played(of, answer)
    asked = plans(state, of, state.weights)
    plain = measuring(of, answer)(asked)
    masked = MaskedSums(of, 1).measuring(answer)(asked)
    np.testing.assert_array_equal(plain.counts, masked.counts)
    np.testing.assert_array_equal(plain.covariance, masked.covariance)


def test_too_few_tables_give_no_sum():
    of = terms()
    answer = answering(of, lambda plan: plan.account == "held_out" and plan.hospital in NAMES[:2])
    state, _ = played(of, answer)
    with pytest.raises(ConfigurationError, match="3 of the 4 releases that a sum needs"):
        MaskedSums(of, 1).measuring(answer)(plans(state, of, state.weights))


@pytest.mark.parametrize("carrier", [measuring, lambda of, answer: MaskedSums(of, 1).measuring(answer)])
def test_tables_of_a_liar_beyond_the_norm_of_the_whole_sum_give_no_evaluation(carrier):
    of = terms()
    answer, size = answering(of), of.table_noise.dimension
    bound = summed_norm_bound(expect(of, 4, "", size, request=TABLES), NAMES)

    def lying(asked):
        first, *others = answer(asked)
        vector = first.vector.copy()
        vector[0] = int(1.5 * bound / of.table_noise.grid.step)
        return [replace(first, vector=vector), *others]

    state = rounds.skip_to(rounds.init(of), 5)
    with pytest.raises(ConfigurationError, match=r"no sum \(norm out of bound\)"):
        carrier(of, lying)(plans(state, of, state.weights))


def test_masks_are_for_rounds_by_function_calls():
    FederationSettings(masks=True)
    with pytest.raises(ConfigurationError, match=r"federation\.masks=True: are for federation=in_process"):
        FederationSettings(kind="messages", masks=True)
