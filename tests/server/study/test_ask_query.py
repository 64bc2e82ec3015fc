"""A served query: asked until a quorum answers, kept, never asked again; plain and in a secure sum; its command."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import PUBLIC, ROOT, SEX, release_to, small_contract
from tests.server.study.asking import members_of, served, summing
from tests.server.study.test_secure_sums import NAMES
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.query import QuerySettings, query_shape, query_size
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import PrivacySettings
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

CONTRACT = contract_from_mapping(small_contract(**PUBLIC, features={"sex": SEX}, groups=["sex"]))
SIZE = query_size(CONTRACT, QuerySettings())
REFILLS = f"contract_file={ROOT / 'docs' / 'contracts' / 'refills.yaml'}"


def terms_of(noise, members=None):
    return propose_query(
        study="counts",
        query=QuerySettings(),
        contract=CONTRACT,
        privacy=PrivacySettings(epsilon=0.5, noise=noise),
        public_patients=dict.fromkeys(NAMES, 1000),
        simulation=False,
        secure_sum=SecureSumChoice(spare_slots=0),
        members=members or {},
    )


def table(patients):
    """Give the scaled table of so many patients, half of each sex, a quarter with the outcome; no noise."""
    shape = query_shape(CONTRACT, QuerySettings())
    counts = np.array([[0.75, 0.25], [0.375, 0.125], [0.375, 0.125], [0, 0]])[: len(shape.rows)] * patients
    return (counts * shape.factors[:, None]).ravel()


class Wards:
    """Hospitals that answer with exact tables; some may be silent."""

    def __init__(self):
        self.asked, self.silent = [], {"west"}

    def __call__(self, study):
        def ask(plans):
            for plan in plans:
                self.asked.append(plan.hospital)
                if plan.hospital in self.silent:
                    yield NoRelease(plan.hospital, "refused: queries")
                else:
                    yield release_to(plan, table(1000), simulation=False)

        return ask


def test_a_query_is_asked_kept_and_never_asked_again(make_study, monkeypatch):
    study, wards = make_study(terms_of("local")), Wards()
    served(monkeypatch, wards)
    ask_query.serve_query(study)
    told = json.loads((study.folder.folder / "feasibility.json").read_text())
    assert told["hospitals"] == ["north", "south", "east"]
    assert told["training_patients"]["value"] == pytest.approx(3000, abs=0.1)
    assert told["rate"]["value"] == pytest.approx(0.25, abs=1e-4)
    assert {row["group"]: round(row["training_patients"]["value"]) for row in told["groups"]}["F"] == 1500
    assert told["declare"] == dict.fromkeys(("north", "south", "east"), 1000)
    before = (study.folder.folder / "feasibility.json").read_bytes()
    wards.asked.clear()
    ask_query.serve_query(study)
    assert wards.asked == []
    assert (study.folder.folder / "feasibility.json").read_bytes() == before
    kinds = [event["event"] for event in read_events(study.folder.events)]
    assert kinds == ["query_announced", "query_answered", "finished", "finished"]


def test_a_killed_server_asks_a_query_again_and_too_few_answers_are_none(make_study, monkeypatch):
    study, wards = make_study(terms_of("local")), Wards()
    served(monkeypatch, wards)
    with monkeypatch.context() as killed:
        killed.setattr(ask_query, "save_sum", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ask_query.serve_query(study)
    assert not ask_query.has_been_answered(study)
    first, wards.asked = wards.asked, []
    ask_query.serve_query(study)
    assert wards.asked == first
    few = make_study(replace(terms_of("local"), study="other"))
    wards.silent = {"west", "north"}
    with pytest.raises(ConfigurationError, match=r"query: 2 of 4 hospitals .*north: refused: queries"):
        ask_query.serve_query(few)


@pytest.fixture
def members():
    return members_of(terms_of, table(1000))


def test_in_a_secure_sum_only_the_total_is_told(make_study, monkeypatch, members):
    study = make_study(members.terms)
    members.away = {SumStep.MASKED: {"west"}}
    served(monkeypatch, summing(members))
    ask_query.serve_query(study)
    told = json.loads((study.folder.folder / "feasibility.json").read_text())
    assert told["training_patients"]["value"] == pytest.approx(3000, abs=1)
    assert told["by_hospital"] == {}
    assert set(told["declare"]) == set(told["hospitals"]) == {"north", "south", "east"}
    assert [path.parent.name for path in study.folder.query.glob("*.safetensors")] == ["query"]


def test_a_void_sum_of_a_query_is_never_asked_for_again(make_study, monkeypatch, members):
    study, masked = make_study(members.terms), members.masked

    def lying(plan):
        answer = masked(plan)
        return replace(answer, body=bytes(32) + answer.body[32:]) if plan.hospital == "west" else answer

    members.masked = lying
    served(monkeypatch, summing(members))
    with pytest.raises(SumVoid, match=r"query: no sum .*ask in another study"):
        ask_query.serve_query(study)
    members.masked = masked
    members.asked.clear()
    with pytest.raises(SumVoid, match="query: no sum"):
        ask_query.serve_query(study)
    assert members.asked == []


def test_the_commands_forecast_sign_and_show_a_query(tmp_path, capsys):
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    asked = ["--study", "counts", "--home", str(home.folder), REFILLS, "hospitals={north: 1000, south: 500}"]
    assert main(["feasibility", "forecast", *asked]) == 0
    said = capsys.readouterr().out
    assert "study counts: a query (feasibility), once, 2 hospitals" in said
    assert "at each hospital: ε = 0.2 at δ = 10⁻⁵" in said
    out, key = tmp_path / "counts.terms", home.folder / "operator.key"
    signing = ["--study", "counts", "--key", str(key), "--out", str(out), REFILLS]
    assert main(["feasibility", "terms", *signing, "hospitals={north: 1000}", "privacy.epsilon=0.3"]) == 0
    assert "a query (feasibility) at ε = 0.3" in capsys.readouterr().out
    terms = load_terms(out).terms
    assert (terms.query.kind, terms.evaluation, terms.training.rounds) == ("feasibility", None, 1)
    for words, wrong in (
        (["feasibility", "terms", *signing[:-2], str(tmp_path / "x"), REFILLS], "hospitals: is missing"),
        (["feasibility", "forecast", *asked, "training.rounds=3"], "training.rounds"),
        (
            ["feasibility", "forecast", *asked, "privacy.delta=1e-3"],
            "privacy.delta=0.001: times the 1000 patients",
        ),
        (
            ["feasibility", "show", "--study", "counts", "--home", str(home.folder)],
            "study=counts: is not here",
        ),
    ):
        assert main(words) == 2
        assert wrong in capsys.readouterr().err


def test_show_reads_what_was_kept_and_status_calls_it_finished(make_study, monkeypatch, capsys):
    study = make_study(terms_of("local"))
    served(monkeypatch, Wards())
    ask_query.serve_query(study)
    capsys.readouterr()
    assert main(["feasibility", "show", "--study", "counts", "--home", str(study.home.folder)]) == 0
    assert (
        "to declare: training.public_patients={east: 1000, north: 1000, south: 1000}"
        in capsys.readouterr().out
    )
    assert [one["state"] for one in standing(study.home)["studies"]] == ["finished"]
