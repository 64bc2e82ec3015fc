"""An agent and an uplift query: its own clause, a person's yes, one answer of each account, and plain words before."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.client.notice.test_board import written
from tests.client.notice.test_notice import approve, words_of
from tests.client.small_hospital import PATIENTS, POLICY, small_terms
from tests.trials import COMPARED
from wardround.client.main import main
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.query import query_size
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

NOTHING = np.zeros(0, np.float32)
ARMS = {
    "column": "arm",
    "reference": "standard",
    "shares": {"standard": 0.5, "personalised": 0.5},
    "since": "since",
    "until": "until",
}
COLUMNS = [f"arms.{column}" for column in ("patient", "arm", "since", "until")]


def uplift_terms(**contract: object) -> Terms:
    """Terms of an uplift query within the small hospital's policy, its clause on queries aside."""
    return small_terms(
        contract={"groups": ["age"], "arms": ARMS, **contract},
        training={"rounds": 1, "public_patients": {"north": PATIENTS}},
        privacy={"epsilon": 0.5},
        noise_multiplier=20.0,
        query=COMPARED,
    )


def write_arms(hospital) -> None:
    """Write the table of arms, and name it in the mapping."""
    names = [f"patient-{number}" for number in range(PATIENTS)]
    rows = {
        "patient": names,
        "arm": [("standard", "personalised")[number % 2] for number in range(PATIENTS)],
        "since": ["2024-01-01"] * PATIENTS,
        "until": ["2024-12-31"] * PATIENTS,
    }
    pl.DataFrame(rows).write_csv(hospital.folder / "arms.csv")
    hospital.configure("  arms: {path: arms.csv}\n")


@pytest.fixture
def comparing(hospital):
    write_arms(hospital)
    hospital.write_policy(queries="[uplift]", features=[*POLICY["features"], *COLUMNS])
    hospital.terms = uplift_terms()
    return hospital


def test_a_policy_that_lists_another_query_or_no_arms_answers_none(comparing):
    comparing.write_policy(queries="[feasibility]", features=[*POLICY["features"], *COLUMNS])
    comparing.approve()
    assert comparing.clause(weights=NOTHING) == "queries"
    comparing.write_policy(queries="[uplift]")
    assert comparing.clause(weights=NOTHING) == "features"
    assert comparing.epsilon == 0


def test_it_waits_for_a_person_and_charges_each_account_once(comparing):
    assert comparing.clause(weights=NOTHING) == "approval"
    comparing.approve()
    cost = compose_epsilon(training_events(comparing.terms), 1e-5)
    for account, others in (("training", 0.0), ("held_out", cost)):
        first = comparing.released(weights=NOTHING, account=account)
        assert first.release.account == account
        assert first.release.vector.shape == (query_size(comparing.terms.contract, COMPARED),)
        request = comparing.request(weights=NOTHING, account=account)
        assert comparing.agent.answer(request).payload == comparing.agent.answer(request).payload
        ledger = comparing.agent._ledger
        assert ledger.spent("training", 1e-5) == cost
        assert ledger.spent("held_out", 1e-5) == others
    assert len(comparing.entries("charged")) == 2


@pytest.mark.parametrize("account", ["training", "held_out"])
def test_a_second_question_under_one_approval_is_refused(comparing, account):
    comparing.approve()
    comparing.released(weights=NOTHING, account=account)
    assert comparing.clause(2, weights=NOTHING, account=account) == "round"
    assert comparing.clause(weights=NOTHING, account=account, asks="update") in ("asks", "account")
    assert len(comparing.entries("charged")) == 1


def test_without_the_table_of_arms_noise_of_the_same_form_leaves(comparing):
    comparing.configure()
    comparing.approve()
    answer = comparing.released(weights=NOTHING)
    assert np.isfinite(answer.release.vector).all()
    assert len(answer.release.vector) == query_size(comparing.terms.contract, COMPARED)


def test_who_approves_sees_what_is_compared_what_it_costs_and_how_exact_it_will_be(
    comparing, tmp_path, capsys
):
    terms, file = comparing.terms, tmp_path / "spring.terms"
    save_terms(sign_terms(terms, comparing.operator), file)
    assert main(["forecast", str(file), "--home", str(comparing.folder)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    cost = compose_epsilon(training_events(terms), 1e-5)
    for fact in (
        "no model: a query (uplift) for one noised table of",
        "numbers of each account, how many patients there are in each arm of a trial (standard and personalised) and "
        "their mean outcome, in all and by age",
        f"costs each training patient ε = {cost:.4g} at δ = 10⁻⁵, once",
        f"and each held-out patient, counted in a table of their own, ε = {cost:.4g}",
        "it will tell personalised against standard to within about ±",
    ):
        assert fact in said, fact


def test_board_and_notice_say_that_arms_are_compared_and_everybody_counts(comparing, tmp_path):
    said = words_of(written(comparing, comparing.terms, tmp_path / "board.html"))
    for fact in (
        "compare the arms of a trial here?",
        "would be asked how their patients fared in each arm of a trial. No model is trained.",
        "In each arm of a trial, how many patients there are and their mean outcome, in all, by age.",
        "personalised for 50% of the patients, standard for 50% of the patients",
        "The operator learns how much higher the mean is in one arm than in another: personalised against standard",
        "This study counts them too, in a list of their own",
        "the same table of those who are never learned from",
    ):
        assert fact in said, fact
    approve(comparing)
    out = tmp_path / "notice.html"
    assert main(["notice", str(out), "--home", str(comparing.folder), "--json"]) == 0
    told = words_of(out.read_text(encoding="utf-8"))
    assert (
        "It only compares: whether patients fared better with one way of choosing messages than with" in told
    )


def test_the_same_comparison_under_another_name_adds_up(comparing):
    comparing.approve()
    comparing.released(weights=NOTHING)
    once, again = comparing.epsilon, replace(comparing.terms, study="again")
    comparing.approve(again)
    comparing.released(terms=again, weights=NOTHING)
    assert comparing.epsilon > 1.3 * once
