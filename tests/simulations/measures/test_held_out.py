"""The AUC of each round: a kept design gives what ``predict_logits`` gives, and so does none."""

import numpy as np
import pytest

from wardround.protocol.model.model import parameter_count, predict_logits
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.measures import metrics
from wardround.simulations.measures.held_out import HeldOutScore


@pytest.mark.parametrize("memory_bytes", [0, 1 << 30])
@pytest.mark.parametrize("model", [ModelSettings(), ModelSettings(kind="wide_deep", hidden=(4,))])
def test_it_scores_as_the_model_does(small, model, memory_bytes):
    held = small([30, 0, 5])
    score = HeldOutScore(model, held.layout, held.cohort, memory_bytes)
    rng = np.random.default_rng(0)
    for _ in range(2):
        weights = rng.normal(size=parameter_count(model, held.layout))
        expected = predict_logits(model, held.layout, weights, held.cohort)
        np.testing.assert_allclose(score.logits(weights), expected, rtol=1e-12, atol=1e-12)
        assert score.auc(weights) == metrics.auc(held.cohort.labels, score.logits(weights))
