"""A planted unfairness is found with its sign and size, stops the release, and is halved by the mitigation."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from conf.compose import study_settings
from conf.settings import ReviewSettings
from protocol.evaluation import score_bins
from protocol.model import predict_logits, predict_probabilities
from server.assess import Assessment, assess
from simulations import study
from simulations.federation import Federation, load_federation
from simulations.report.assessed import exact_measures

OVERRIDES = [
    "data.hospitals=6",
    "data.patients=40000",
    "data.messages=150000",
    "data.largest=20000",
    "data.unfairness=1.0",
    "contract.groups=[language]",
    "privacy.noise=distributed",
    "fairness.max_selection_gap=0.2",
    "fairness.mitigation=equal_selection",
]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Federation, object, np.ndarray, Assessment]:
    with initialize_config_module("conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("simulate", OVERRIDES), resolve=True)
    settings = study_settings(plain, Path(tmp_path_factory.mktemp("run")))  # type: ignore[arg-type]
    federation = load_federation(settings.data, settings.contract, settings.seed)
    terms = study.simulated_terms(settings, federation)
    answer = study.answers(federation, terms)
    state = study.train(settings, federation, terms, answer, lambda summary, state: None)
    found = assess(terms, state, study.asking(answer), ReviewSettings(), date(2026, 1, 1))
    shared = study.reported_weights(state)
    return federation, terms, shared, found


def selection_gap(federation: Federation, terms, weights: np.ndarray, first_selected: int) -> float:
    """English less Spanish, exactly, every patient weighing the same."""
    heldout = federation.heldout
    names = [field.name for field in terms.contract.layout.features]
    language = heldout.bins[:, names.index("language")]
    logits = predict_logits(terms.model, terms.contract.layout, weights, heldout)
    selected = score_bins(logits, terms.evaluation) >= first_selected
    each = (1 / heldout.events_per_patient)[heldout.patient_of_event]
    rates = [np.average(selected[language == bin_], weights=each[language == bin_]) for bin_ in (0, 1)]
    return float(rates[0] - rates[1])


def exact_auc(federation: Federation, terms, weights: np.ndarray) -> float:
    scores = predict_probabilities(terms.model, terms.contract.layout, weights, federation.heldout)
    return exact_measures(federation.heldout, scores)["auc"]


def test_the_audit_finds_it_with_its_sign_and_size(planted) -> None:
    federation, terms, shared, found = planted
    assert found.before is not None
    (gap,) = [
        g for g in found.before.audit.gaps if (g.measure, g.first, g.second) == ("selection", "english", "spanish")
    ]
    truth = selection_gap(federation, terms, shared, found.before.audit.first_selected)
    assert truth > 0.25
    low, high = gap.difference.interval(0.999)
    assert 0 < low <= truth <= high
    assert gap.difference.value == pytest.approx(truth, abs=0.08)


def test_the_limit_stops_the_release(planted) -> None:
    *_, found = planted
    from server.review import review

    stopped = review(found.before.evaluation, found.before.audit, ReviewSettings(), date(2026, 1, 1))
    assert not stopped.releasable
    assert any(block.startswith("selection by language: english and") for block in stopped.blocks)


def test_the_mitigation_halves_it_for_at_most_a_hundredth_of_auc(planted) -> None:
    federation, terms, shared, found = planted
    assert found.after is not None and set(found.offsets) == {"language"}
    before = selection_gap(federation, terms, shared, found.before.audit.first_selected)
    after = selection_gap(federation, terms, found.weights, found.after.audit.first_selected)
    assert abs(after) <= before / 2
    assert exact_auc(federation, terms, found.weights) >= exact_auc(federation, terms, shared) - 0.01


def test_both_evaluations_are_charged_to_held_out_patients(planted) -> None:
    *_, found = planted
    assert found.event is not None and found.event.count == 2
    assert 0.99 < found.epsilon <= 1.0
