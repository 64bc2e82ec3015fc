"""The agent's answers: who is heard, what is charged, and that a reply comes whatever the tables hold."""

import os
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from client.features import encode
from client.ledger.verify import export, verify
from client.terms_folder import kept_terms
from protocol.contract import contract_from_mapping
from protocol.envelope import decode_answer, encode_request, sign_request, signed_by_hospital
from protocol.errors import LedgerError, TableAway, WardroundError
from protocol.evaluation import EvaluationSettings, table_size
from protocol.settings import ModelSettings
from protocol.signed_terms import sign_terms, signed_terms_to_bytes
from protocol.signing import new_key
from protocol.wire import encode_release


def epsilon(hospital):
    return hospital.agent._ledger.spent("training", 1e-5)


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
    spent = epsilon(approved)
    assert approved.clause(**{"number": 5, **changes}) == clause
    assert epsilon(approved) == spent
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
    terms = signed_terms_to_bytes(sign_terms(approved.terms, approved.operator))
    request = sign_request(terms, approved.plan(), datetime.now(UTC) + timedelta(days=1), new_key())
    answer = decode_answer(approved.agent.answer(encode_request(request)).payload)
    assert answer.clause == "signature"
    # The signature covers the expiry.
    good = sign_request(terms, approved.plan(), datetime.now(UTC) + timedelta(days=1), approved.operator)
    longer = replace(good, expires_at=good.expires_at + 86_400)
    assert decode_answer(approved.agent.answer(encode_request(longer)).payload).clause == "signature"
    assert not approved.entries("charged")


LOOSER = {
    "simulation": {"simulation": True},
    "noise": {"simulation": True, "privacy": {"noise": "distributed"}},
    "expires_at": {"expires_at": "2024-12-31T00:00:00+00:00"},
    "purposes": {"contract": {"purpose": "advertising"}},
    "contracts": {"contract": {"name": "large"}},
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
    expected = "simulation" if clause == "noise" else clause  # distributed noise exists in simulations only
    assert approved.clause(terms=terms) == expected
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

    monkeypatch.setattr("client.agent.agree", disagree)
    assert approved.clause() == "agreement"
    assert not approved.entries("charged")


def test_the_engines_are_compared_once_before_each_study_and_never_for_strangers(
    approved, monkeypatch, terms_with
):
    compared = []
    monkeypatch.setattr("client.agent.agree", lambda *shapes: compared.append(shapes))
    assert approved.clause(signer=new_key()) == "operators"
    assert not compared
    approved.released(1)
    approved.released(2)
    assert len(compared) == 1
    other = terms_with(study="coffee")
    approved.approve(other)
    approved.released(1, other)
    assert len(compared) == 2
    assert compared[0] == (other.model, other.contract.layout, 4)


def test_the_engines_agree_on_this_study(make_hospital):
    hospital = make_hospital()  # nothing is taken for granted here
    hospital.approve()
    hospital.released(1)


# ---- whatever the tables hold (rule 2) ----


def no_messages(hospital, tables, monkeypatch):
    hospital.write_tables({name: frame.clear() for name, frame in tables.items()})


def missing_file(hospital, tables, monkeypatch):
    (hospital.folder / "messages.csv").unlink()


def missing_column(hospital, tables, monkeypatch):
    hospital.write_tables({"messages": tables["messages"].drop("opened")})


def no_table(hospital, tables, monkeypatch):
    (hospital.folder / "messages.csv").write_bytes(os.urandom(4096))


def empty_file(hospital, tables, monkeypatch):
    (hospital.folder / "consents.csv").write_bytes(b"")


def error_in_training(hospital, tables, monkeypatch):
    def fail(model, layout, weights, cohort, clip_norm, **settings):
        if cohort.patient_count:
            raise ZeroDivisionError("MARK-inside-training")
        return np.zeros((1, weights.shape[1]))

    monkeypatch.setattr("client.train.update.clipped_sums", fail)


def no_memory(hospital, tables, monkeypatch):
    def fail(*arguments, **settings):
        raise MemoryError

    monkeypatch.setattr("client.warm.encode", fail)


FAULTS = (no_messages, missing_file, missing_column, no_table, empty_file, error_in_training, no_memory)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_reply_of_the_same_size_and_kind_comes_whatever_the_tables_hold(
    approved, tables_of, monkeypatch, caplog, fault
):
    usual = approved.agent.answer(approved.request(1))
    fault(approved, tables_of(), monkeypatch)
    reply = approved.agent.answer(approved.request(2))
    assert len(reply.payload) == len(usual.payload)
    assert reply.delay_seconds == usual.delay_seconds
    vector = decode_answer(reply.payload).release.vector
    # It is noise of the usual size: 15 coordinates, each within 8 standard deviations, not all zero.
    assert 0 < np.abs(vector).max() < 8 * approved.terms.hospital_noise_stddev
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 2
    assert "MARK" not in caplog.text


@pytest.mark.parametrize("size", [3e38, 1e30, -3e38])
def test_weights_crafted_to_overflow_get_their_reply(approved, size):
    weights = np.full_like(approved.plan().weights, size)
    weights[::2] *= -1
    vector = approved.released(weights=weights).release.vector
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) < 41 + 8 * approved.terms.hospital_noise_stddev * len(vector) ** 0.5
    assert len(approved.entries("charged")) == 1


