"""Who is one patient changes after the first charge: from then on both accounts add up, for good."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.builders import charge_of
from wardround.client.ledger.budget import Caps
from wardround.client.ledger.known_by import KnownBy
from wardround.client.ledger.sqlite import create_ledger, open_ledger
from wardround.client.ledger.verify import export, verify
from wardround.protocol.errors import Refusal
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.wire.signing import new_key

DELTA, NOW = 1e-5, datetime(2026, 1, 1, tzinfo=UTC)
CAPS = Caps(delta=DELTA)
AS_WRITTEN, TEXT, NUMBER = (
    KnownBy(c * 64, w) for c, w in (("a", "as_written"), ("b", "text"), ("c", "number"))
)
EVENT = charge_of().event


def epsilon(count):
    return compose_epsilon([replace(EVENT, count=count)], DELTA)


@pytest.fixture
def key():
    return new_key()


@pytest.fixture
def ledger(tmp_path, key):
    made = create_ledger(tmp_path / "ledger.sqlite", key, "test", NOW)
    yield made
    made.close()


def charge(ledger, number, known_by, account="training", caps=CAPS):
    return ledger.charge(charge_of(number, account=account), caps, NOW, None, known_by)


def spent(ledger):
    return ledger.spent("training", DELTA), ledger.spent("held_out", DELTA)


def test_one_way_keeps_two_accounts(ledger):
    for number in (1, 2):
        charge(ledger, number, TEXT)
    charge(ledger, 3, TEXT, "held_out")
    assert spent(ledger) == (epsilon(2), epsilon(1))
    assert not ledger.joined
    assert [entry.kind for entry in ledger.entries()].count("known_by") == 1


def test_another_way_adds_both_up_over_restarts_and_for_whoever_verifies(ledger, key, tmp_path):
    charge(ledger, 1, TEXT)
    charge(ledger, 2, TEXT, "held_out")
    assert ledger.would_join(NUMBER)
    assert ledger.spent_by_both(DELTA) == epsilon(2)
    charge(ledger, 3, NUMBER)
    assert spent(ledger) == (epsilon(3), epsilon(3))
    charge(ledger, 4, TEXT, "held_out")  # going back changes nothing: both have been learned from
    assert spent(ledger) == (epsilon(4), epsilon(4))
    ledger.close()
    again = open_ledger(tmp_path / "ledger.sqlite", key, "another version")
    assert again.joined
    assert not again.would_join(NUMBER)
    assert spent(again) == (epsilon(4), epsilon(4))
    assert verify(export(again.entries()), key.public).epsilon == {
        "training": pytest.approx(epsilon(4)),
        "held_out": pytest.approx(epsilon(4)),
    }
    again.close()


def test_the_cap_is_held_against_both_and_a_refusal_joins_nothing(ledger):
    charge(ledger, 1, TEXT)
    charge(ledger, 2, TEXT, "held_out")
    before = ledger.head
    with pytest.raises(Refusal) as refusal:
        charge(ledger, 3, NUMBER, caps=Caps(delta=DELTA, life=epsilon(2)))
    assert refusal.value.clause == "max_epsilon_for_life"
    assert (ledger.head, ledger.joined) == (before, False)
    charge(ledger, 3, TEXT, caps=Caps(delta=DELTA, life=epsilon(2)))


def test_a_repeat_under_another_way_costs_nothing_and_joins_nothing(ledger):
    charge(ledger, 1, TEXT)
    assert charge(ledger, 1, NUMBER).repeat
    assert not ledger.joined


def test_before_the_first_charge_a_way_may_be_chosen_freely(ledger):
    charge(ledger, 1, NUMBER)
    assert not ledger.joined


@pytest.mark.parametrize(("first", "joins"), [(AS_WRITTEN, False), (TEXT, True)])
def test_a_ledger_of_0_1_0_goes_on_as_written_or_adds_up(ledger, first, joins):
    charge(ledger, 1, None)
    charge(ledger, 2, None, "held_out")
    charge(ledger, 3, first)
    assert ledger.joined == joins
    assert spent(ledger) == ((epsilon(3), epsilon(3)) if joins else (epsilon(2), epsilon(1)))
