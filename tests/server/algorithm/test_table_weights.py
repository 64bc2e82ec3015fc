"""How hospitals count in the sum of tables: alike in secure sums, by size where that measures better, noise stated."""

from dataclasses import replace

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, SEX, small_contract
from wardround.client.gate.identity import HELDOUT_SHARE
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import (
    EvaluationSettings,
    row_factors,
    table_factors,
    table_rows,
    table_size,
)
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.propose import AUC_HALFWIDTH, propose
from wardround.server.algorithm.table_weights import (
    HELD_OUT_PER_TRAINING,
    NO_TILT,
    best_power,
    expected_auc_variance,
    release_weights,
    tilt_of,
)
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import NoisedTables, estimate
from wardround.server.evaluation.evaluation import consistent_tables, plans, sum_tables, tables_of

CONTRACT = contract_from_mapping(small_contract(**PUBLIC, features={"sex": SEX}, groups=["sex"]))
SKEWED = {f"h{number}": round(4000 / (1 + number)) for number in range(40)}


def terms(patients: dict[str, int], noise: str = "local") -> Terms:
    return propose(
        study="tea",
        contract=CONTRACT,
        model=ModelSettings(),
        privacy=PrivacySettings(noise=noise),
        training=TrainingSettings(rounds=2),
        public_patients=patients,
        simulation=True,
        evaluation=EvaluationSettings(),
    )


def test_in_secure_sums_and_in_equal_hospitals_patients_weigh_alike() -> None:
    for of in (terms(SKEWED, "secure"), terms(dict.fromkeys(SKEWED, 500))):
        weights = release_weights(of)
        assert set(weights.values()) == {1.0}
        tilt = tilt_of(of, of.hospitals, weights)
        assert (tilt.between, tilt.within) == pytest.approx((NO_TILT.between, NO_TILT.within))


def test_sizes_count_where_noise_rules_and_not_where_hospitals_differ_more() -> None:
    loud = terms(SKEWED)
    assert best_power(loud) == 0.5
    assert loud.evaluation is not None
    quiet = replace(loud, evaluation=replace(loud.evaluation, noise_multiplier=0.02))
    assert best_power(quiet) == 0.0


def test_what_the_rule_takes_for_the_held_out_is_what_the_gate_holds_out() -> None:
    assert pytest.approx(HELDOUT_SHARE / (1 - HELDOUT_SHARE)) == HELD_OUT_PER_TRAINING


def test_groups_have_what_the_auc_of_all_can_do_without() -> None:
    def share_and_halfwidth(patients: int, **evaluation: float) -> tuple[float, float]:
        of = propose(
            study="tea",
            contract=CONTRACT,
            model=ModelSettings(),
            privacy=PrivacySettings(noise="local", delta=1e-8),
            training=TrainingSettings(rounds=2),
            public_patients=dict.fromkeys("abcdefgh", patients),
            simulation=True,
            evaluation=EvaluationSettings(**evaluation),  # type: ignore[arg-type]
        )
        assert of.evaluation is not None
        halfwidth = 1.96 * expected_auc_variance(of, release_weights(of)) ** 0.5
        return of.evaluation.overall_share, halfwidth

    found = [share_and_halfwidth(patients) for patients in (1_000, 10_000, 20_000, 1_000_000)]
    shares = [share for share, _ in found]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (0.7, 0.1)
    assert all(halfwidth <= AUC_HALFWIDTH for share, halfwidth in found if share < 0.7)
    assert found[0][1] > AUC_HALFWIDTH
    assert share_and_halfwidth(1_000_000, overall_share=0.4)[0] == 0.4
    assert terms(SKEWED, "secure").evaluation.overall_share == 0.2  # type: ignore[union-attr]


def test_more_groups_have_more_of_the_sensitivity_and_all_of_it_is_one() -> None:
    contract = contract_from_mapping(
        small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=["age", "sex"])
    )
    rows, factors = table_rows(contract), row_factors(contract, 0.3)
    part = {row.attribute: float(factor) ** 2 for row, factor in zip(rows, factors, strict=True)}
    groups = {name: sum(row.attribute == name for row in rows) for name in ("age", "sex")}
    assert sum(part.values()) == pytest.approx(1.0)
    assert part["age"] / part["sex"] == pytest.approx((groups["age"] / groups["sex"]) ** 0.5)
    assert groups["age"] > groups["sex"]


def summed(of: Terms, exact: dict[str, np.ndarray], seed: int) -> NoisedTables:
    """What the server reads from noised releases of these tables, one hospital away."""
    state = rounds.skip_to(rounds.init(of), 3)
    draw, asked = np.random.default_rng(seed), plans(state, of, rounds.reported_weights(state))
    releases = [
        Release(
            study=plan.study,
            hospital=plan.hospital,
            round=plan.round,
            terms_fingerprint=of.fingerprint,
            weights_digest=plan.weights_digest,
            vector=(
                exact[plan.hospital] + of.table_noise_stddev * draw.normal(size=len(exact[plan.hospital]))
            ).astype(np.float32),
            simulation=True,
            account="held_out",
        )
        for plan in asked[:-1]
    ]
    found = sum_tables(of, asked[0], releases)
    assert len(found.accepted) == len(releases)
    return tables_of(of, found)


@pytest.mark.statistical
def test_a_weighted_sum_is_of_the_declared_patients_and_its_noise_is_what_is_stated() -> None:
    """400 draws: a standard deviation is found to within 12 % but once in 700."""
    of = terms(SKEWED)
    assert of.evaluation is not None
    assert best_power(of) == 0.5
    factors, mixed = table_factors(CONTRACT, of.evaluation), contrasts(of.evaluation.score_bins)
    groups = len(factors) - 1
    even = np.array([1.0, *([1 / groups] * groups)])[:, None, None] * np.ones((2, of.evaluation.score_bins))
    alike = (mixed.of(even) * factors[:, None, None]).ravel()
    exact = {name: alike * count / even[0].size for name, count in SKEWED.items()}
    drawn = [summed(of, exact, seed) for seed in range(400)]
    totals = np.array([one.counts[0] for one in drawn])
    declared = sum(list(SKEWED.values())[:-1])
    assert totals.mean(axis=0).sum() == pytest.approx(declared, rel=0.01)
    stated = np.sqrt(drawn[0].covariance[0, 0] * np.diag(mixed.covariance)).mean()
    assert totals.std(axis=0).mean() == pytest.approx(stated, rel=0.03)
    assert totals.std(axis=0).mean() != pytest.approx(stated * 2 / 3, rel=0.03)
    assert drawn[0].tilt.between > 0
    assert drawn[0].tilt.within > 1


def test_a_tilt_widens_the_interval_of_what_differs_between_hospitals() -> None:
    of = terms(SKEWED)
    assert of.evaluation is not None
    counts = np.random.default_rng(0).uniform(2e4, 4e4, table_size(CONTRACT, of.evaluation))
    tilted = consistent_tables(of, 2, counts, of.hospitals)
    level = replace(tilted, tilt=NO_TILT)
    for measure in (measures.auc(tilted.shape), measures.prevalence(tilted.bins)):
        assert estimate(tilted, measure).noise > estimate(level, measure).noise
        assert estimate(tilted, measure).sampling == estimate(level, measure).sampling
