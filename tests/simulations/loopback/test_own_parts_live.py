"""Own parts among real processes: a word in the terms, a package at each machine, nothing of it over the wire."""

import os

import polars as pl
import pytest
import yaml

from tests.builders import RISK_NET
from wardround.protocol.wire.signed_model import MODEL
from wardround.protocol.wire.signed_terms import load_terms
from wardround.simulations.loopback.federation import OPERATOR, Loopback

pytestmark = [pytest.mark.slow, pytest.mark.flower]

EQUAL_SAY = """
def equal_say(means, patients):
    return means.mean(axis=0)
"""
WAITS = ("--round-seconds=40", "--wait-seconds=120", "--quorum=1")


def test_a_study_of_an_own_module_and_rule_runs_over_tls_and_its_model_scores(tmp_path, monkeypatch):
    """The hospitals have the module alone: a rule is the operator's."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "own_models.py").write_text(RISK_NET)
    (folder / "own_rules.py").write_text(EQUAL_SAY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    with Loopback(tmp_path / "l", ["north", "south"], patients=400) as loopback:
        loopback.provision()
        map_to(loopback.home(OPERATOR), "aggregation_rules: {equal_say: 'own_rules:equal_say'}\n")
        for name in loopback.hospitals:
            map_to(loopback.home(name))
            allow_word(loopback.home(name) / "policy.yaml")
        own = ("model.kind=risk_net", "training.aggregate=equal_say", "training.moment_rounds=0")
        settings = loopback.settings("own", 2, *own, "training.optimizer=sgd")
        loopback.approve("own", *settings)
        loopback.start_server()
        for name in loopback.hospitals:
            loopback.start_hospital(name)
        loopback.start_study(*settings, *WAITS)
        assert loopback.wait_study(240) == 0, loopback.log("study")[-3000:]
        closed = [event for event in loopback.events("own") if event["event"] == "round"]
        assert [set(event["accepted"]) for event in closed] == [set(loopback.hospitals)] * 2
        results = loopback.home(OPERATOR) / "studies/own"
        terms = load_terms(results / "study.terms").terms
        assert (terms.model.kind, terms.training.aggregate) == ("risk_net", "equal_say")
        assert b"own_models" not in (results / "study.terms").read_bytes()
        scores = tmp_path / "scores.csv"
        anyway = ("--accept-not-releasable", "nobody measured it", "--person", "steward")
        loopback.hospital("north", "score", str(results / MODEL), str(scores), *anyway)
        found = pl.read_csv(scores)["probability"].drop_nulls()
        assert len(found) > 100
        assert found.is_between(0, 1).all()
        assert found.n_unique() > 10


def map_to(home, more=""):
    """Map the study's words at one machine, in a file that its owner alone may write."""
    path = home / "plugins.yaml"
    path.write_text(f"models: {{risk_net: 'own_models:RiskNet'}}\n{more}")
    path.chmod(0o600)


def allow_word(policy):
    """Allow the word beside what the policy allows already, as a steward would."""
    allowed = yaml.safe_load(policy.read_text())
    allowed["models"] = [*allowed["models"], "risk_net"]
    policy.write_text(yaml.safe_dump(allowed))
