"""An agent and a query: its own clause of the policy, one answer ever, and no group that its contract does not name."""

from dataclasses import replace

import numpy as np
import pytest

from tests.client.notice.test_board import written
from tests.client.notice.test_notice import approve, words_of
from tests.client.small_hospital import PATIENTS, small_terms
from wardround.client.main import main
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.query import NO_TRAINING, QuerySettings, query_size
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

NOTHING = np.zeros(0, np.float32)
TRAINING = {"rounds": 1, "public_patients": {"north": PATIENTS}}


def query_terms(**contract: object) -> Terms:
    """Terms of a query within the small hospital's policy, its clause on queries aside."""
    terms = small_terms(
        contract={"groups": ["age"], **contract},
        training=TRAINING,
        privacy={"epsilon": 0.5},
        noise_multiplier=20.0,
        query=QuerySettings(),
    )
    assert replace(terms.training, public_patients={}) == NO_TRAINING
    return terms


@pytest.fixture
def counting(hospital):
    hospital.write_policy(queries="[feasibility]")
    hospital.terms = query_terms()
    hospital.approve()
    return hospital


def test_a_policy_that_lists_no_query_answers_none(hospital):
    hospital.terms = query_terms()
    hospital.approve()
    assert hospital.clause(weights=NOTHING) == "queries"
    assert hospital.epsilon == 0


def test_a_query_waits_for_a_person_is_charged_once_and_answered_alike(counting):
    counting.approve(kind="declined")
    assert counting.clause(weights=NOTHING) == "approval"
    counting.approve()
    first = counting.released(weights=NOTHING)
    assert first.release.vector.shape == (query_size(counting.terms.contract, QuerySettings()),)
    request = counting.request(weights=NOTHING)
    assert counting.agent.answer(request).payload == counting.agent.answer(request).payload
    assert len(counting.entries("charged")) == 1
    assert counting.epsilon == compose_epsilon(training_events(counting.terms), 1e-5) < 0.5


@pytest.mark.parametrize(
    ("clause", "changes"),
    [
        ("round", {"number": 2}),
        ("parameters", {"weights": np.zeros(3, np.float32)}),
        ("asks", {"asks": "query"}),
        ("round", {"account": "held_out"}),
    ],
    ids=["again", "weights", "asks", "held_out"],
)
def test_a_second_query_under_one_approval_is_refused(counting, clause, changes):
    counting.released(weights=NOTHING)
    spent = counting.epsilon
    assert counting.clause(**{"weights": NOTHING, **changes}) == clause
    assert counting.epsilon == spent


def test_groups_that_the_approved_contract_does_not_name_are_another_contract(counting):
    counting.write_policy(
        queries="[feasibility]", features="[]", contracts=f"[{counting.terms.contract.fingerprint}]"
    )
    more = query_terms(groups=["age", "channel"])
    assert counting.clause(terms=more, weights=NOTHING) == "contracts"
    counting.approve(more)
    assert counting.clause(terms=more, weights=NOTHING) == "contracts"
    assert counting.epsilon == 0


def test_the_same_query_under_another_name_is_another_approval_and_adds_up(counting):
    counting.released(weights=NOTHING)
    once, again = counting.epsilon, replace(counting.terms, study="counts-again")
    assert counting.clause(terms=again, weights=NOTHING) == "approval"
    counting.approve(again)
    counting.released(terms=again, weights=NOTHING)
    assert counting.epsilon > 1.3 * once


def test_tables_that_cannot_be_read_yield_noise_of_the_same_form(counting):
    (counting.folder / "messages.csv").write_text("nothing,of,this\n")
    answer = counting.released(weights=NOTHING)
    assert np.isfinite(answer.release.vector).all()
    assert len(answer.release.vector) == query_size(counting.terms.contract, QuerySettings())
    assert len(counting.entries("charged")) == 1


def test_who_approves_sees_what_a_query_counts_and_what_it_costs(hospital, tmp_path, capsys):
    hospital.write_policy(queries="[feasibility]")
    terms, file = query_terms(), tmp_path / "counts.terms"
    save_terms(sign_terms(terms, hospital.operator), file)
    words = [str(file), "--home", str(hospital.folder)]
    assert main(["forecast", *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    size = query_size(terms.contract, QuerySettings())
    cost = compose_epsilon(training_events(terms), 1e-5)
    for fact in (
        f"no model: a query (feasibility) for one noised table of {size} numbers, how many training patients there "
        "are with either outcome, in all and by age",
        f"costs each training patient ε = {cost:.4g} at δ = 10⁻⁵, once; held-out patients are not counted, and pay",
        "queries",
    ):
        assert fact in said, fact
    hospital.write_policy(queries="[]")
    assert main(["approve", *words, "--reason", "ok", "--yes"]) == 2
    assert "query.kind=feasibility; this hospital allows none" in capsys.readouterr().err


def test_board_and_notice_call_a_query_what_it_is(hospital, tmp_path):
    hospital.write_policy(queries="[feasibility]")
    hospital.terms = query_terms()
    size = query_size(hospital.terms.contract, QuerySettings())
    said = words_of(written(hospital, hospital.terms, tmp_path / "board.html"))
    for fact in (
        "count patients here?",
        "No model is trained.",
        "How many patients there are who could be learned from, in all, by age",
        f"a table of how many patients there are, by outcome and group; each patient adds at most 1 1 {size} ",
        "no count without noise",
    ):
        assert fact in said, fact
    assert "The model is" not in said
    approve(hospital)
    out = tmp_path / "notice.html"
    assert main(["notice", str(out), "--home", str(hospital.folder), "--json"]) == 0
    told = words_of(out.read_text(encoding="utf-8"))
    assert "It only counts: how many patients there are, in all and in groups." in told
    assert (
        f"One round’s list holds {size} numbers." in told or f"One round's list holds {size} numbers." in told
    )
