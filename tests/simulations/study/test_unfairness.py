"""A planted unfairness is found with its sign and size, stops the release, and is halved by the mitigation."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from wardround.conf.compose import study_settings
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.model.model import predict_logits, predict_probabilities
from wardround.protocol.terms.evaluation import score_bins, score_edges
from wardround.server.evaluation.assess import Assessment, assess, measuring
from wardround.server.evaluation.mitigate import mitigated_weights
from wardround.server.evaluation.release_decision import decide_release
from wardround.simulations.federation.federation import Federation, load_federation
from wardround.simulations.study import study

OVERRIDES = [
    "data.hospitals=6",
    "data.patients=40000",
    "data.messages=150000",
    "data.largest=20000",
    "data.unfairness=1.0",
    "contract.groups=[language]",
    "privacy.noise=secure",
    "fairness.max_selection_gap=0.2",
    "fairness.mitigation=equal_selection",
]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Federation, object, np.ndarray, Assessment]:
    with initialize_config_module("wardround.conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("simulate", OVERRIDES), resolve=True)
    settings = study_settings(plain, Path(tmp_path_factory.mktemp("run")))  # type: ignore[arg-type]
    federation = load_federation(settings.data, settings.contract, settings.seed)
    terms = study.simulated_terms(settings, federation)
    answer = study.answering(federation, terms)
    state = study.train(settings, federation, terms, answer, lambda summary, state: None)
    found = assess(
        terms, state, measuring(terms, study.asking(answer)), ReleaseDecisionSettings(), date(2026, 1, 1)
    )
    shared = study.reported_weights(state)
    return federation, terms, shared, found


def selection_gap(federation: Federation, terms, weights: np.ndarray, first_selected: int) -> float:
    """English less Spanish, exactly, every patient weighing the same."""
    heldout = federation.heldout
    names = [field.name for field in terms.contract.layout.features]
    language = heldout.bins[:, names.index("language")]
    logits = predict_logits(terms.model, terms.contract.layout, weights, heldout)
    selected = score_bins(logits, score_edges(terms.contract, terms.evaluation)) >= first_selected
    each = (1 / heldout.events_per_patient)[heldout.patient_of_event]
    rates = [np.average(selected[language == bin_], weights=each[language == bin_]) for bin_ in (0, 1)]
    return float(rates[0] - rates[1])


@pytest.mark.slow
def test_the_audit_finds_it_with_its_sign_and_size(planted) -> None:
    federation, terms, shared, found = planted
    assert found.before is not None
    (gap,) = [
        g
        for g in found.before.group_report.gaps
        if (g.measure, g.first, g.second) == ("selection", "english", "spanish")
    ]
    truth = selection_gap(federation, terms, shared, found.before.group_report.first_selected)
    assert truth > 0.25
    low, high = gap.difference.interval(0.999)
    assert 0 < low <= truth <= high
    assert gap.difference.value == pytest.approx(truth, abs=0.08)


@pytest.mark.slow
def test_the_limit_stops_the_release(planted) -> None:
    *_, found = planted

    stopped = decide_release(
        found.before.evaluation, found.before.group_report, ReleaseDecisionSettings(), date(2026, 1, 1)
    )
    assert not stopped.releasable
    assert any(block.startswith("selection by language: english and") for block in stopped.blocks)


@pytest.mark.slow
def test_the_mitigation_halves_it_and_costs_no_auc(planted) -> None:
    federation, terms, shared, found = planted
    assert found.after is not None
    assert set(found.offsets) == {"language"}
    before = selection_gap(federation, terms, shared, found.before.group_report.first_selected)
    rule = mitigated_weights(terms, shared, found.offsets)
    after = selection_gap(federation, terms, rule, found.before.group_report.first_selected)
    assert abs(after) <= before / 2
    assert found.weights.tobytes() == shared.tobytes()  # the scores, and so their AUC, are as they were


@pytest.mark.slow
def test_the_second_evaluation_finds_what_is_left(planted) -> None:
    federation, terms, shared, found = planted
    (gap,) = [
        g
        for g in found.after.group_report.gaps
        if (g.measure, g.first, g.second) == ("selection", "english", "spanish")
    ]
    rule = mitigated_weights(terms, shared, found.offsets)
    low, high = gap.difference.interval(0.999)
    assert low <= selection_gap(federation, terms, rule, found.before.group_report.first_selected) <= high


@pytest.mark.slow
def test_the_stated_thresholds_select_as_was_measured(planted) -> None:
    federation, terms, shared, found = planted
    heldout, names = federation.heldout, [field.name for field in terms.contract.layout.features]
    language = heldout.bins[:, names.index("language")]
    scores = predict_probabilities(terms.model, terms.contract.layout, shared, heldout)
    own = np.array(list(found.thresholds["language"].values()))
    rule = predict_logits(
        terms.model, terms.contract.layout, mitigated_weights(terms, shared, found.offsets), heldout
    )
    measured = (
        score_bins(rule, score_edges(terms.contract, terms.evaluation))
        >= found.before.group_report.first_selected
    )
    assert (measured == (scores >= own[language])).mean() > 0.999


@pytest.mark.slow
def test_both_evaluations_are_charged_to_held_out_patients(planted) -> None:
    *_, found = planted
    assert found.event is not None
    assert found.event.count == 2
    assert 0.99 < found.epsilon <= 1.0
