"""A study of interactions from end to end: it learns them, by every carrier alike, and survives what others survive."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tests.builders import PUBLIC, small_contract
from tests.simulations.federation.answering import Answers, answering
from wardround.client.round.answer_request import answer_request
from wardround.client.train.check_closed_form import random_cohort
from wardround.conf.composed import compose_study
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import main_count, predict_logits
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.request import INTERACTIONS, TABLES, UPDATE
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.interactions import why_additive
from wardround.server.algorithm.newton import averaged_noise_stddev
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.server.store import checkpoint
from wardround.simulations.federation.federation import OPERATOR, UNDATED, Federation
from wardround.simulations.federation.masked import MaskedSums
from wardround.simulations.federation.messages import run_over_messages
from wardround.simulations.measures.metrics import auc
from wardround.simulations.report.table import closing_lines
from wardround.simulations.study.study import conduct

NAMES = ("east", "north", "south", "west", "york")
PATIENTS = 2000
FEATURES = {
    name: {"kind": "categorical", "column": name, "vocabulary": ["a", "b", "c"]} for name in ("p", "q", "r")
}
CONTRACT = contract_from_mapping({**small_contract(**PUBLIC), "features": FEATURES, "groups": []})
ONE_FEATURE = contract_from_mapping(
    {**small_contract(**PUBLIC), "features": {"p": FEATURES["p"]}, "crosses": [], "groups": []}
)
MODEL = ModelSettings(kind="interactions")
MAIN = main_count(MODEL, CONTRACT.layout)


@pytest.fixture(scope="module")
def federation() -> Federation:
    """Five hospitals whose patients' labels follow p, and whether p and q are both odd or both even."""
    cohort = random_cohort(CONTRACT.layout, (PATIENTS,) * 5, 1, Keystream(derive_key("both odd")))
    p, q = cohort.bins[:, 0], cohort.bins[:, 1]
    chance = expit(0.5 * (p == 0) + np.where((p + q) % 2, 1.5, -1.5))
    labels = (Keystream(derive_key("labels")).uniform(len(p)) < chance).astype(np.float64)
    cohort = replace(cohort, labels=labels)
    return Federation(CONTRACT, NAMES, cohort, cohort, seed=3, as_of=UNDATED, data_fingerprint="")


def study(kind: str = "interactions", noise: str = "secure", epsilon: float = 4.0) -> Terms:
    return propose(
        study="tea",
        contract=CONTRACT,
        model=ModelSettings(kind=kind),
        privacy=PrivacySettings(epsilon=epsilon, noise=noise, schedule="auto", clip_norm=0.0),
        training=TrainingSettings(rounds=0, optimizer="auto"),
        public_patients=dict.fromkeys(NAMES, PATIENTS),
        simulation=True,
    )


def played(of: Terms, answer: Answers, close: Any = None) -> list[rounds.RoundState]:
    """Give the state before each round, and the last."""
    states = [rounds.init(of)]
    while not rounds.finished(states[-1], of):
        asked = rounds.plans(states[-1], of)
        answers = answer(asked)
        after = close(states[-1], of, asked, answers) if close else rounds.apply(states[-1], of, answers)
        states.append(after[0])
    return states


def auc_of(of: Terms, weights: Any, place: Federation) -> float:
    logits = predict_logits(of.model, CONTRACT.layout, weights, place.heldout)
    return auc(place.heldout.labels, logits)


@pytest.mark.parametrize(("noise", "epsilon"), [("secure", 4.0), ("local", 8.0)])
def test_it_learns_what_the_additive_model_of_the_same_epsilon_cannot(
    federation: Federation, noise: str, epsilon: float
) -> None:
    of, plain = study(noise=noise, epsilon=epsilon), study("additive", noise, epsilon)
    assert of.model == MODEL
    ours = rounds.reported_weights(played(of, answering(of, federation))[-1])
    theirs = rounds.reported_weights(played(plain, answering(plain, federation))[-1])
    assert auc_of(plain, theirs, federation) < 0.62
    assert auc_of(of, ours, federation) > 0.75


def test_masks_and_messages_change_no_bit_also_where_a_round_is_void(federation: Federation) -> None:
    of = study()

    def absent(plan: RoundPlan) -> bool:
        return (plan.round, plan.hospital) in {(3, NAMES[1]), (3, NAMES[4])}

    plain = played(of, answering(of, federation, absent))[-1]
    masked = played(of, answering(of, federation, absent), MaskedSums(of, 1).close)[-1]
    np.testing.assert_array_equal(plain.weights, masked.weights)
    assert plain.void == (3,)
    whole = played(of, answering(of, federation))[-1]
    carried = run_over_messages(of, answering(of, federation))
    np.testing.assert_array_equal(whole.weights, carried.weights)
    assert whole.weights[MAIN:].any()


def test_a_server_killed_at_the_round_for_interactions_asks_again_for_the_same_bytes(
    federation: Federation, tmp_path: Path
) -> None:
    of = study()
    answer = answering(of, federation)
    *_, before, last = played(of, answer)
    assert rounds.asked_in(before, of) is INTERACTIONS
    checkpoint.save_state(tmp_path, before)
    resumed = checkpoint.resume(tmp_path, of)
    assert resumed is not None
    assert not resumed.lost_rounds
    # The hospitals' ledgers refuse other weights for a charged round, and give stored bytes for the same.
    again, summary = rounds.apply(resumed.state, of, answer(rounds.plans(resumed.state, of)))
    np.testing.assert_array_equal(again.weights, last.weights)
    assert len(summary.accepted) == len(NAMES)


