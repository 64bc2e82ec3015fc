"""Private evaluation on no-show, four group attributes: the AUC's error at ε = 1, and its intervals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from tests.builders import ROOT
from wardround.client.round.evaluate import scaled_tables
from wardround.conf.compose import study_settings
from wardround.protocol.model.model import predict_logits, predict_probabilities
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.table_weights import release_weights
from wardround.server.evaluation.evaluation import consistent_tables, evaluate_tables
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.report.assessed import exact_measures
from wardround.simulations.study.descents import pooled_model

TABLE = ROOT.parent / "shared" / "data" / "noshow.csv.gz"


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.skipif(not TABLE.is_file(), reason="the real table is absent: ../shared/data")
@pytest.mark.parametrize("noise", ["secure", "local"])
def test_the_error_of_the_auc_and_the_cover_of_its_intervals(noise: str) -> None:
    """200 repetitions; coverage of 95 % falls below 89 % by chance once in 10,000."""
    with initialize_config_module("wardround.conf", version_base="1.3"):
        plain = OmegaConf.to_container(
            compose("simulate", ["data=noshow", f"data.path={TABLE}"]), resolve=True
        )
    settings = study_settings(plain, Path("unused"))  # type: ignore[arg-type]
    contract = replace(settings.contract, groups=("sex", "age", "welfare", "hypertension"))
    federation = load_federation(settings.data, contract, seed=0)
    terms = propose(
        study="noshow",
        contract=contract,
        model=settings.model,
        privacy=replace(settings.privacy, noise=noise),
        training=settings.training,
        public_patients=federation.public_patients({}),
        simulation=True,
        evaluation=EvaluationSettings(epsilon=1.0),
    )
    layout, heldout = contract.layout, federation.heldout
    weights = pooled_model(terms, layout, federation.training)  # any good model will do
    truth = exact_measures(heldout, predict_probabilities(terms.model, layout, weights, heldout))
    logits = predict_logits(terms.model, layout, weights, heldout)
    by_hospital = scaled_tables(contract, terms.evaluation, logits, heldout)  # type: ignore[arg-type]
    shares = np.array(list(release_weights(terms).values()))
    total, stddev = shares @ by_hospital, terms.table_noise_stddev * np.sqrt((shares**2).sum())
    errors, halfwidths = [], []
    covered = dict.fromkeys(("auc", "log_loss", "calibration_gap", "prevalence"), 0)
    for seed in range(200):
        noised = Keystream(derive_key("repetition", seed)).gaussian(len(total))
        found = evaluate_tables(consistent_tables(terms, 40, total + stddev * noised, terms.hospitals), 0.95)
        halfwidths.append(found.auc.halfwidth(0.95))
        errors.append(found.auc.value - truth["auc"])
        for name in covered:
            low, high = getattr(found, name).interval(0.95, noise_only=True)
            covered[name] += low <= truth[name] <= high
    assert min(covered.values()) >= 178, covered
    assert np.mean(halfwidths) <= {"secure": 0.0125, "local": 0.02}[noise]
    assert np.sqrt(np.mean(np.square(errors))) <= {"secure": 0.004, "local": 0.01}[noise]
