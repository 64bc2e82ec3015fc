"""Invented, vouched and replaced hospitals in a roster, before real agents: none is charged, none gives keys."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.client.sum_hospitals import SumHospitals
from wardround.client.home.home import load_home
from wardround.client.home.peers_folder import keep_peers
from wardround.protocol.wire.peer_file import sign_peers
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumAnswer, SumStep


def know(hospitals: SumHospitals, name: str, *others: str, **more: object) -> None:
    """Have a hospital's policy list these peers alone."""
    all_of_them = hospitals.policy(name)["peers"]
    hospitals.hospitals[name].write_policy(peers={other: all_of_them[other] for other in others}, **more)


def vouch(hospitals: SumHospitals, to: str, by: str, *names: str) -> None:
    """Take in a peer file of one hospital at another."""
    keys = {name: hospitals.hospitals[name].key.public for name in names}
    now = datetime.now(UTC)
    home = load_home(hospitals.hospitals[to].folder)
    keep_peers(home.peers_folder, sign_peers(by, keys, now, hospitals.hospitals[by].key), now)


def asked(hospitals: SumHospitals) -> str:
    """Ask h1 for its keys: ``keys``, or the clause by which it refuses. Nothing is charged in any case."""
    answer = hospitals.ask("h1", SumStep.KEYS)
    assert hospitals.hospitals["h1"].entries("charged") == []
    return "keys" if isinstance(answer, SumAnswer) else answer


def test_a_hospital_whom_nobody_here_knows_takes_the_place_of_a_helper(hospitals: SumHospitals) -> None:
    """One invented hospital is the one helper of the terms (t = 1); the policy wants one more to be bearable."""
    assert asked(hospitals) == "keys"
    know(hospitals, "h1", "h2", "h3")
    assert asked(hospitals) == "peers"
    know(hospitals, "h1", "h2", "h3", min_colluding=0)
    assert asked(hospitals) == "keys"
    know(hospitals, "h1", "h2", min_colluding=0)
    assert asked(hospitals) == "peers"


def test_vouched_by_t_it_stays_unknown_and_by_more_it_is_known(hospitals: SumHospitals) -> None:
    know(hospitals, "h1", "h2", "h3")
    vouch(hospitals, "h1", "h2", "h4")
    assert asked(hospitals) == "peers"
    vouch(hospitals, "h1", "h3", "h4")
    assert asked(hospitals) == "keys"
    # h3 is removed: what it vouched for goes with it.
    know(hospitals, "h1", "h2")
    assert asked(hospitals) == "peers"


def test_strangers_and_chains_of_vouchers_make_nobody_known(hospitals: SumHospitals) -> None:
    know(hospitals, "h1", "h2", min_colluding=0)
    vouch(hospitals, "h1", "h2", "h3")
    vouch(hospitals, "h1", "h3", "h4")  # h3 is a stranger here
    vouch(hospitals, "h1", "h4", "h3")
    assert asked(hospitals) == "peers"


def test_a_replaced_key_is_refused_however_many_helpers_the_policy_bears(hospitals: SumHospitals) -> None:
    """The server tells h1 that h4 has another key: h1 compared the true one by telephone."""
    terms = hospitals.terms
    assert terms.secure_sum is not None
    members = {**terms.secure_sum.members, "h4": new_key().public}
    hospitals.terms = replace(terms, secure_sum=replace(terms.secure_sum, members=members))
    hospitals.hospitals["h1"].approve(hospitals.terms)
    know(hospitals, "h1", "h2", "h3", "h4", min_colluding=0)
    assert asked(hospitals) == "peers"
    know(hospitals, "h1", "h2", "h3", min_colluding=0)
    assert asked(hospitals) == "keys"  # to h1 h4 is a stranger now, and the one helper


def test_a_study_that_runs_is_refused_from_the_next_plan_on_when_a_peer_is_removed(
    ready: SumHospitals,
) -> None:
    """Where a peer's key was stolen, `peers remove` is enough."""
    ready.masked("h1")
    know(ready, "h1", "h2", "h3")
    assert ready.clause_of_plan("h1", 2) == "peers"
    assert len(ready.hospitals["h1"].entries("charged")) == 1


@pytest.mark.parametrize("key", ["ed25519:" + "A" * 43, "ed25519:AAAA"])
def test_a_weak_key_in_the_policy_permits_nothing(hospitals: SumHospitals, key: str) -> None:
    """A file with a peer of small order is no policy: anybody could sign for that peer."""
    hospitals.hospitals["h1"].write_policy(peers={"h2": {"key": key, "since": "2026-01-01"}})
    assert asked(hospitals) == "policy"