def test_weights_that_are_not_finite_are_no_plan(approved):
    request = approved.request()
    for number in (np.nan, np.inf):
        poisoned = request[:-4] + np.float32(number).tobytes()
        assert decode_answer(approved.agent.answer(poisoned).payload).clause == "plan"


def test_a_database_that_is_away_makes_the_hospital_late_and_the_same_plan_computes_later(
    approved, monkeypatch
):
    request = approved.request()
    with monkeypatch.context() as away:

        def fail(*arguments):
            raise TableAway("messages: does not answer")

        away.setattr("client.warm.read_tables", fail)
        assert approved.agent.answer(request).payload is None
        assert len(approved.entries("charged")) == 1
        assert not approved.entries("released")
    assert decode_answer(approved.agent.answer(request).payload).release.round == 1
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 1


def test_the_reply_leaves_at_the_delay_of_the_terms(approved, terms_with):
    terms = terms_with(reply_delay_seconds=2.5)
    approved.approve(terms)
    assert approved.agent.answer(approved.request(1, terms)).delay_seconds == 2.5
    assert approved.agent.answer(approved.request(20, terms)).delay_seconds == 0.0  # a refusal


# ---- races and disks ----


def test_two_plans_for_one_round_at_once_get_the_same_bytes_for_one_charge(approved):
    request = approved.request()
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: approved.agent.answer(request).payload, range(8)))
    assert len(set(replies)) == 1
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 1


def test_two_sets_of_weights_for_one_round_at_once_get_one_release(approved):
    requests = [approved.request(weights=approved.plan().weights + np.float32(n)) for n in range(4)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda one: decode_answer(approved.agent.answer(one).payload), requests))
    assert sorted(getattr(answer, "clause", "released") for answer in answers) == ["released"] + 3 * [
        "weights"
    ]
    assert len(approved.entries("charged")) == 1


def test_ten_rounds_in_parallel_are_charged_once_each_or_refused_for_their_order(approved):
    requests = [approved.request(number) for number in range(1, 11)]
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda one: decode_answer(approved.agent.answer(one).payload), requests))
    released = [number for number, answer in enumerate(answers, 1) if hasattr(answer, "release")]
    assert released
    assert all(answer.clause == "order" for answer in answers if not hasattr(answer, "release"))
    assert [entry.fields["round"] for entry in approved.entries("charged")] == released
    assert len({encode_release(a.release) for a in answers if hasattr(a, "release")}) == len(released)
    verify(export(approved.agent._ledger.entries()), approved.key.public)


def test_a_full_disk_refuses_the_charge_and_nothing_is_spent_or_sent(approved):
    database = approved.agent._ledger._store._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    clauses = [approved.ask(number) for number in range(1, 9)]
    full = [answer for answer in clauses if getattr(answer, "clause", "") == "ledger"]
    assert full, "the disk never was full"
    charged, released = len(approved.entries("charged")), len(approved.entries("released"))
    assert sum(hasattr(answer, "release") for answer in clauses) == released <= charged
    database.execute("PRAGMA max_page_count = 1000000")
    approved.released(9)


def test_a_read_only_disk_refuses_the_charge(approved):
    approved.agent._ledger._store._db.execute("PRAGMA query_only = ON")
    assert approved.clause() == "ledger"
    approved.agent._ledger._store._db.execute("PRAGMA query_only = OFF")
    assert epsilon(approved) == 0.0
    approved.released()


def test_an_old_ledger_put_back_is_refused_at_the_next_plan(approved):
    approved.released(1)
    approved.stop()
    old = {path: path.read_bytes() for path in approved.folder.glob("ledger.sqlite*")}
    head = approved.released(2).release.ledger_head
    approved.stop()
    for path in approved.folder.glob("ledger.sqlite*"):
        path.unlink()
    for path, content in old.items():
        path.write_bytes(content)
    assert approved.clause(3, ledger_head=head) == "ledger_head"