@pytest.mark.parametrize("noise", ["secure", "local"])
def test_each_hospital_is_charged_the_round_for_interactions_as_any_other(
    federation: Federation, noise: str
) -> None:
    of = study(noise=noise, epsilon=8.0)
    wards = list(federation.wards(of))
    admit = {UPDATE.account: federation.admit, TABLES.account: federation.admit_heldout}
    played(of, lambda asked: list(answer_request(asked, wards, of, OPERATOR, admit)))
    rounds_made = training_events(of, of.training.rounds)
    for ward in wards:
        spent = ward.ledger.spent("training", of.privacy.delta)
        assert spent == pytest.approx(compose_epsilon(rounds_made, of.privacy.delta), rel=1e-6)
        assert spent <= 8.0


@pytest.mark.parametrize("change", [lambda v: v * 1e6, lambda v: v[:-1], lambda v: v * np.nan])
def test_a_tampered_release_of_interactions_is_left_out(federation: Federation, change: Any) -> None:
    of = study(noise="local", epsilon=8.0)
    answer = answering(of, federation)
    *_, before, whole = played(of, answer)
    first, *rest = answer(rounds.plans(before, of))
    tampered = replace(first, vector=change(first.vector))
    after, summary = rounds.apply(before, of, [tampered, *rest])
    assert [one.hospital for one in summary.rejected] == [first.hospital]
    assert np.isfinite(after.weights).all()
    assert not np.array_equal(after.weights, whole.weights)


def test_the_error_of_its_main_effects_is_that_of_the_rounds_that_learned_them(
    federation: Federation,
) -> None:
    of, plain = study(), study("additive")
    *_, before, last = played(of, answering(of, federation))
    stated = posterior_factor(of, last.optimizer)
    assert stated is not None
    # The round for interactions leaves main effects and their error as they are.
    np.testing.assert_array_equal(stated, posterior_factor(of, before.optimizer))
    np.testing.assert_array_equal(last.weights[:MAIN], rounds.reported_weights(before)[:MAIN])
    # They have 70 % of the budget, and so more noise than the additive model's at the same ε.
    more = [averaged_noise_stddev(one, noise_gain(one)) ** 2 for one in (of, plain)]
    assert more[0] / more[1] == pytest.approx(1 / 0.7, rel=0.05)
    # Without the shares of the first round nothing is known, as ever.
    assert posterior_factor(of, replace(last.optimizer, row_count=0)) is None


@pytest.mark.parametrize(
    ("training", "contract", "epsilon", "why"),
    [
        (
            {},
            CONTRACT,
            0.1,
            r"a typical one would stand out by \d\.\d standard deviations of its noise, and 2 are needed",
        ),
        ({"optimizer": "sgd"}, CONTRACT, 4.0, r"they need training\.optimizer=newton \(here sgd\)"),
        ({"sampling_rate": 0.5}, CONTRACT, 4.0, r"they need training\.optimizer=newton \(here sgd\)"),
        ({}, ONE_FEATURE, 4.0, r"the contract has no two features of at most 14 bins that it does not cross"),
    ],
)
def test_a_study_without_says_why_and_one_with_says_nothing(
    training: dict[str, Any], contract: Contract, epsilon: float, why: str
) -> None:
    of = propose(
        study="tea",
        contract=contract,
        model=MODEL,
        privacy=PrivacySettings(epsilon=epsilon, noise="secure", schedule="auto", clip_norm=0.0),
        training=TrainingSettings(**{"rounds": 0, "optimizer": "auto", **training}),
        public_patients=dict.fromkeys(NAMES, PATIENTS),
        simulation=True,
    )
    assert of.model.kind == "additive"
    said = why_additive(MODEL, of)
    assert re.fullmatch(f"model=interactions is additive here, without interactions: {why}", said)
    assert why_additive(ModelSettings(), of) == ""
    assert why_additive(MODEL, study()) == ""


SMALL = (
    "data.hospitals=6",
    "data.patients=6000",
    "data.messages=24000",
    "data.largest=2000",
    "privacy.delta=1e-5",
    "model=interactions",
)


@pytest.mark.slow
@pytest.mark.parametrize(("epsilon", "kind"), [(1.0, "additive"), (30.0, "interactions")])
def test_the_public_rule_says_which_model_a_run_has_and_reports(epsilon: float, kind: str) -> None:
    settings = compose_study(*SMALL, f"privacy.epsilon={epsilon}")
    results = conduct(settings)
    assert results.model.kind == kind == results.terms.model.kind
    assert results.weight_error is not None
    assert (results.why_additive == "") == (kind == "interactions")
    assert [line for line in closing_lines(results) if "is additive here" in line] == (
        [f"{results.why_additive}."] if results.why_additive else []
    )
    assert {"federated_private", "personalised", "pooled"} <= results.probabilities.keys()
