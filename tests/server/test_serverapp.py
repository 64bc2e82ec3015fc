"""The ServerApp: terms from the run config, checkpoints in its folder, resume from them."""

import json

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from flwr.serverapp import ServerApp

from protocol.errors import ConfigurationError
from protocol.terms import terms_to_mapping
from server.app import app, read_terms
from server.checkpoint import resume
from simulations.grid import InProcessGrid


def context(terms, folder):
    config = {"terms": json.dumps(terms_to_mapping(terms)), "checkpoints": str(folder), "round_seconds": 5.0}
    return Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=config)


def test_it_runs_a_study_to_its_last_checkpoint_and_not_twice(make_terms, make_release, tmp_path):
    terms = make_terms(rounds=3)
    asked = []

    def answer(plans):
        asked.append(plans[0].round)
        return [make_release(plan, np.ones(6)) for plan in plans]

    assert isinstance(app, ServerApp)
    app(InProcessGrid(3, answer), context(terms, tmp_path))
    state = resume(tmp_path, terms).state
    assert (state.round, asked) == (4, [1, 2, 3])
    app(InProcessGrid(3, answer), context(terms, tmp_path))
    assert asked == [1, 2, 3]


@pytest.mark.parametrize("config", [{}, {"terms": "study: tea"}, {"terms": "[]"}])
def test_a_run_config_without_terms_is_one_error(config):
    with pytest.raises(ConfigurationError):
        read_terms(config)
