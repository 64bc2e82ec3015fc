"""A user's own aggregation rule and server optimiser: they are called as documented, and what they give is checked."""

import doctest
import json
from inspect import getsource

import numpy as np
import pytest

from wardround.client.personal import own_personal
from wardround.conf.compose import study_settings
from wardround.conf.composed import compose_study
from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model import own_module
from wardround.protocol.text.plain import read_yaml
from wardround.server.algorithm import optimize, own_rule
from wardround.server.algorithm.aggregate import begin, noise_gain, reason_to_discard
from wardround.server.algorithm.own_rule import AggregationRule, ServerOptimizer
from wardround.server.algorithm.propose import propose
from wardround.simulations.study.study import run

SMALL = ("data.patients=600", "data.messages=1500", "data.hospitals=4", "data.largest=400", "data.smallest=50",
         "data.size_exponent=0.5", "training.rounds=4")  # fmt: skip
PATIENTS = {"north": 100, "south": 300, "east": 800}


@pytest.fixture(autouse=True)
def _own(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})


def by_patients(means, patients):
    """FedAvg's weights."""
    return patients @ means / patients.sum()


class PlainDescent:
    """The sgd of the house without momentum."""

    def init(self, parameters):
        return {"steps": np.zeros(1)}

    def apply(self, state, weights, gradient, learning_rate):
        state["steps"] += 1
        return state, weights - learning_rate * gradient


@pytest.fixture
def terms():
    """Give terms of three hospitals under these training settings."""

    def make(*overrides):
        settings = compose_study(*SMALL, *overrides)
        return propose(
            study="s",
            contract=settings.contract,
            model=settings.model,
            privacy=settings.privacy,
            training=settings.training,
            public_patients=PATIENTS,
            simulation=True,
        )

    return make


def test_a_rule_gets_each_hospitals_own_mean_in_the_order_of_the_terms(terms):
    seen = []

    def rule(means, patients):
        seen.append((means.copy(), patients.copy()))
        return means[0]

    one = begin(terms(f"training.aggregate={plugins.enter('aggregate', rule)}"), 2, 1)
    one.add("east", np.array([800.0, 1600.0]))
    one.add("north", np.array([100.0, -300.0]))
    np.testing.assert_array_equal(one.gradient(), [1, -3])
    means, patients = seen[-1]
    np.testing.assert_array_equal(means, [[1, -3], [1, 2]])
    np.testing.assert_array_equal(patients, [100, 800])


def test_a_rule_that_is_the_sum_gives_the_sums_noise_and_gradient(terms):
    """Weights ∝ declared patients are least noisy only where noise is shared; so compare by that formula."""
    own = terms(f"training.aggregate={plugins.enter('aggregate', by_patients)}")
    counts = np.array(list(PATIENTS.values()))
    expected = np.sqrt(len(counts)) / counts.sum()
    assert noise_gain(own) == pytest.approx(expected, rel=0.03)
    assert noise_gain(own) != pytest.approx(expected * 1.1, rel=0.03)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (lambda means, patients: means, r"gave an array of shape \[2, 5\], must be \[5\]"),
        (lambda means, patients: means[0] * np.nan, "gave numbers that are not finite"),
        (lambda means, patients: 1 / 0, r"failed with ZeroDivisionError at test_own_rule.py line \d+"),
        (lambda means: means, "failed with TypeError"),
    ],
)
def test_what_a_rule_does_wrong_is_one_line_that_names_it(rule, line):
    name = plugins.enter("aggregate", rule)
    with pytest.raises(ConfigurationError, match=line) as caught:
        own_rule.join(name, np.ones((2, 5)), np.array([1, 2]))
    assert str(caught.value).startswith("training.aggregate=")
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_is_sgd_takes_the_same_steps(terms):
    name = plugins.enter("optimizer", PlainDescent)
    gradients, found = np.random.default_rng(0).normal(size=(4, 5)), []
    for optimizer in (name, "sgd"):
        own = terms(f"training.optimizer={optimizer}", "training.momentum=0", "training.learning_rate=2")
        state, weights = optimize.init(own.training, 5), np.ones(5)
        for gradient in gradients:
            state, weights = optimize.apply(state, own, weights, gradient)
        found.append(weights)
        assert state.steps == 4
    np.testing.assert_array_equal(*found)


def test_a_study_runs_by_a_rule_and_an_optimizer_that_its_settings_name_by_path(tmp_path, monkeypatch):
    source = "import numpy as np\n" + getsource(by_patients) + getsource(PlainDescent)
    (tmp_path / "rules_of_test.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = ("training.aggregate=rules_of_test:by_patients", "training.optimizer=rules_of_test:PlainDescent")
    settings = compose_study(*SMALL, *chosen, f"output_dir={tmp_path}/out", "report=files")
    run(settings)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["rounds"] == 4
    written = (tmp_path / "out" / "config.yaml").read_text()
    assert "rules_of_test:by_patients" in written
    # What was written composes to the same settings.
    again = study_settings(read_yaml(written.encode(), "config.yaml"))
    assert again.training == settings.training


def test_an_optimizers_state_cannot_be_changed_from_outside():
    name = plugins.enter("optimizer", PlainDescent)
    before = own_rule.init_own(name, 3)
    after, weights = own_rule.apply_own(name, before, np.ones(3), np.ones(3), 0.5)
    assert (before["steps"], after["steps"]) == (0, 1)
    np.testing.assert_array_equal(weights, np.full(3, 0.5))


def test_an_optimizer_that_diverges_is_named():
    class Diverges(PlainDescent):
        def apply(self, state, weights, gradient, learning_rate):
            return state, weights * np.inf

    name = plugins.enter("optimizer", Diverges)
    with pytest.raises(ConfigurationError, match="gave numbers that are not finite"):
        own_rule.apply_own(name, {}, np.ones(3), np.ones(3), 0.5)


def test_the_steps_rule_serves_an_optimizer_that_names_no_step(terms):
    name = plugins.enter("optimizer", PlainDescent())
    own, plain = terms(f"training.optimizer={name}"), terms("training.optimizer=sgd", "training.momentum=0")
    assert own.training.learning_rate == plain.training.learning_rate > 0
    assert own.training.tail_average == plain.training.tail_average


def test_one_release_is_enough_for_an_own_rule_and_not_for_the_robust_ones(terms):
    own = terms(f"training.aggregate={plugins.enter('aggregate', by_patients)}")
    assert reason_to_discard(own, 1, own.training.aggregate) == ""
    assert "needs 3" in reason_to_discard(own, 1, "median")


def test_rays_workers_are_not_handed_a_plugin():
    name = plugins.enter("aggregate", by_patients)
    with pytest.raises(ConfigurationError, match=r"federation\.kind=flower: cannot carry a plugin"):
        compose_study(*SMALL, f"training.aggregate={name}", "federation=flower")


def test_an_own_rule_may_not_look_at_shares_of_noise(terms):
    name = plugins.enter("aggregate", by_patients)
    with pytest.raises(ConfigurationError, match=r"must be sum with privacy\.noise=secure"):
        terms(f"training.aggregate={name}", "privacy.noise=secure")


@pytest.mark.parametrize("module", [own_rule, own_module, own_personal])
def test_the_examples_of_the_protocols_run(module):
    found = doctest.testmod(module)
    assert found.attempted >= 3
    assert found.failed == 0


def test_the_protocols_say_what_is_one():
    assert isinstance(by_patients, AggregationRule)
    assert isinstance(PlainDescent(), ServerOptimizer)
    assert not isinstance(by_patients, ServerOptimizer)
