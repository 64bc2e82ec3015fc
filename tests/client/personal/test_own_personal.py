"""A user's own personalisation sees one hospital at a time, and no label of what it scores."""

import numpy as np
import pytest

from wardround.client.personal.personal_scores import personal_scores
from wardround.client.train.check_closed_form import random_cohort
from wardround.protocol import plugins
from wardround.protocol.contract.layout import Field, Layout
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import predict_logits
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

LAYOUT = Layout((Field("a", ("x", "y", "?")),), (), ("r",))
MODEL, WEIGHTS = ModelSettings(), np.linspace(-1, 1, LAYOUT.width)


@pytest.fixture(autouse=True)
def _own(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})


def cohort(name, patients=(5, 0, 3)):
    return random_cohort(LAYOUT, patients, 3, Keystream(derive_key("own personal", name)))


def test_each_hospital_is_fitted_alone_and_one_without_patients_keeps_the_shared_model():
    training, target, seen = cohort("training"), cohort("target", (4, 2, 3)), []

    def fit(known, asked):
        seen.append((known, asked))
        return asked.logits + 10 * known.labels.sum()

    name = plugins.enter("personalization", fit)
    scores = personal_scores(name, MODEL, LAYOUT, WEIGHTS, training, target)
    shared = predict_logits(MODEL, LAYOUT, WEIGHTS, target)
    hospital = target.hospital_of_patient[target.patient_of_event]
    engaged = np.array([training.hospital(index).labels.sum() for index in range(3)])
    np.testing.assert_allclose(scores, shared + 10 * engaged[hospital])
    assert len(seen) == 2
    for (known, asked), index in zip(seen, (0, 2), strict=True):
        own = training.hospital(index)
        np.testing.assert_array_equal(known.labels, own.labels)
        np.testing.assert_array_equal(known.patients, own.patient_of_event)
        np.testing.assert_allclose(known.logits, predict_logits(MODEL, LAYOUT, WEIGHTS, own))
        assert known.rows.shape == (own.event_count, LAYOUT.width)
        assert len(asked.labels) == 0


@pytest.mark.parametrize(
    ("fit", "line"),
    [
        (lambda known, asked: asked.logits[:1], r"gave an array of shape \[1\], must be \["),
        (lambda known, asked: asked.logits * np.nan, "gave logits that are not finite"),
        (lambda known, asked: 1 / 0, "failed with ZeroDivisionError at test_own_personal.py"),
    ],
)
def test_what_it_does_wrong_is_one_line(fit, line):
    name = plugins.enter("personalization", fit)
    with pytest.raises(ConfigurationError, match=line):
        personal_scores(name, MODEL, LAYOUT, WEIGHTS, cohort("training"), cohort("target"))


def test_a_word_that_nobody_knows_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"personalization\.kind=mixtur: must be one of none, mixture"
    ):
        personal_scores("mixtur", MODEL, LAYOUT, WEIGHTS, cohort("training"), cohort("target"))
