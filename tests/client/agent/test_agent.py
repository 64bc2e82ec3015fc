"""The agent's answers: who is heard, what is charged, and that a reply comes whatever the tables hold."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from wardround.client.agent import agent
from wardround.client.features import encode
from wardround.client.home.terms_folder import kept_terms
from wardround.protocol.errors import WardroundError
from wardround.protocol.terms.evaluation import EvaluationSettings, table_size
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.wire.envelope import decode_answer, sign_request, signed_by_hospital
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import new_key


def test_a_release_is_signed_charged_and_carries_the_ledgers_head(approved):
    answer = approved.released()
    assert signed_by_hospital(answer, approved.key.public)
    assert not signed_by_hospital(answer, new_key().public)
    (charged,) = approved.entries("charged")
    (released,) = approved.entries("released")
    assert answer.release.ledger_head == charged.hash == released.fields["charge"]
    assert not answer.release.simulation
    assert answer.release.vector.shape == approved.plan().weights.shape
    assert answer.release.weights_digest == approved.plan().weights_digest


def test_a_repeat_is_free_and_the_same_bytes_after_a_restart_too(approved):
    request = approved.request()
    first = approved.agent.answer(request).payload
    assert approved.agent.answer(request).payload == first
    approved.stop()
    # Neither the head nor the expiry is part of what makes two plans the same.
    head = approved.entries("charged")[0].hash
    again = approved.request(ledger_head=head, lives=timedelta(days=3))
    assert approved.agent.answer(again).payload == first
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 1


def test_other_weights_for_an_answered_round_are_refused(approved):
    weights = approved.plan().weights + 1
    approved.released()
    assert approved.clause(weights=weights) == "weights"
    assert len(approved.entries("charged")) == 1


def test_another_operator_never_gets_stored_bytes(approved):
    approved.released()
    stranger = new_key()
    assert approved.clause(signer=stranger) == "operators"
    approved.write_policy(operators={"a": approved.operator.public, "b": stranger.public})
    assert approved.clause(signer=stranger) == "approval"


def test_terms_wait_for_a_person_and_are_kept_for_that(hospital):
    assert hospital.clause() == hospital.clause() == "approval"
    (kept,) = kept_terms(hospital.folder / "terms")
    assert kept.terms.fingerprint == hospital.terms.fingerprint
    assert not hospital.entries("charged")
    assert len(hospital.entries("refused")) == 1
    hospital.approve()
    hospital.released()
    hospital.approve(kind="declined")
    assert hospital.clause(2) == "approval"


def test_of_the_same_terms_the_latest_expiry_is_kept_for_each_operator(hospital, terms_with):
    second = new_key()
    hospital.write_policy(operators={"a": hospital.operator.public, "b": second.public})
    for expiry in ("2098-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"):
        assert hospital.clause(terms=terms_with(expires_at=expiry)) == "approval"
    assert hospital.clause(signer=second) == "approval"
    kept = {signed.operator: signed.terms.expires_at for signed in kept_terms(hospital.folder / "terms")}
    assert kept == {hospital.operator.public: expiry, second.public: hospital.terms.expires_at}


def test_stored_releases_go_when_their_terms_expire_though_no_study_asks_any_more(
    hospital, terms_with, monkeypatch
):
    expiry = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)
    terms = terms_with(expires_at=expiry.isoformat())
    hospital.approve(terms)
    hospital.released(terms=terms)
    (charged,) = hospital.entries("charged")
    kept = hospital.agent._ledger._store.kept
    assert kept(charged.hash)

    class Door:
        async def serve(self):
            while kept(charged.hash):
                await asyncio.sleep(0.01)

    monkeypatch.setattr(agent, "FORGET_SECONDS", 0.05)
    monkeypatch.setattr(hospital.agent, "_now", lambda: expiry - timedelta(days=1))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(agent._serve(Door(), hospital.agent), 0.5))
    monkeypatch.setattr(hospital.agent, "_now", lambda: expiry)
    asyncio.run(asyncio.wait_for(agent._serve(Door(), hospital.agent), 30))


def test_a_folder_of_terms_takes_so_many_and_no_more(hospital, terms_with, monkeypatch):
    monkeypatch.setattr("wardround.client.home.terms_folder.MOST_KEPT", 2)
    for study in ("tea", "coffee", "milk"):
        assert hospital.clause(terms=terms_with(study=study)) == "approval"
    assert len(kept_terms(hospital.folder / "terms")) == 2
    (hospital.folder / "terms").rename(hospital.folder / "moved")
    (hospital.folder / "terms").write_text("no folder")
    assert hospital.clause() == "approval"


def test_terms_of_strangers_are_not_kept(hospital):
    assert hospital.clause(signer=new_key()) == "operators"
    assert not (hospital.folder / "terms").exists()


@pytest.mark.parametrize(
    ("clause", "changes"),
    [
        ("hospital", {"hospital": "south"}),
        ("study", {"study": "coffee"}),
        ("terms", {"terms_fingerprint": "0" * 64}),
        ("round", {"number": 0}),
        ("round", {"number": 13}),
        ("ledger_head", {"ledger_head": "0" * 64}),
        ("parameters", {"weights": np.zeros(3, np.float32)}),
        ("expired", {"lives": timedelta(seconds=-1)}),
        ("order", {"number": 3}),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_name(approved, clause, changes):
    approved.released(4)
    spent = approved.epsilon
    assert approved.clause(**{"number": 5, **changes}) == clause
    assert approved.epsilon == spent
    (refused,) = approved.entries("refused")
    assert (refused.fields["clause"], refused.fields["operator"]) == (
        clause,
        "" if clause == "expired" else approved.operator.public,
    )


def test_terms_that_do_not_name_the_hospital_are_refused(approved, terms_with):
    terms = terms_with(training={"public_patients": {"south": 10}})
    approved.approve(terms)
    assert approved.clause(terms=terms) == "hospital"


def test_a_plan_signed_by_another_key_than_the_terms_is_refused(approved):
    terms, other = signed_terms_to_bytes(sign_terms(approved.terms, approved.operator)), new_key()
    request = sign_request(terms, approved.plan(), datetime.now(UTC) + timedelta(days=1), other)
    assert decode_answer(approved.agent.answer(request).payload).clause == "operators"
    approved.write_policy(operators={"a": approved.operator.public, "b": other.public})
    assert decode_answer(approved.agent.answer(request).payload).clause == "terms"


LOOSER = {
    "simulation": {"simulation": True},
    "expires_at": {"expires_at": "2024-12-31T00:00:00+00:00"},
    "purposes": {"contract": {"purpose": "advertising"}},
    "require_consent": {"contract": {"consent": {"required": False}}},
    "max_events_per_patient": {"contract": {"events_per_patient": 5}},
    "models": {"model": ModelSettings(kind="mlp", hidden=(4,))},
    "delta": {"privacy": {"delta": 1e-6}},
    "min_clip_norm": {"privacy": {"clip_norm": 0.4}},
    "max_clip_norm": {"privacy": {"clip_norm": 2.1}},
    "min_noise_multiplier": {"noise_multiplier": 4.9},
    "max_rounds": {"training": {"rounds": 13}},
    "epsilon": {"privacy": {"epsilon": 0.5}},
    "max_epsilon_per_study": {"privacy": {"epsilon": 2.0}, "noise_multiplier": 8.0},
}


@pytest.mark.parametrize("clause", LOOSER)
def test_terms_looser_than_the_policy_are_refused_for_that_clause(approved, terms_with, clause):
    terms = terms_with(**LOOSER[clause])
    approved.approve(terms)
    assert approved.clause(terms=terms) == clause
    assert not approved.entries("charged")


def test_the_policy_is_read_again_at_every_plan(approved):
    approved.released(1)
    approved.write_policy(max_epsilon_for_life=0.5)
    assert approved.clause(2) == "max_epsilon_for_life"
    approved.write_policy()
    approved.released(2)
    (approved.folder / "policy.yaml").write_text("delta: no number\n")
    assert approved.clause(3) == "policy"
    (approved.folder / "policy.yaml").unlink()
    assert approved.clause(3) == "policy"
    assert len(approved.entries("charged")) == 2


def test_disagreement_of_the_engines_stops_a_study_before_any_charge(approved, monkeypatch):
    def disagree(*arguments):
        raise WardroundError("closed form and Opacus differ")

    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", disagree)
    assert approved.clause() == "agreement"
    assert not approved.entries("charged")


def test_the_engines_are_compared_once_before_each_study_and_never_for_strangers(
    approved, monkeypatch, terms_with
):
    compared = []
    monkeypatch.setattr(
        "wardround.client.train.check_training.check_closed_form", lambda *shapes: compared.append(shapes)
    )
    assert approved.clause(signer=new_key()) == "operators"
    assert not compared
    approved.released(1)
    approved.released(2)
    assert len(compared) == 1
    other = terms_with(study="coffee")
    approved.approve(other)
    approved.released(1, other)
    assert len(compared) == 2
    assert compared[0] == (other.model, other.contract.layout, 4, None)


def test_the_engines_agree_on_this_study(make_hospital):
    hospital = make_hospital()  # nothing is taken for granted here
    hospital.approve()
    hospital.released(1)


def test_columns_that_the_policy_does_not_list_are_not_read(approved):
    approved.write_policy(features=["messages.patient"])
    assert approved.clause() == "features"
    assert not approved.entries("charged")


def test_a_contract_is_allowed_by_its_fingerprint_whatever_its_name(approved, terms_with):
    approved.write_policy(contracts=[approved.terms.contract.fingerprint], features=[])
    approved.released(1)
    other = terms_with(contract={"events_per_patient": 3})
    approved.approve(other)
    assert other.contract.name == approved.terms.contract.name
    assert approved.clause(terms=other) == "contracts"


def test_evaluation_is_answered_from_held_out_patients_on_their_own_account(
    approved, terms_with, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "wardround.client.agent.warm.encode",
        lambda frame, contract: seen.append(frame) or encode(frame, contract),
    )
    terms = terms_with(evaluation=EvaluationSettings(rounds=(2,), noise_multiplier=5.0))
    approved.approve(terms)
    approved.released(1, terms)
    assert approved.clause(1, terms, account="held_out") == "round"
    answer = approved.released(2, terms, account="held_out")
    assert signed_by_hospital(answer, approved.key.public)
    assert len(answer.release.vector) == table_size(terms.contract, terms.evaluation)
    assert [entry.fields["account"] for entry in approved.entries("charged")] == ["training", "held_out"]
    # Neither account stands in the other's way.
    approved.released(2, terms)
    training, heldout = (
        {tuple(row) for row in part.select("token_high", "token_low").rows()} for part in seen[:2]
    )
    assert training
    assert heldout
    assert not training & heldout
