"""What a visitor without a record is shown: by context alone, and never what is for known patients."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from tests.client.outreach.proposing import KEY, NOW, grounds, library_of
from tests.client.outreach.test_model_choice import CONTRACT, effects_of
from wardround.client.connectors.source import Tables
from wardround.client.main import main
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.proposals.model_choice import ModelChoice
from wardround.client.outreach.proposals.visitor import nobody_known, shown_to_visitor
from wardround.client.personal.own_effects import OwnEffects
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.model_file import StoredModel
from wardround.protocol.terms.settings import ModelSettings

PLAIN = {"parts": {"core": "We have courses on Mondays."}}
SETTINGS = (
    "triggers:\n  course: {when: interest, source: portal, topic: visits, days: [0, 3], standard: [one], "
    "options: [other, named]}\n"
)
MODULES = {"one": {"channel": "portal", **PLAIN}, "other": {"channel": "portal", "tone": "warm", **PLAIN},
           "named": {"channel": "portal"}}  # fmt: skip

TONED = {**CONTRACT, "features": {**CONTRACT["features"], "tone": {
    "kind": "categorical", "column": "tone", "vocabulary": ["warm"]}}}  # fmt: skip


def shown(tmp_path, topic="visits", channel="portal", language=None, model=None, **modules):
    library = library_of(**{**MODULES, **modules})
    ground = grounds(tmp_path, SETTINGS, library)
    chooser = None if model is None else model(ground, library)
    return shown_to_visitor(
        library, ground.settings, topic, channel, language, chooser, NOW.replace(tzinfo=None)
    )


def test_a_visitor_is_shown_the_standard_module_of_a_declared_topic(tmp_path):
    assert shown(tmp_path).module.name == "one.en"
    assert shown(tmp_path, language="en-GB").module.name == "one.en"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"topic": "flu"}, "content"),
        ({"topic": "oncology"}, "topic"),
        ({"channel": "sms"}, "content"),
        ({"language": "fr"}, "content"),
        ({"one": {"channel": "portal"}}, "content"),
        ({"one": {"channel": "portal", "message_class": "marketing", **PLAIN}}, "content"),
    ],
)
def test_what_is_for_known_patients_is_shown_to_no_visitor(tmp_path, change, rule):
    found = shown(tmp_path, **change)
    assert isinstance(found, Held)
    assert found.rule == rule


def test_a_model_chooses_for_a_visitor_by_context_alone(tmp_path):
    contract = contract_from_mapping(TONED)
    effects = effects_of(
        contract, **{"tone: warm": 1.0, "age: missing": 0.5, "habit: 0": 0.25, "channel: other": 0.1}
    )

    def model(error):
        def make(ground, library):
            stored = StoredModel(
                ModelSettings(), effects / column_scale(ModelSettings(), contract.layout), {}
            )
            return ModelChoice(
                contract=contract, stored=stored, error_factor=error * np.eye(contract.layout.width), digest="",
                tables=Tables(pl.DataFrame()), key=KEY,
                now=NOW, library=library, settings=ground.settings,
            )  # fmt: skip

        return make

    found = shown(tmp_path, model=model(0.1))
    assert found.module.name == "other.en"
    assert found.gain == pytest.approx(expit(1.85) - expit(0.85))
    assert shown(tmp_path, model=model(1.0)).module.name == "one.en"


def test_no_answer_to_a_visitor_depends_on_the_hospitals_own_part(tmp_path, capsys):
    """Anybody may ask, again and again: an own part without noise would leave by its answers, uncharged."""
    contract = contract_from_mapping(TONED)
    effects = effects_of(contract, **{"tone: warm": 1.0})
    width = contract.layout.width

    def model(own):
        def make(ground, library):
            weights = effects / column_scale(ModelSettings(), contract.layout)
            return ModelChoice(
                contract=contract, stored=StoredModel(ModelSettings(), weights, {}), own=own,
                error_factor=0.1 * np.eye(width), digest="", tables=Tables(pl.DataFrame()), key=KEY,
                now=NOW, library=library, settings=ground.settings,
            )  # fmt: skip

        return make

    without = shown(tmp_path, model=model(None))
    assert without.module.name == "other.en"
    assert shown(tmp_path, model=model(OwnEffects(-3.0 * effects, np.zeros((width, width))))) == without
    asked = ["outreach", "context", "model.safetensors", "--topic", "visits", "--personal"]
    assert main([*asked, "--home", str(tmp_path)]) == 2
    assert "--personal" in capsys.readouterr().err


def test_nothing_is_known_of_nobody():
    contract = contract_from_mapping(CONTRACT)
    cohort = nobody_known(contract)
    features = contract.layout.features
    said = {one.name: one.labels[place] for one, place in zip(features, cohort.bins[0], strict=True)}
    assert said == {
        "channel": "other", "hour": "missing", "age": "missing", "insurance": "other", "habit": "0",
    }  # fmt: skip
    assert not cohort.known[0]
