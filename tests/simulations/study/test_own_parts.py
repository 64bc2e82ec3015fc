"""A study with a user's own torch module, given as an object: trained at a verified ε, or refused before it begins."""

import numpy as np
import pytest
from torch import nn

import wardround
from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError


class Mine(nn.Module):
    """A small network over rows of norm one."""

    def __init__(self, layout):
        super().__init__()
        self.scale = (1 + len(layout.fields) + len(layout.values)) ** -0.5
        self.first, self.last = nn.Linear(layout.width, 4), nn.Linear(4, 1)

    def forward(self, rows):
        return self.last(self.first(rows * self.scale).tanh())[..., 0]


class Mixes(Mine):
    def forward(self, rows):
        return super().forward(rows - rows.mean(dim=0, keepdim=True))


@pytest.fixture(autouse=True)
def _own(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})


@pytest.mark.slow
def test_a_study_of_a_users_own_module():
    study = wardround.simulate("experiment=tiny", model=Mine, rounds=2, epsilon=1.5)
    assert study.summary["patient_epsilon"] <= 1.5
    assert study.settings["model"]["kind"].endswith(":Mine")
    assert study.settings["training"]["optimizer"] == "auto"
    shared = study.predictions()["probability"].to_numpy()
    assert np.isfinite(shared).all()
    assert shared.std() > 0


@pytest.mark.slow
def test_descent_without_privacy_learns_and_does_not_diverge():
    """At the additive model's largest step it diverged: AUC 0.50, and a log-loss of 0.91 (2: 0.72 and 0.70)."""
    study = wardround.simulate("experiment=tiny", model=Mine, rounds=40, epsilon=3.0)
    assert study.summary["auc"]["federated"] > 0.6
    assert study.summary["log_loss"]["federated"] < 0.8


def test_a_module_that_mixes_patients_is_refused_before_anything_is_learned():
    with pytest.raises(ConfigurationError, match="its per-patient gradients differ from autograd's"):
        wardround.simulate("experiment=tiny", model=Mixes)


def test_an_object_where_none_belongs_is_one_line():
    with pytest.raises(
        ConfigurationError, match=r"training\.rounds=.*: takes no object; plugins belong to model\.kind"
    ):
        wardround.simulate("experiment=tiny", rounds=lambda: 3)
