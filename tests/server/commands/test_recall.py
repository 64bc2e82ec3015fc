"""``recall`` at the operator: signed once, over the model that is there, and said by ``status``."""

import hashlib
import json
import sys

import numpy as np
import pytest

from tests.builders import simulated_terms
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.wire.recall import read_recall
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.server.main import main
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import EventLog


@pytest.fixture
def study(tmp_path):
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    terms, study = simulated_terms(), home.study("tea")
    study.folder.mkdir()
    save_terms(sign_terms(terms, home.key()), study.terms)
    EventLog(study.events, quiet=True).write("finished", releasable=True)
    weights = np.zeros(parameter_count(terms.model, terms.contract.layout))
    study.model.write_bytes(model_bytes(terms.contract, terms.model, weights, {"study": "tea"}))
    return home, terms, study


@pytest.fixture
def serve(monkeypatch, capsys):
    def run(home, *words):
        monkeypatch.setattr(sys, "argv", ["wardround-serve", *words, "--home", str(home.folder)])
        code = main()
        return code, *capsys.readouterr()

    return run


def test_a_recall_is_signed_over_the_model_and_status_says_it(study, serve):
    home, terms, folder = study
    words = ["recall", "--study", "tea", "--person", "Dr. Weiss", "--reason", "scores are inverted"]
    assert "hand out the model" in serve(home, "status")[1]
    code, said, _ = serve(home, *words)
    assert (code, "recalled on" in said) == (0, True)
    found = read_recall(folder.recall.read_bytes(), "r")
    assert (found.study, found.terms, found.operator) == ("tea", terms.fingerprint, home.key().public)
    assert found.model == hashlib.sha256(folder.model.read_bytes()).hexdigest()
    plain = json.loads(serve(home, "status", "--json")[1])["studies"][0]
    assert (plain["state"], plain["recalled"]) == ("finished", True)
    assert plain["next_step"].startswith("recalled: send model.recall")
    # Once: another reason would be another file, and hospitals could be told two things.
    before = folder.recall.read_bytes()
    code, _, error = serve(home, *words)
    assert (code, "never overwritten" in error) == (2, True)
    assert folder.recall.read_bytes() == before


def test_what_cannot_be_recalled_is_one_line(study, serve):
    home, _, folder = study
    words = ["recall", "--study", "tea", "--person", "Dr. Weiss", "--reason"]
    assert serve(home, *words, "two\nlines")[0] == 2
    folder.model.unlink()
    code, _, error = serve(home, *words, "x")
    assert (code, "has left no model yet" in error) == (2, True)
    assert not folder.recall.exists()
    assert serve(home, "recall", "--study", "coffee", "--person", "x", "--reason", "y")[0] == 2
