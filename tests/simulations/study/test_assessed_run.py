"""A run with private evaluation: its files, its costs, and two kinds of patients that never meet."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from wardround.conf.compose import study_settings
from wardround.conf.settings import StudySettings
from wardround.protocol.model.model_file import load_model
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.terms import Release
from wardround.server.algorithm import rounds
from wardround.server.evaluation import evaluation
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.study import study

SMALL = [
    "data.hospitals=4",
    "data.patients=4000",
    "data.messages=16000",
    "data.largest=2000",
    "training.rounds=4",
    "privacy.delta=1e-4",
    "privacy.noise=secure",
    "contract.groups=[sex]",
    "report=files",
]


@pytest.fixture(scope="module")
def settings_of() -> Callable[..., StudySettings]:
    def make(folder: Path, *overrides: str) -> StudySettings:
        with initialize_config_module("wardround.conf", version_base="1.3"):
            plain = OmegaConf.to_container(compose("simulate", [*SMALL, *overrides]), resolve=True)
        return study_settings(plain, folder)  # type: ignore[arg-type]

    return make


@pytest.mark.slow
def test_summary_files_and_model_say_the_same(settings_of, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "evaluation.epsilon=4", "evaluation.rounds=[2,4]")
    files = study.run(settings)
    summary = json.loads(files.summary.read_text(encoding="utf-8"))
    for events, stated in (
        ("events", summary["patient_epsilon"]),
        ("held_out_events", summary["evaluation_epsilon"]),
    ):
        spent = compose_epsilon([PrivacyEvent(**event) for event in summary["mechanism"][events]], 1e-4)
        assert spent == pytest.approx(stated)
    assert 3.99 < summary["evaluation_epsilon"] <= 4.0
    found = summary["evaluation"]
    assert (found["account"], found["releases"], found["round"], found["hospitals"]) == ("held_out", 2, 4, 4)
    assert found["epsilon_by_adversary"]["masks_failed"] > found["epsilon_by_adversary"]["model"]
    for name in ("auc", "log_loss", "calibration_gap", "prevalence", "patients"):
        # Four deviations of the noise: by chance once in 3,000 runs, and the seed is fixed.
        assert abs(found[name]["value"] - found["exact"][name]) < 4 * found[name]["noise"] + 2e-3
    assert {group["group"] for group in summary["fairness"]["groups"]} >= {"F", "M"}
    # In a simulation the exact numbers stand beside the noised ones, which have an interval for them.
    named = [(one["attribute"], one["group"]) for one in summary["fairness"]["groups"]]
    assert [(one["attribute"], one["group"]) for one in summary["exact_groups"]] == named
    for noised, exact in zip(summary["fairness"]["groups"], summary["exact_groups"], strict=True):
        if not noised["suppressed"]:
            assert noised["patients"] == pytest.approx(exact["patients"], rel=0.1)
            for measure in ("auc", "calibration"):
                assert noised[measure]["low"] <= exact[measure] <= noised[measure]["high"]
    facts = load_model(files.model, settings.contract).facts
    assert facts["releasable"] == ("yes" if summary["releasable"] else "no")
    assert facts["usable_until"] == summary["usable_until"]
    card = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert f"{found['auc']['value']:.3f}" in card
    assert files.card is not None
    assert files.card.is_file()
    manifest = json.loads(files.manifest.read_text(encoding="utf-8"))
    assert "model_card.html" in manifest["files"]


@pytest.mark.slow
def test_without_evaluation_nothing_is_released_about_the_held_out(settings_of, tmp_path: Path) -> None:
    files = study.run(settings_of(tmp_path, "evaluation=none"))
    summary = json.loads(files.summary.read_text(encoding="utf-8"))
    assert summary["evaluation"] is None
    assert summary["mechanism"]["held_out_events"] == []
    assert not summary["releasable"]
    assert summary["release_blocks"] == ["it was not evaluated on held-out patients"]


def test_training_patients_never_enter_evaluation_nor_the_reverse(settings_of, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    federation = load_federation(settings.data, settings.contract, 0)
    tokens = [
        {token.tobytes() for token in part.tokens} for part in (federation.training, federation.heldout)
    ]
    assert not tokens[0] & tokens[1]
    assert not set(federation.training.rows.tolist()) & set(federation.heldout.rows.tolist())
    terms = study.simulated_terms(settings, federation)

    def released(of, account: str) -> list[bytes]:
        state = rounds.init(terms)
        plans = rounds.plans(state, terms)
        if account == "held_out":
            weights = np.linspace(-1, 1, len(state.weights))
            plans = evaluation.plans(state, terms, weights, terms.training.rounds)
        answers = study.answering(of, terms)(plans)
        return [answer.vector.tobytes() for answer in answers if isinstance(answer, Release)]

    def flipped(cohort):
        return replace(cohort, labels=1 - cohort.labels)

    other_heldout = replace(federation, heldout=flipped(federation.heldout))
    other_training = replace(federation, training=flipped(federation.training))
    assert len(released(federation, "training")) == 4
    assert released(federation, "training") == released(other_heldout, "training")
    assert released(federation, "training") != released(other_training, "training")
    assert released(federation, "held_out") == released(other_training, "held_out")
    assert released(federation, "held_out") != released(other_heldout, "held_out")
