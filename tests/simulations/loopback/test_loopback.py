"""A federation of real processes over TLS, by their own commands: equal to its stored releases; who is shut out.

What happens when parts of it break: ``reliability/``.
"""

import json
from collections import Counter

import pytest

from wardround.client.home.home import load_home
from wardround.protocol.model.model_file import load_model
from wardround.protocol.wire.signed_model import MODEL
from wardround.protocol.wire.signed_terms import load_terms
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.replay import largest_difference, replay

pytestmark = [pytest.mark.slow, pytest.mark.flower]

ROUNDS = 3
WAITS = ("--round-seconds=40", "--wait-seconds=120", "--quorum=1")


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    with Loopback(tmp_path_factory.mktemp("l"), ["north", "south"]) as loopback:
        loopback.provision()
        settings = loopback.settings("tea", ROUNDS, evaluation="private")
        loopback.approve("tea", *settings)
        loopback.start_server()
        for name in loopback.hospitals:
            loopback.start_hospital(name)
        loopback.start_study(*settings, *WAITS)
        yield loopback


def charges(loopback, name):
    ledger = load_home(loopback.home(name)).open_ledger()
    try:
        charged = [entry.fields for entry in ledger.entries() if entry.kind == "charged"]
        return Counter((fields["account"], fields["round"]) for fields in charged)
    finally:
        ledger.close()


def test_a_study_killed_in_its_evaluation_equals_its_stored_releases_and_costs_what_was_planned(loopback):
    loopback.await_event("tea", lambda event: event["event"] == "evaluation_announced", 240)
    loopback.kill("study")
    loopback.start_study("--study=tea", *WAITS, word="resume")
    assert loopback.wait_study(240) == 0, loopback.log("study")[-3000:]
    events = loopback.events("tea")
    closed = [event for event in events if event["event"] == "round"]
    assert [event["round"] for event in closed] == list(range(1, ROUNDS + 1))
    folder = loopback.home(OPERATOR) / "studies/tea"
    signed = load_terms(folder / "study.terms")
    state = replay(signed, [event["accepted"] for event in closed], loopback.folder)
    model = load_model(folder / "model.safetensors", signed.terms.contract)
    assert largest_difference(signed.terms, state, model.weights) <= 1e-6
    for name in loopback.hospitals:
        rounds = [("training", number) for number in range(1, ROUNDS + 1)]
        assert charges(loopback, name) == Counter([*rounds, ("held_out", ROUNDS)])
        assert json.loads(loopback.hospital(name, "ledger", "verify", "--json"))["entries"] > 2 * ROUNDS
    evaluated = [event for event in events if event["event"] == "evaluated"]
    assert [set(event["accepted"]) for event in evaluated] == [set(loopback.hospitals)]
    for name in loopback.hospitals:
        at_hand = json.loads(loopback.hospital(name, "model", str(folder / MODEL), "--json"))
        assert {MODEL, "model_card.md", "model_card.html"} < set(at_hand["verified"])
    card = (folder / "model_card.md").read_text()
    assert model.facts["terms_fingerprint"] in card
    assert json.loads((folder / "evaluation.json").read_text())["evaluation"]["hospitals"] == 2
    forecast = loopback.serve("forecast", "--study=tea")
    spent = json.loads(loopback.hospital("north", "studies", "--json"))[0]
    assert spent["rounds_charged"] == ROUNDS
    assert f"ε = {spent['epsilon']:.4g}" in forecast


def test_a_revoked_hospital_is_shut_out_and_the_quorum_holds(loopback):
    loopback.serve("revoke", "--hospital=south")
    settings = loopback.settings("late", 1)
    with pytest.raises(Exception, match="south are not enrolled"):
        loopback.serve("train", *settings, "--round-seconds=8", "--wait-seconds=8", "--quorum=1")
