"""A study marked ``simulation`` over real processes: the weights of one process, and no real study beside it.

Takes about a minute: one server and two hospitals as processes, over TLS.
"""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulations.in_one_process import in_one_process
from wardround.client.home.home import Simulation, load_home
from wardround.protocol.model.model_file import load_model
from wardround.protocol.wire.signed_terms import load_terms
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.replay import largest_difference

pytestmark = [pytest.mark.slow, pytest.mark.flower]

ROUNDS, SEED = 3, 11
WAITS = ("--round-seconds=60", "--wait-seconds=120", "--quorum=1")


@pytest.fixture(scope="module")
def as_of():
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def loopback(tmp_path_factory, as_of):
    simulation = Simulation(seed=SEED, as_of=as_of)
    with Loopback(tmp_path_factory.mktemp("l"), ["north", "south"], simulation=simulation) as loopback:
        loopback.provision()
        loopback.start_server()
        for name in loopback.hospitals:
            loopback.start_hospital(name)
        yield loopback


def charges(loopback, name, study):
    ledger = load_home(loopback.home(name)).open_ledger()
    try:
        charged = [entry.fields for entry in ledger.entries() if entry.kind == "charged"]
    finally:
        ledger.close()
    return Counter(
        fields["round"]
        for fields in charged
        if fields["study"] == study and fields.get("account", "training") == "training"
    )


def test_a_simulation_over_real_processes_equals_one_process(loopback, as_of):
    loopback.start_study(*loopback.settings("play", ROUNDS, "simulation=true", *WAITS))
    assert loopback.wait_study(300) == 0, loopback.log("study")[-3000:]
    folder = loopback.home(OPERATOR) / "studies/play"
    terms = load_terms(folder / "study.terms").terms
    model = load_model(folder / "model.safetensors", terms.contract)
    assert model.facts["simulation"] == "true"
    state = in_one_process(terms, loopback.folder, SEED, as_of)
    assert largest_difference(terms, state, model.weights) <= 1e-6
    other = in_one_process(terms, loopback.folder, SEED + 1, as_of)
    assert largest_difference(terms, other, model.weights) > 1e-3
    forecast = loopback.serve("forecast", "--study=play")
    for name in loopback.hospitals:
        assert charges(loopback, name, "play") == Counter(range(1, ROUNDS + 1))
        ledger = json.loads(loopback.hospital(name, "ledger", "verify", "--json"))
        assert f"ε = {ledger['epsilon']['training']:.4g}" in forecast


def test_a_real_study_gets_nothing_from_hospitals_with_test_seeds(loopback):
    waits = ("--round-seconds=30", "--wait-seconds=1", "--quorum=1")
    loopback.start_study(*loopback.settings("real", ROUNDS, *waits))
    assert loopback.wait_study(200) != 0
    assert loopback.log("study").count("refused: simulation") >= 2
    for name in loopback.hospitals:
        assert not charges(loopback, name, "real")
