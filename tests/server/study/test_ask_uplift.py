"""A served uplift query: both accounts asked, each kept by itself; plain and in secure sums; its commands and pages."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import ROOT, release_to
from tests.server.study.asking import members_of, served, summing
from tests.server.study.test_secure_sums import NAMES
from tests.trials import COMPARED, trial_contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.query import query_shape, query_size
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.uplift import uplift_scale
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.algorithm.screen import NoRelease
from wardround.server.main import main
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import read_events
from wardround.server.study import ask_query
from wardround.server.study.sum_rounds import SumVoid
from wardround.server.watch.standing import standing

CONTRACT = trial_contract()
TRIAL = f"contract_file={ROOT / 'docs' / 'contracts' / 'trial.yaml'}"


def terms_of(noise, members=None):
    return propose_query(
        study="counts",
        query=COMPARED,
        contract=CONTRACT,
        privacy=PrivacySettings(epsilon=0.5, noise=noise),
        public_patients=dict.fromkeys(NAMES, 900),
        simulation=False,
        secure_sum=SecureSumChoice(spare_slots=0),
        members=members or {},
    )


def table(patients, rates=(0.2, 0.3)):
    """Give the table of so many patients, half in each arm and half of each sex; no noise."""
    shape = query_shape(CONTRACT, COMPARED)
    parts = np.array([1.0, 0.5, 0.5, 0.0])[: len(shape.rows)] * patients / 2
    ones = np.outer(parts, rates)
    counts = np.stack([parts[:, None] - ones, ones], axis=-1).reshape(len(shape.rows), -1)
    return (uplift_scale(CONTRACT).released(counts) * shape.factors[:, None]).ravel()


class Wards:
    """Hospitals that answer with exact tables of either account; some may be silent to one."""

    def __init__(self, silent=()):
        self.asked, self.silent = [], set(silent)

    def __call__(self, study):
        def ask(plans):
            for plan in plans:
                self.asked.append((plan.hospital, plan.account))
                if (plan.hospital, plan.account) in self.silent:
                    yield NoRelease(plan.hospital, "refused: queries")
                else:
                    patients = 900 if plan.account == "training" else 300
                    yield release_to(plan, table(patients), simulation=False, account=plan.account)

        return ask


def told(study):
    return json.loads((study.folder.folder / "uplift.json").read_text())


def test_both_accounts_are_asked_once_kept_and_never_again(make_study, monkeypatch, capsys):
    study, wards = make_study(terms_of("local")), Wards([("west", "held_out")])
    served(monkeypatch, wards)
    ask_query.serve_query(study)
    found = told(study)
    assert found["hospitals"] == {"training": list(NAMES), "held_out": [n for n in NAMES if n != "west"]}
    (seen,) = found["comparisons"]
    assert (seen["arm"], seen["reference"]) == ("personalised", "standard")
    assert seen["difference"] == pytest.approx(0.1, abs=1e-4)
    assert seen["low"] < 0.1 < seen["high"]
    assert found["epsilon"] == dict.fromkeys(("training", "held_out"), pytest.approx(0.5, abs=1e-4))
    assert "personalised − standard: +10.0 points" in (study.folder.folder / "uplift.txt").read_text()
    assert "personalised − standard: +10.0 points" in capsys.readouterr().out
    wards.asked.clear()
    ask_query.serve_query(study)
    assert wards.asked == []
    assert told(study) == found
    assert main(["uplift", "show", "--study", "counts", "--home", str(study.home.folder)]) == 0
    assert "drawn for 50%" in capsys.readouterr().out
    assert main(["feasibility", "show", "--study", "counts", "--home", str(study.home.folder)]) == 2
    assert "has no answer of such a query" in capsys.readouterr().err
    assert [one["state"] for one in standing(study.home)["studies"]] == ["finished"]


def test_a_server_killed_between_the_accounts_asks_the_second_alone(make_study, monkeypatch):
    study, wards = make_study(terms_of("local")), Wards()
    served(monkeypatch, wards)
    save, kept = ask_query.save_sum, []

    def killed(*given):
        if kept:
            raise KeyboardInterrupt
        kept.append(given)
        return save(*given)

    with monkeypatch.context() as during:
        during.setattr(ask_query, "save_sum", killed)
        with pytest.raises(KeyboardInterrupt):
            ask_query.serve_query(study)
    assert not ask_query.has_been_answered(study)
    wards.asked.clear()
    ask_query.serve_query(study)
    assert {account for _, account in wards.asked} == {"held_out"}
    assert len(wards.asked) == len(NAMES)


def test_too_few_answers_of_either_account_are_none(make_study, monkeypatch):
    study = make_study(terms_of("local"))
    served(monkeypatch, Wards([(name, "held_out") for name in NAMES[:2]]))
    with pytest.raises(ConfigurationError, match="query: 2 of 4 hospitals"):
        ask_query.serve_query(study)
    assert not (study.folder.folder / "uplift.json").exists()


@pytest.fixture
def members():
    return members_of(terms_of, table(900))


def test_in_secure_sums_each_account_has_its_own(make_study, monkeypatch, members):
    study = make_study(members.terms)
    members.away = {SumStep.MASKED: {"west"}}
    served(monkeypatch, summing(members))
    ask_query.serve_query(study)
    found = told(study)
    assert set(found["hospitals"]["training"]) == set(found["hospitals"]["held_out"]) == set(NAMES) - {"west"}
    assert found["comparisons"][0]["difference"] == pytest.approx(0.1, abs=1e-3)
    assert (study.folder.query / "held_out").is_dir()


def test_a_void_sum_of_one_account_leaves_what_the_other_says(make_study, monkeypatch, members):
    study, masked = make_study(members.terms), members.masked

    def lying(plan):
        answer = masked(plan)
        wrong = plan.hospital == "west" and plan.account == "held_out"
        return replace(answer, body=bytes(32) + answer.body[32:]) if wrong else answer

    members.masked = lying
    served(monkeypatch, summing(members))
    ask_query.serve_query(study)
    found = told(study)
    assert found["hospitals"]["held_out"] == []
    assert found["comparisons"][0]["difference"] == pytest.approx(0.1, abs=1e-3)
    members.asked.clear()
    ask_query.serve_query(study)
    assert members.asked == []
    kinds = [event["event"] for event in read_events(study.folder.events)]
    assert kinds.count("query_answered") == 1


def test_where_both_sums_are_void_there_is_no_answer(make_study, monkeypatch, members):
    study, masked = make_study(members.terms), members.masked

    def lying(plan):
        answer = masked(plan)
        return replace(answer, body=bytes(32) + answer.body[32:]) if plan.hospital == "west" else answer

    members.masked = lying
    served(monkeypatch, summing(members))
    for _ in range(2):
        with pytest.raises(SumVoid, match=r"query: no sum"):
            ask_query.serve_query(study)


def test_the_commands_forecast_and_sign_an_uplift_query(tmp_path, capsys):
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    asked = ["--study", "spring", "--home", str(home.folder), TRIAL, "hospitals={north: 1500}"]
    assert main(["uplift", "forecast", *asked]) == 0
    said = capsys.readouterr().out
    for fact in (
        "study spring: a query (uplift), once, 1 hospitals",
        "at each hospital: ε = 0.5 at δ = 10⁻⁵",
        "and ε = 0.5 for held-out patients, who are asked once too",
        "expected: personalised − standard: ± ",
    ):
        assert fact in said, fact
    assert main(["uplift", "forecast", "--json", *asked]) == 0
    stated = json.loads(capsys.readouterr().out)["stated"]
    assert stated[0]["without"] < stated[0]["with_noise"] < 0.1
    out, key = tmp_path / "spring.terms", home.folder / "operator.key"
    signing = ["--study", "spring", "--key", str(key), "--out", str(out)]
    assert main(["uplift", "terms", *signing, TRIAL, "hospitals={north: 1500}"]) == 0
    assert "a query (uplift) at ε = 0.5" in capsys.readouterr().out
    terms = load_terms(out).terms
    assert (terms.query.kind, terms.evaluation) == ("uplift", None)
    assert query_size(terms.contract, terms.query) == 4 * len(query_shape(terms.contract, terms.query).rows)
    again = [*signing[:-1], str(tmp_path / "x")]
    assert main(["uplift", "terms", *again, "contract=noshow", "hospitals={north: 1500}"]) == 2
    assert "query.kind=uplift: needs a contract that names arms" in capsys.readouterr().err
