"""A real study of the parties' own module: words alone travel, and what a word stands for the hospital's file says."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import RISK_NET, cohort_with, stream
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.round import evaluate
from wardround.protocol import plugins
from wardround.protocol.errors import ConfigurationError, ContractError, Refusal
from wardround.protocol.model.model_file import model_bytes, read_model
from wardround.protocol.model.own_module import module_digest, own_initial_weights, own_logits
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms, terms_to_mapping
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.envelope import decode_answer, sign_request
from wardround.protocol.wire.signed_file import write_signed
from wardround.protocol.wire.signed_terms import FORM, save_terms, sign_terms
from wardround.protocol.wire.signing import Purpose
from wardround.server.algorithm import rounds

MODULES = f"""
from pathlib import Path

Path(__file__).with_suffix(".imported").touch()
{RISK_NET}
class Mixing(RiskNet):
    def forward(self, rows):
        return super().forward(rows - rows.mean(0, keepdim=True))

class Broken(RiskNet):
    def __init__(self, layout):
        raise RuntimeError("a secret")

class Rule:
    def __call__(self, means, patients):
        return means.mean(axis=0)
"""
KIND = ModelSettings(kind="risk_net")
ANY = np.zeros(5, np.float32)
"""Weights of a plan that is refused whatever they are."""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch) -> Any:
    """A module of the hospital's own on its path; gives the file that shows whether it was ever imported."""
    monkeypatch.setattr(plugins, "_known", {})
    monkeypatch.setattr(plugins, "_declared", {})
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "hospital_models.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(folder))
    yield folder / "hospital_models.imported"
    sys.modules.pop("hospital_models", None)


@pytest.fixture
def home(hospital) -> Any:
    """The hospital, which allows the word ``risk_net`` and maps it."""
    hospital.write_policy(models=["additive", "risk_net"])
    map_to(hospital, "RiskNet")
    return hospital


def map_to(hospital: Any, name: str) -> None:
    """Map the word to another class of the module, and start the agent anew."""
    hospital.stop()
    (hospital.folder / "plugins.yaml").write_text(f"models: {{risk_net: 'hospital_models:{name}'}}\n")
    (hospital.folder / "plugins.yaml").chmod(0o600)
    load_home(hospital.folder)


def own_terms(hospital: Any, **changes: Any) -> Terms:
    """Terms of ``risk_net`` as an operator with the same module signs them; approved."""
    digest = changes.pop("module_digest", None) or module_digest(KIND, hospital.terms.contract.layout)
    fields = {"model": KIND, "module_digest": digest, "study": "own"}
    terms = replace(hospital.terms, **fields | changes)
    hospital.approve(terms)
    return terms


def test_a_real_study_trains_and_evaluates_the_hospitals_own_module(home, tmp_path, monkeypatch):
    noise = noise_multiplier_for(0.5, 1e-5, 1.0, 1)
    evaluation = EvaluationSettings(epsilon=0.5, rounds=(12,), noise_multiplier=noise)
    terms = own_terms(home, evaluation=evaluation)
    state = rounds.init(terms)
    for number in (1, 2):
        (plan,) = rounds.plans(state, terms)
        released = home.released(number, terms, weights=plan.weights)
        assert released.release.vector.shape == state.weights.shape
        state, summary = rounds.apply(state, terms, [replace(released.release, ledger_head="")])
        assert summary.accepted == ("north",)
    assert len(home.entries("charged")) == 2
    tables = home.released(12, terms, account="held_out", weights=state.weights.astype(np.float32))
    assert np.isfinite(tables.release.vector).all()

    facts = {"module_digest": terms.module_digest, "simulation": "no"}
    stored = model_bytes(terms.contract, terms.model, state.weights, facts)
    np.testing.assert_array_equal(read_model(stored, terms.contract, "m").weights, state.weights)
    map_to(home, "OtherBend")
    with pytest.raises(ContractError, match="another version of the module risk_net") as caught:
        read_model(stored, terms.contract, "m")
    assert "\n" not in str(caught.value)


def test_the_digest_is_the_same_each_time_and_another_for_another_module_of_the_same_shapes(home):
    layout = home.terms.contract.layout
    first = module_digest(KIND, layout)
    assert module_digest(KIND, layout) == first
    map_to(home, "OtherBend")
    assert module_digest(KIND, layout) != first


@pytest.mark.parametrize("name", ["OtherBend", "Mixing"])
def test_a_module_that_computes_something_else_is_refused_before_any_charge(home, name):
    terms = own_terms(home)
    map_to(home, name)
    assert home.clause(1, terms) == "module_digest"
    assert not home.entries("charged")


def test_a_word_that_no_file_maps_is_refused_by_clause_and_nothing_is_imported(home, module):
    terms = own_terms(home, module_digest="ab" * 32)
    (home.folder / "plugins.yaml").unlink()
    home.stop()
    assert home.clause(1, terms, weights=ANY) == "plugins"
    home.write_policy(models=["additive"])
    assert home.clause(1, terms, weights=ANY) == "models"
    assert not home.entries("charged")
    assert not module.exists()


def test_a_module_that_cannot_be_made_is_refused_by_clause(home):
    terms = own_terms(home)
    map_to(home, "Broken")
    assert home.clause(1, terms, weights=ANY) == "plugins"
    assert not home.entries("charged")


