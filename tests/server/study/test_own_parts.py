"""An operator's own models and rules: words in the terms, which the operator's own plugins.yaml maps."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import RISK_NET, ROOT, release_to
from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.own_module import module_digest
from wardround.protocol.text.text import is_digest
from wardround.protocol.wire.signed_terms import load_terms
from wardround.server.algorithm import rounds
from wardround.server.main import main
from wardround.server.study.own_parts import check_own_parts, declare_own_parts

MODULES = f"""
import numpy as np
{RISK_NET}
def equal_say(means, patients):
    return means.mean(axis=0)

class Signs:
    def init(self, parameters):
        return {{}}

    def apply(self, state, weights, gradient, learning_rate):
        return state, weights - learning_rate * np.sign(gradient)
"""
PLUGINS = """
models: {risk_net: 'operator_parts:RiskNet'}
aggregation_rules: {equal_say: 'operator_parts:equal_say'}
optimizers: {signs: 'operator_parts:Signs'}
"""
SETTINGS = (
    "training.public_patients={north: 4000, south: 3000}",
    "training.aggregate=equal_say",
    "training.optimizer=signs",
    "training.rounds=3",
    "model.kind=risk_net",
    "privacy.delta=1e-6",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An operator's folder with a key and own parts."""
    monkeypatch.setattr(plugins, "_known", {})
    monkeypatch.setattr(plugins, "_declared", {})
    (tmp_path / "operator_parts.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, PLUGINS)
    assert main(["key", "--out", str(tmp_path / "operator.key")]) == 0
    yield tmp_path
    sys.modules.pop("operator_parts", None)


def write(home, text):
    (home / "plugins.yaml").write_text(text)
    (home / "plugins.yaml").chmod(0o600)


def sign(home, *settings):
    """Run ``wardround-serve terms``."""
    key, out = home / "operator.key", home / "own.terms"
    return main(["terms", "--study", "own", "--key", str(key), "--out", str(out), *SETTINGS, *settings])


def test_terms_carry_words_and_the_modules_digest_and_a_round_goes_by_the_operators_own_rule(home):
    assert sign(home) == 0
    terms = load_terms(home / "own.terms").terms
    training = terms.training
    assert (terms.model.kind, training.aggregate, training.optimizer) == ("risk_net", "equal_say", "signs")
    assert terms.module_digest == module_digest(terms.model, terms.contract.layout)
    assert is_digest(terms.module_digest)
    check_own_parts(terms)

    state = rounds.init(terms)
    sums = [push * training.public_patients[name] for name, push in (("north", 3e-3), ("south", -1e-3))]
    plans = rounds.plans(state, terms)
    given = [
        release_to(plan, np.full(len(plan.weights), one), simulation=False)
        for plan, one in zip(plans, sums, strict=True)
    ]
    after, summary = rounds.apply(state, terms, given)
    assert summary.accepted == ("north", "south")
    np.testing.assert_allclose(
        after.weights, state.weights - training.learning_rate
    )  # the sign of their mean


def test_the_operator_goes_on_with_the_version_that_was_signed_and_no_other(home):
    assert sign(home) == 0
    terms = load_terms(home / "own.terms").terms
    write(home, PLUGINS.replace("RiskNet", "OtherBend"))
    declare_own_parts(home)
    with pytest.raises(ConfigurationError, match="is not the version that these terms were signed with"):
        check_own_parts(terms)
    with pytest.raises(ConfigurationError, match=r"training\.aggregate=median3: must be one of sum"):
        check_own_parts(replace(terms, training=replace(terms.training, aggregate="median3")))


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("model.kind=risk_nte", "did you mean risk_net?"),
        ("training.aggregate=equal_sya", "did you mean equal_say?"),
        ("training.optimizer=singns", "did you mean signs?"),
        (
            "model.kind=operator_parts:RiskNet",
            "must be one of additive, wide_deep, mlp, interactions, risk_net",
        ),
    ],
)
def test_a_name_that_the_file_does_not_map_is_one_line_and_no_terms(home, capsys, setting, line):
    assert sign(home, setting) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not (home / "own.terms").exists()


def test_the_file_in_the_guide_is_read(home):
    guide = (ROOT / "docs/plugins.md").read_text()
    written = guide.split("```yaml\n", 1)[1].split("```", 1)[0]
    write(home, written)
    declare_own_parts(home)
    assert set(plugins.known("model")) == {"risk_net"}
