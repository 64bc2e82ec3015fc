"""What both ledgers promise: one charge a round, identical repeats, caps, two accounts, operators apart."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import OPERATOR, OTHER, calls_of, charge_of
from wardround.client.ledger.budget import Budget, Caps, Charge
from wardround.client.ledger.port import Ledger, MemoryLedger
from wardround.client.ledger.sqlite import create_ledger
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signing import new_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
DELTA = 1e-5
CAPS = Caps(delta=DELTA)


def _epsilon(*events: PrivacyEvent) -> float:
    return compose_epsilon(events, DELTA)


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    ledger = create_ledger(tmp_path / "ledger.db", new_key(), "test", NOW)
    yield ledger
    ledger.close()


def test_a_charge_is_remembered_and_its_head_is_known(ledger: Ledger) -> None:
    receipt = ledger.charge(charge_of(), CAPS, NOW)
    assert (receipt.repeat, receipt.stored) == (False, None)
    assert receipt.head == ledger.head
    assert ledger.knows(receipt.head)
    assert ledger.knows(None)
    assert not ledger.knows("0" * 64)
    assert ledger.spent("training", DELTA) == _epsilon(PrivacyEvent(20.0, 1.0, 1))


def test_a_repeat_is_free_and_brings_the_same_bytes(ledger: Ledger) -> None:
    first = ledger.charge(charge_of(), CAPS, NOW)
    assert ledger.released(charge_of(), b"release", LATER, NOW) == b"release"
    spent = ledger.spent("training", DELTA)
    again = ledger.charge(charge_of(), CAPS, NOW)
    assert (again.head, again.repeat, again.stored) == (first.head, True, b"release")
    assert ledger.spent("training", DELTA) == spent


def test_a_charge_without_bytes_is_computed_once_more_and_not_charged(ledger: Ledger) -> None:
    first = ledger.charge(charge_of(), CAPS, NOW)
    again = ledger.charge(charge_of(), CAPS, NOW)
    assert (again.head, again.repeat, again.stored) == (first.head, True, None)
    assert ledger.spent("training", DELTA) == _epsilon(PrivacyEvent(20.0, 1.0, 1))


def test_of_two_computations_of_one_charge_the_first_leaves(ledger: Ledger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    assert ledger.released(charge_of(), b"first", LATER, NOW) == b"first"
    assert ledger.released(charge_of(), b"second", LATER, NOW) == b"first"


def test_other_weights_for_a_charged_round_are_refused(ledger: Ledger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    head = ledger.head
    for answered in (False, True):
        with pytest.raises(Refusal) as refusal:
            ledger.charge(charge_of(weights_digest="c" * 64), CAPS, NOW)
        assert refusal.value.clause == "weights"
        if not answered:
            ledger.released(charge_of(), b"release", LATER, NOW)
            head = ledger.head
    assert ledger.head == head


def test_a_repeat_is_served_when_the_budget_is_spent(ledger: Ledger) -> None:
    caps = Caps(delta=DELTA, life=_epsilon(PrivacyEvent(20.0, 1.0, 1)))
    ledger.charge(charge_of(1), caps, NOW)
    ledger.released(charge_of(1), b"release", LATER, NOW)
    with pytest.raises(Refusal):
        ledger.charge(charge_of(2), caps, NOW)
    assert ledger.charge(charge_of(1), caps, NOW).stored == b"release"


def test_another_operator_never_fetches_a_release(ledger: Ledger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    ledger.released(charge_of(), b"release", LATER, NOW)
    assert ledger.find(OPERATOR, "a" * 64, 1).stored == b"release"  # type: ignore[union-attr]
    assert ledger.find(OTHER, "a" * 64, 1) is None
    assert ledger.find(OPERATOR, "d" * 64, 1) is None
    assert ledger.find(OPERATOR, "a" * 64, 2) is None
    assert ledger.find(OPERATOR, "a" * 64, 1, "held_out") is None
    # The same terms, round and weights from another operator: a charge of its own.
    receipt = ledger.charge(charge_of(operator=OTHER), CAPS, NOW)
    assert (receipt.repeat, receipt.stored) == (False, None)


def test_a_release_that_nobody_charged_is_stopped(ledger: Ledger) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    with pytest.raises(Refusal) as refusal:
        ledger.released(charge_of(2), b"release", LATER, NOW)
    assert refusal.value.clause == "ledger"


@pytest.mark.parametrize("scope", ["study", "operator", "life"])
def test_the_last_release_that_fits_a_cap_is_taken_and_the_next_refused(ledger: Ledger, scope: str) -> None:
    cap = _epsilon(PrivacyEvent(20.0, 1.0, 5))
    caps = Caps(delta=DELTA, **{scope: cap})
    for number in range(5):
        ledger.charge(charge_of(number), caps, NOW)
    assert ledger.spent("training", DELTA) == cap
    head = ledger.head
    with pytest.raises(Refusal) as refusal:
        ledger.charge(charge_of(5), caps, NOW)
    clauses = {"study": "per_study", "operator": "per_operator", "life": "for_life"}
    assert refusal.value.clause == f"max_epsilon_{clauses[scope]}"
    assert f"{cap:g}" in str(refusal.value)
    assert ledger.head == head
    assert ledger.spent("training", DELTA) == cap


def test_caps_count_what_they_are_for(ledger: Ledger) -> None:
    one = _epsilon(PrivacyEvent(20.0, 1.0, 1))
    ledger.charge(charge_of(), CAPS, NOW)
    # Another study, another operator, another account: each within its own cap.
    ledger.charge(charge_of(2, study="milk", terms="d" * 64), replace(CAPS, study=one), NOW)
    ledger.charge(charge_of(3, operator=OTHER), replace(CAPS, study=one, operator=one), NOW)
    held_out = charge_of(1, account="held_out")
    ledger.charge(held_out, replace(CAPS, study=one, operator=one, life=one), NOW)
    for refused in (charge_of(4), charge_of(4, study="milk")):
        with pytest.raises(Refusal, match="max_epsilon_per_study"):
            ledger.charge(refused, replace(CAPS, study=one), NOW)
    with pytest.raises(Refusal, match="max_epsilon_per_operator"):
        ledger.charge(charge_of(4, study="new"), replace(CAPS, operator=one), NOW)
    with pytest.raises(Refusal, match="max_epsilon_for_life"):
        ledger.charge(charge_of(4, study="new", operator=new_key().public), replace(CAPS, life=one), NOW)


def test_accounts_studies_and_operators_are_composed_apart_and_together(ledger: Ledger) -> None:
    a, b, c = PrivacyEvent(20.0, 1.0, 3), PrivacyEvent(12.0, 1.0, 1), PrivacyEvent(7.0, 1.0, 2)
    ledger.charge(charge_of(1, event=a), CAPS, NOW)
    ledger.charge(charge_of(2, event=b, study="milk"), CAPS, NOW)
    ledger.charge(charge_of(1, event=c, operator=OTHER), CAPS, NOW)
    ledger.charge(charge_of(1, event=c, account="held_out"), CAPS, NOW)
    spent = ledger.spent
    assert spent("training", DELTA) == _epsilon(a, b, c)
    assert spent("held_out", DELTA) == _epsilon(c)
    assert spent("training", DELTA, operator=OPERATOR) == _epsilon(a, b)
    assert spent("training", DELTA, "tea", OPERATOR) == _epsilon(a)
    assert spent("training", DELTA, "tea") == _epsilon(a, c)
    assert spent("training", DELTA, "none") == 0.0
    assert spent("training", 1e-6) == compose_epsilon([a, b, c], 1e-6)
    assert spent("training", DELTA, further=[b]) == _epsilon(a, b, b, c)
    assert spent("training", DELTA) == _epsilon(a, b, c)
    assert ledger.rounds_charged(OPERATOR, "a" * 64) == 2
    assert ledger.rounds_charged(OPERATOR, "a" * 64, "held_out") == 1


def test_time_is_the_later_of_clock_and_last_entry(ledger: Ledger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    assert ledger.now(NOW - timedelta(days=1)) == NOW
    ledger.charge(charge_of(2), CAPS, NOW - timedelta(days=1))
    assert ledger.now(NOW - timedelta(days=1)) == NOW
    assert ledger.now(LATER) == LATER


@pytest.mark.parametrize("changes", [{"account": "research"}, {"round": -1}])
def test_no_ledger_holds_an_unknown_account_or_round(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        charge_of(**{"round_number": 1, **changes} if "round" not in changes else {"round_number": -1})


def test_a_mixed_history_is_never_below_the_exact_value_and_close_to_googles_accountant() -> None:
    budget, exact = Budget(), PLDAccountant()
    history = [(20.0, 1.0, 10), (12.0, 1.0, 5), (1.2, 0.05, 20)]
    for sigma, rate, count in history:
        step = dp_event.GaussianDpEvent(sigma)
        exact.compose(dp_event.PoissonSampledDpEvent(rate, step) if rate < 1 else step, count)
        for number in range(count):
            budget.add(charge_of(number, event=PrivacyEvent(sigma, rate, 1)))
    spent, reference = budget.spent("training", DELTA), exact.get_epsilon(DELTA)
    assert reference - 1e-4 <= spent <= reference + 1e-4


@given(
    st.lists(
        st.tuples(
            st.sampled_from([5.0, 20.0, 60.0]),
            st.integers(1, 4),
            st.sampled_from(["tea", "milk"]),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_spent_never_falls_and_every_scope_is_within_the_wider_one(history: list[Any]) -> None:
    budget, before = Budget(), 0.0
    for number, (sigma, count, study, first) in enumerate(history):
        operator = OPERATOR if first else OTHER
        charge = charge_of(number, study=study, operator=operator, event=PrivacyEvent(sigma, 1.0, count))
        after = budget.after(charge, DELTA)
        budget.add(charge)
        life = budget.spent("training", DELTA)
        assert after.life == life > before
        assert after.operator == budget.spent("training", DELTA, operator=operator)
        assert after.study <= after.operator <= after.life
        before = life


def test_ten_thousand_simulated_hospitals_are_charged_at_little_work_each() -> None:
    wards = [MemoryLedger() for _ in range(500)]
    caps = Caps(delta=DELTA, study=9.0, operator=9.0, life=9.0)

    def charge_all() -> None:
        for number in range(20):
            for ward in wards:
                charge = _charge_quickly(number)
                ward.charge(charge, caps, NOW)
                ward.released(charge, b"release", LATER, NOW)

    assert calls_of(charge_all) < 120 * 500 * 20  # measured: 60 for each charge
    assert math.isclose(wards[0].spent("training", DELTA), _epsilon(PrivacyEvent(20.0, 1.0, 20)))


def test_a_simulated_ledger_keeps_the_last_bytes_of_a_study_only() -> None:
    ward = MemoryLedger()
    for number in (1, 2):
        ward.charge(charge_of(number), CAPS, NOW)
        ward.released(charge_of(number), b"release %d" % number, LATER, NOW)
    assert ward.charge(charge_of(2), CAPS, NOW).stored == b"release 2"
    with pytest.raises(Refusal, match="answered"):
        ward.charge(charge_of(1), CAPS, NOW)


_EVENT = PrivacyEvent(20.0, 1.0, 1)
_charge_quickly: Callable[[int], Charge] = lambda number: Charge(  # noqa: E731
    operator=OPERATOR, study="tea", terms="a" * 64, round=number, weights_digest="b" * 64, event=_EVENT
)