def test_an_altered_ledger_refuses(approved):
    approved.released(1)
    approved.stop()
    with sqlite3.connect(approved.folder / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER never_updated")
        database.execute("UPDATE entries SET body = replace(body, '\"round\":1', '\"round\":2')")
    database.close()
    with pytest.raises(LedgerError):
        approved.agent  # noqa: B018


# ---- randomness (rule 9) ----


def test_noise_and_draws_never_touch_torchs_or_numpys_generators(approved, terms_with, monkeypatch):
    approved.released(1)  # whatever is imported and prepared lazily is there by now

    def forbidden(*arguments, **settings):
        if arguments and getattr(arguments[0], "is_meta", False):
            return arguments[0]  # a layer laid out without weights: nothing is drawn
        raise AssertionError("a generator that is not cryptographic was drawn from")

    for name in ("normal", "rand", "randn", "bernoulli", "multinomial", "randperm", "randint", "poisson"):
        monkeypatch.setattr(torch, name, forbidden)
    for name in ("normal_", "uniform_", "bernoulli_", "random_", "exponential_"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    for name in ("default_rng", "normal", "random", "rand", "randn", "uniform", "standard_normal", "poisson"):
        monkeypatch.setattr(np.random, name, forbidden)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    sampled = terms_with(study="sampled", training={"sampling_rate": 0.5, "local_steps": 1})
    approved.approve(sampled)
    noise = [approved.released(2).release.vector, approved.released(1, sampled).release.vector]
    assert all(np.abs(vector).max() > 0 for vector in noise)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_every_release_has_fresh_noise(approved, make_hospital):
    first, second = (approved.released(number).release.vector for number in (1, 2))
    other = make_hospital()
    other.approve()
    third = other.released(1).release.vector
    assert not np.allclose(first, second)
    assert not np.allclose(first, third)


# ---- private evaluation ----


def test_evaluation_is_answered_from_held_out_patients_on_their_own_account(
    approved, terms_with, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        "client.warm.encode", lambda frame, contract: seen.append(frame) or encode(frame, contract)
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


# ---- a simulated hospital ----


def test_a_simulated_hospital_takes_simulations_only_and_marks_what_it_releases(hospital, terms_with):
    hospital.configure("simulation: {seed: 3, as_of: 2024-06-01T00:00:00+00:00}\n")
    assert hospital.clause() == "simulation"
    simulated = terms_with(simulation=True)
    release = hospital.released(1, simulated).release
    assert release.simulation
    assert hospital.clause(1, simulated, signer=new_key()) == "operators"
    assert len(hospital.entries("charged")) == 1


def test_a_simulated_hospitals_release_is_fixed_by_its_own_seed(make_hospital, terms_with):
    vectors = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        hospital = make_hospital(name)
        hospital.configure(f"simulation: {{seed: {seed}, as_of: 2024-06-01T00:00:00+00:00}}\n")
        vectors.append(hospital.released(1, terms_with(simulation=True)).release.vector)
    assert (vectors[0] == vectors[1]).all()
    assert not np.allclose(vectors[0], vectors[2])


# ---- nothing personal ----

MARKS = ("MARKPATIENT", "MARKVALUE", "31337", "1987-06-05")


def test_nothing_personal_in_logs_errors_ledger_release_or_folder(approved, tables_of, monkeypatch, caplog):
    caplog.set_level(0)
    tables = tables_of()
    written = [approved.agent.answer(approved.request(1)).payload]
    number = 1
    for table in tables:
        for column in tables[table].columns:
            number += 1
            marked = tables[table].with_columns(**{column: np.array(MARKS * 100)[: len(tables[table])]})
            approved.write_tables({**tables, table: marked})
            terms = approved.terms if number <= 12 else None
            if terms is None:
                break
            written.append(approved.agent.answer(approved.request(number)).payload)
    no_table(approved, tables, monkeypatch)
    written += [bytes(export(approved.agent._ledger.entries())), caplog.text.encode()]
    for path in approved.folder.rglob("*"):
        if path.is_file() and path.suffix != ".csv":
            written.append(path.read_bytes())
    for content in written:
        assert not re.search("|".join(MARKS).encode(), content)
    assert len(approved.entries("released")) == 12


def test_contracts_are_checked_by_what_they_read_not_by_their_name_alone(approved, terms_with):
    wide = contract_from_mapping(terms_with().contract.to_mapping())
    approved.write_policy(contracts=["small"], features=["messages.patient"])
    assert approved.clause() == "features"
    assert wide.fingerprint == approved.terms.contract.fingerprint