def test_a_module_whose_patients_meet_is_refused_at_plan_approval_and_by_doctor(
    make_hospital, tmp_path, capsys
):
    """Nothing is taken for granted here: the gradients are compared with autograd's."""
    hospital = make_hospital()
    hospital.write_policy(models=["risk_net"])
    map_to(hospital, "Mixing")
    terms = own_terms(hospital)
    assert hospital.clause(1, terms) == "agreement"
    assert not hospital.entries("charged")
    decided = len(hospital.entries("approved"))
    hospital.stop()
    again = replace(terms, study="again")
    save_terms(sign_terms(again, hospital.operator), tmp_path / "again.terms")
    where = ["--home", str(hospital.folder)]
    words = ["--reason", "x", "--yes", "--last-entry", "1", *where]
    assert main(["approve", str(tmp_path / "again.terms"), *words]) == 2
    assert "per-patient gradients differ from autograd's" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "again.terms"), *where]) == 2
    assert "gradients differ from autograd's" in " ".join(capsys.readouterr().out.split())
    assert main(["rehearse", str(tmp_path / "again.terms"), *where]) == 2
    assert "gradients differ from autograd's" in capsys.readouterr().err
    assert len(hospital.entries("approved")) == decided


WIRE = [
    "os:system",
    "hospital_models:RiskNet",
    "hospital_models",
    "hospital_models.RiskNet",
    "os.system",
    "risk\u200b_net",
    "r\u0456sk_net",  # a Cyrillic letter
    "RISK_NET",
    "risk_net ",
    "risk-net",
    "",
    "x" * 41,
    ["risk_net"],
    {"risk_net": 1},
    7,
    None,
]


@pytest.mark.parametrize("simulation", [False, True])
@pytest.mark.parametrize(
    ("group", "key"), [("model", "kind"), ("training", "aggregate"), ("training", "optimizer")]
)
@pytest.mark.parametrize("name", WIRE, ids=repr)
def test_no_name_from_a_wire_is_imported_and_each_is_refused(home, module, group, key, simulation, name):
    """The attacker is a listed operator, who signs whatever bytes he likes."""
    plain = terms_to_mapping(replace(home.terms, study="evil"))
    plain[group] = {**plain[group], key: name}
    plain["simulation"] = simulation
    plain["module_digest"] = "ab" * 32
    for digest in (True, False):
        if not digest:
            del plain["module_digest"]
        body = canonical_json(plain)
        payload = write_signed(FORM, home.operator.public, home.operator.sign(Purpose.TERMS, body), body)
        plan = home.plan(1, replace(home.terms, study="evil"))
        request = sign_request(payload, plan, datetime.now(UTC) + timedelta(days=1), home.operator)
        answer = decode_answer(home.agent.answer(request).payload)
        assert isinstance(answer, Refusal)
        assert answer.clause in ("terms", "models", "simulation")
    assert not module.exists()
    assert "hospital_models" not in sys.modules
    assert not home.entries("charged")


def test_a_simulated_home_imports_no_path_either(home, module):
    """It permits whatever is marked a simulation; a path in such terms is still only looked up."""
    home.become_simulated(seed=3)
    terms = replace(home.terms, simulation=True, model=ModelSettings(kind="hospital_models:RiskNet"))
    assert home.clause(1, terms, weights=ANY) == "plugins"
    assert not module.exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("models: {additive: 'a:B'}", "plugins.yaml.models.additive: is a word of Wardround's own"),
        ("models: {Risk: 'a:B'}", "must be a word of a-z"),
        ("models: {risk: os.system}", "must be an import path"),
        ("models: {risk: 7}", "must be a text"),
        ("models: [risk]", "must be a mapping"),
        ("modles: {risk: 'a:B'}", "unknown key; did you mean models"),
        ("aggregation_rules: {risk: 'a:B'}", "unknown key"),
    ],
)
def test_what_is_wrong_with_the_file_is_one_line(home, text, line):
    (home.folder / "plugins.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=line) as caught:
        load_home(home.folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_others_may_write_is_not_read(home):
    (home.folder / "plugins.yaml").chmod(0o620)
    with pytest.raises(ConfigurationError, match=r"others may write it .*chmod go-w"):
        load_home(home.folder)


def test_doctor_names_a_word_that_means_nothing_and_a_path_that_cannot_be_imported(home, capsys):
    home.write_policy(models=["additive", "risk_nte"])
    map_to(home, "Nowhere")
    home.stop()
    main(["doctor", "--home", str(home.folder)])
    said = " ".join(capsys.readouterr().out.split())
    assert "policy.yaml allows the model risk_nte" in said
    assert "did you mean risk_net?" in said
    assert "its module has no Nowhere" in said


def test_an_event_scores_the_same_bits_whoever_else_is_there(home, monkeypatch):
    """Where a score lies between two bins, its last bit decides: it must be the event's own."""
    terms = own_terms(home)
    layout = terms.contract.layout
    weights = own_initial_weights(KIND, layout)
    cohort = cohort_with(layout, [3] * 200)
    part = cohort.take(np.arange(7, 31))
    whole = own_logits(KIND, layout, weights, cohort, at_once=1)
    np.testing.assert_array_equal(own_logits(KIND, layout, weights, part, at_once=1), whole[21:93])

    asked = []
    monkeypatch.setattr(evaluate, "own_logits", lambda *given, at_once: asked.append(at_once) or whole)
    evaluate.noised_tables(
        replace(terms, evaluation=EvaluationSettings(rounds=(12,), noise_multiplier=9.0)),
        weights[np.newaxis], cohort, [stream("tables")], ["north"],
    )  # fmt: skip
    assert asked == [1]
