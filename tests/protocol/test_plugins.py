"""A plugin is found by name, imported only from a path that this machine's person wrote, and never from a wire."""

import importlib
import sys
from dataclasses import dataclass

import pytest

from tests.builders import small_contract
from wardround.conf.compose import training_settings
from wardround.protocol import plugins
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms, terms_to_mapping

MINE = """
class Rule:
    def __call__(self, means, patients):
        return means.mean(axis=0)

def equal_say(means, patients):
    return means.mean(axis=0)

class Needs:
    def __init__(self, cut):
        self.cut = cut

nothing = 3
"""


@pytest.fixture(autouse=True)
def _own(monkeypatch, tmp_path):
    """A module of the test's own on the path, and a registry that the test leaves as it was."""
    monkeypatch.setattr(plugins, "_known", {})
    monkeypatch.setattr(plugins, "_declared", {})
    (tmp_path / "mine_of_test.py").write_text(MINE)
    (tmp_path / "broken_of_test.py").write_text("raise RuntimeError('no\\nsuch')")
    (tmp_path / "hollow_of_test.py").write_text("import surely_nowhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("mine_of_test", "broken_of_test", "hollow_of_test"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["equal_say", "Rule"])
def test_a_path_is_imported_once_and_then_found_by_itself(name):
    path = f"mine_of_test:{name}"
    assert plugins.find("aggregate", path) is None
    assert plugins.load("aggregate", path) == path
    assert callable(plugins.find("aggregate", path))
    assert plugins.known("aggregate") == (path,)
    assert plugins.known("optimizer") == ()
    assert TrainingSettings(aggregate=path).aggregate == path


def test_a_word_stands_for_a_path_where_this_installation_says_so():
    assert plugins.load("aggregate", "mine_of_test:equal_say", "equal") == "equal"
    assert plugins.known("aggregate") == ("equal",)
    assert TrainingSettings(aggregate="equal").aggregate == "equal"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (
            "mine_of_tset:Rule",
            "training.aggregate=mine_of_tset:Rule: no module named mine_of_tset; install it",
        ),
        ("mine_of_test:equal_sya", "its module has no equal_sya; did you mean equal_say?"),
        ("mine_of_test:nothing", "training.aggregate=mine_of_test:nothing: must be callable"),
        ("mine_of_test:Needs", "cannot be made without arguments; give an object"),
        ("broken_of_test:Rule", r"importing it failed \(RuntimeError: no such\)"),
        ("hollow_of_test:Rule", "no module named surely_nowhere"),
        ("not a path", "must be an import path, as in mypackage.models:Mine"),
        ("os:system; x", "must be an import path"),
        (":x", "must be an import path"),
    ],
)
def test_what_is_wrong_with_a_path_is_one_line(path, line):
    with pytest.raises(ConfigurationError, match=line) as caught:
        plugins.load("aggregate", path)
    assert "\n" not in str(caught.value)
    assert plugins.known("aggregate") == ()


def test_an_optimizer_must_have_both_methods():
    with pytest.raises(ConfigurationError, match="must have the methods init, apply"):
        plugins.load("optimizer", "mine_of_test:equal_say")


def test_two_objects_of_one_class_get_two_names_and_a_function_defined_anew_keeps_its_own():
    @dataclass
    class Cut:
        share: float

        def __call__(self, means, patients):
            return means[0] * self.share

    first, second = Cut(0.1), Cut(0.2)
    names = [plugins.enter("aggregate", each) for each in (first, second, first)]
    assert names[0] == names[2]
    assert names[1] == f"{names[0]}#2"
    assert plugins.find("aggregate", names[1]) is second

    path = plugins.load("aggregate", "mine_of_test:equal_say")
    again = importlib.reload(sys.modules["mine_of_test"]).equal_say
    assert plugins.enter("aggregate", again) == path
    assert plugins.find("aggregate", path) is again


def test_a_name_that_nobody_entered_is_refused_with_the_nearest_one():
    plugins.load("aggregate", "mine_of_test:equal_say", "equal")
    with pytest.raises(
        ConfigurationError, match=r"must be one of sum, trimmed, median, equal \(did you mean equal\?\)"
    ):
        training_settings({"aggregate": "eqaul"})


def test_a_declared_word_is_imported_when_it_is_first_found_and_again_where_its_path_changes():
    plugins.declare("aggregate", "equal", "mine_of_test:equal_say")
    assert "mine_of_test" not in sys.modules
    assert plugins.known("aggregate") == ("equal",)
    assert plugins.find("aggregate", "equal") is sys.modules["mine_of_test"].equal_say
    plugins.declare("aggregate", "equal", "mine_of_test:Rule")
    assert isinstance(plugins.find("aggregate", "equal"), sys.modules["mine_of_test"].Rule)


@pytest.mark.parametrize(
    ("group", "key"), [("training", "aggregate"), ("training", "optimizer"), ("model", "kind")]
)
@pytest.mark.parametrize("simulation", [True, False])
def test_a_path_that_comes_in_terms_is_never_imported(small_terms, group, key, simulation):
    """Terms of a simulation may name it, and it is looked up; those of a real study may not."""
    plain = terms_to_mapping(small_terms())
    plain[group] = {**plain[group], key: "mine_of_test:Rule"}
    plain["simulation"] = simulation
    if simulation:
        terms_from_mapping(plain)
        assert plugins.find({"kind": "model"}.get(key, key), "mine_of_test:Rule") is None
    else:
        with pytest.raises(ConfigurationError, match=f"{group}.{key}=mine_of_test:Rule: an import path"):
            terms_from_mapping(plain)
    assert "mine_of_test" not in sys.modules


def test_a_real_study_carries_words_alone(small_terms):
    path = plugins.load("aggregate", "mine_of_test:equal_say")
    assert small_terms(training={"aggregate": path}, simulation=True).training.aggregate == path
    with pytest.raises(ConfigurationError, match="an import path is for simulations; terms of a real study"):
        small_terms(training={"aggregate": path}, simulation=False)
    word = plugins.load("aggregate", path, "equal")
    assert small_terms(training={"aggregate": word}, simulation=False).training.aggregate == word


@pytest.fixture
def small_terms():
    """Terms of two hospitals; keyword arguments change training settings and the mark."""
    contract = contract_from_mapping(small_contract())

    def make(training=None, simulation=True):
        public = {"public_patients": {"north": 100, "south": 300}}
        return Terms(
            study="s",
            contract=contract,
            model=ModelSettings(),
            privacy=PrivacySettings(),
            training=TrainingSettings(**{**public, **(training or {})}),
            noise_multiplier=1.0,
            simulation=simulation,
        )

    return make
