"""What a ledger says of secure sums: one roster for a study, one set of survivors for a slot, after anything."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from wardround.client.ledger.backup import back_up, read_copy
from wardround.client.ledger.budget import Assumed, Caps, Charge
from wardround.client.ledger.entries import make_entry
from wardround.client.ledger.known_by import KnownBy
from wardround.client.ledger.sqlite import SqliteLedger, create_ledger, open_ledger
from wardround.client.ledger.sum_entries import SlotAnswer
from wardround.client.ledger.verify import export, verify
from wardround.protocol.errors import ConfigurationError, LedgerError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, independent_epsilon
from wardround.protocol.wire.signing import new_key

KEY, OPERATOR, OTHER = new_key(), new_key().public, new_key().public
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
TERMS, ROSTER, LABEL = "e" * 64, "a" * 64, "b" * 64
CAPS = Caps(delta=1e-5)
ANSWER = SlotAnswer(
    operator=OPERATOR,
    study="tea",
    terms=TERMS,
    account="training",
    round=1,
    label=LABEL,
    survivors=(1, 2, 3),
    request="c" * 64,
    expires_at=LATER,
    payload=b"shares",
)
CHARGE = Charge(
    operator=OPERATOR,
    study="tea",
    terms=TERMS,
    round=1,
    weights_digest="d" * 64,
    event=PrivacyEvent(10.0, 1.0, 1),
    label=LABEL,
    unmasked_noise_multiplier=4.0,
)

ALONE = replace(CHARGE, label="", unmasked_noise_multiplier=None)
"""Private by itself."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    made = create_ledger(path, KEY, "test", NOW)
    yield made
    made.close()


@pytest.fixture
def begun(ledger: SqliteLedger) -> SqliteLedger:
    ledger.sign_roster(OPERATOR, "tea", TERMS, ROSTER, NOW)
    return ledger


def clause(act: Any, *given: Any) -> str:
    with pytest.raises(Refusal) as refused:
        act(*given)
    return refused.value.clause


def kinds(ledger: SqliteLedger) -> list[str]:
    return [entry.kind for entry in ledger.entries()][1:]


def test_one_roster_for_a_study_ever(ledger: SqliteLedger, path: Path) -> None:
    head = ledger.sign_roster(OPERATOR, "tea", TERMS, ROSTER, NOW)
    assert ledger.sign_roster(OPERATOR, "tea", TERMS, ROSTER, NOW) == head
    ledger.close()
    ledger = open_ledger(path, KEY, "test")
    assert clause(ledger.sign_roster, OPERATOR, "tea", TERMS, "f" * 64, NOW) == "roster"
    assert kinds(ledger) == ["roster"]
    # Other terms, and another operator's, have rosters of their own.
    ledger.sign_roster(OPERATOR, "tea", "9" * 64, ROSTER, NOW)
    ledger.sign_roster(OTHER, "tea", TERMS, ROSTER, NOW)
    found = ledger.signed_roster(OPERATOR, TERMS)
    assert found is not None
    assert found.digest == ROSTER


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"survivors": (1, 2, 4)}, "slot"),
        ({"survivors": (1, 2, 3, 4)}, "slot"),
        ({"label": "f" * 64}, "slot"),
        ({"terms": "9" * 64}, "set_up"),
        ({"operator": OTHER}, "set_up"),
    ],
)
def test_one_set_of_survivors_for_a_slot_ever(
    begun: SqliteLedger, path: Path, change: dict[str, Any], expected: str
) -> None:
    begun.answer_slot(ANSWER, NOW)
    begun.close()
    ledger = open_ledger(path, KEY, "test")
    assert clause(ledger.answer_slot, replace(ANSWER, **change), NOW) == expected
    assert kinds(ledger) == ["roster", "survivors"]
    ledger.close()


def test_a_repeat_gets_the_stored_answer_whatever_would_be_given_now(begun: SqliteLedger, path: Path) -> None:
    first = begun.answer_slot(ANSWER, NOW)
    begun.close()
    ledger = open_ledger(path, KEY, "test")
    # The same survivors and label, and a body with other sealed shares.
    again = ledger.answer_slot(replace(ANSWER, payload=b"other shares", request="8" * 64), NOW)
    assert again == first
    assert first.payload == b"shares"
    assert first.entry.request == ANSWER.request
    assert ledger.kept_answer(OPERATOR, TERMS, "training", 1, LABEL, (1, 2, 3)) == first
    assert ledger.kept_answer(OPERATOR, TERMS, "held_out", 1, LABEL, (1, 2, 3)) is None
    ledger.close()


def test_who_has_answered_a_slot_is_never_charged_for_it(begun: SqliteLedger) -> None:
    begun.answer_slot(ANSWER, NOW)
    assert clause(begun.charge, CHARGE, CAPS, NOW) == "survivors"
    begun.charge(replace(CHARGE, round=2), CAPS, NOW)
    begun.charge(replace(CHARGE, account="held_out"), CAPS, NOW)


def test_what_was_charged_and_had_not_left_before_the_survivors_were_answered_never_leaves(
    begun: SqliteLedger, path: Path
) -> None:
    begun.charge(CHARGE, CAPS, NOW)
    begun.answer_slot(ANSWER, NOW)
    begun.close()
    ledger = open_ledger(path, KEY, "test")
    assert clause(ledger.released, CHARGE, b"masked", LATER, NOW) == "answered"
    assert clause(ledger.charge, CHARGE, CAPS, NOW) == "survivors"
    ledger.close()


def test_what_had_left_before_is_repeated_after_the_survivors_were_answered(begun: SqliteLedger) -> None:
    begun.charge(CHARGE, CAPS, NOW)
    begun.released(CHARGE, b"masked", LATER, NOW)
    begun.answer_slot(ANSWER, NOW)
    assert begun.charge(CHARGE, CAPS, NOW).stored == b"masked"


def test_survivors_are_answered_under_the_label_of_the_hospitals_own_release(begun: SqliteLedger) -> None:
    begun.charge(CHARGE, CAPS, NOW)
    assert clause(begun.answer_slot, replace(ANSWER, label="f" * 64), NOW) == "label"
    assert kinds(begun) == ["roster", "charged"]
    begun.answer_slot(ANSWER, NOW)


def test_a_round_is_charged_for_one_label(begun: SqliteLedger) -> None:
    begun.charge(CHARGE, CAPS, NOW)
    assert clause(begun.charge, replace(CHARGE, label="f" * 64), CAPS, NOW) == "label"
    assert begun.charge(CHARGE, CAPS, NOW).repeat


def test_after_a_recovery_no_sum_of_a_study_that_had_begun_is_answered(begun: SqliteLedger) -> None:
    begun.answer_slot(ANSWER, NOW)
    begun.recover(NOW, [], "officer", "disk lost", [], 1e-5)
    for act in (
        (begun.answer_slot, ANSWER, NOW),
        (begun.answer_slot, replace(ANSWER, round=2), NOW),
        (begun.sign_roster, OPERATOR, "tea", TERMS, ROSTER, NOW),
        (begun.charge, replace(CHARGE, round=2), CAPS, NOW),
    ):
        assert clause(*act) == "recovered"
    begun.sign_roster(OPERATOR, "tea", "9" * 64, ROSTER, NOW)


def test_after_a_recovery_a_roster_that_was_lost_is_not_signed_again(ledger: SqliteLedger) -> None:
    """The lost entries may hold a roster, and survivors: what was assumed of a study closes its sums."""
    assumed = Assumed(replace(CHARGE, round=0, weights_digest="", label=""), 12)  # as ``at_worst`` makes it
    ledger.recover(NOW, [], "officer", "disk lost", [assumed], 1e-5)
    assert clause(ledger.sign_roster, OPERATOR, "tea", TERMS, ROSTER, NOW) == "recovered"
    assert ledger.sums_closed(OPERATOR, TERMS)


def test_rosters_and_survivors_stand_under_an_operators_first_key(begun: SqliteLedger) -> None:
    successor = new_key().public
    who = {"reason": "new key", "person": "officer"}
    begun.decide("rotated", NOW, operator=OPERATOR, successor=successor, **who)
    assert clause(begun.sign_roster, OPERATOR, "tea", TERMS, ROSTER, NOW) == "operators"
    assert clause(begun.sign_roster, successor, "tea", TERMS, "f" * 64, NOW) == "roster"
    begun.answer_slot(replace(ANSWER, operator=successor), NOW)
    assert clause(begun.answer_slot, replace(ANSWER, operator=successor, survivors=(1, 2)), NOW) == "slot"


def test_an_operator_that_names_a_head_in_a_sum_must_go_on_naming_one(ledger: SqliteLedger) -> None:
    head = ledger.sign_roster(OPERATOR, "tea", TERMS, ROSTER, NOW)
    assert not ledger.expects_head(OPERATOR)
    ledger.answer_slot(replace(ANSWER, held=head), NOW)
    assert ledger.expects_head(OPERATOR)


def test_stored_answers_go_when_the_terms_expire_and_are_then_never_given_anew(begun: SqliteLedger) -> None:
    begun.answer_slot(ANSWER, NOW)
    assert begun.forget_expired(LATER + timedelta(days=1)) is not None
    assert clause(begun.answer_slot, ANSWER, LATER + timedelta(days=1)) == "answered"
    assert not begun._store._select("SELECT * FROM stored", ())


def test_a_leap_of_the_clock_deletes_nothing(begun: SqliteLedger) -> None:
    begun.answer_slot(ANSWER, NOW)
    with pytest.raises(Refusal):
        begun.answer_slot(replace(ANSWER, round=2), NOW + timedelta(days=4000))
    assert begun.forget_expired(NOW + timedelta(days=4000)) is None
    assert begun.answer_slot(ANSWER, NOW).payload == b"shares"


def test_a_backup_and_an_export_hold_rosters_and_survivors(begun: SqliteLedger, tmp_path: Path) -> None:
    begun.charge(CHARGE, CAPS, NOW)
    begun.released(CHARGE, b"masked", LATER, NOW)
    begun.answer_slot(ANSWER, NOW)
    assert back_up(begun, KEY, tmp_path / "copy").head == begun.head
    assert verify(export(begun.entries()), KEY.public, begun.head).entries == 5
    with closing(sqlite3.connect(tmp_path / "copy")) as database:
        database.execute("UPDATE stored SET payload = x'00' WHERE payload = ?", (b"shares",))
        database.commit()
    with pytest.raises(LedgerError, match="not the one"):
        read_copy(tmp_path / "copy", KEY.public)


@pytest.mark.parametrize("kind", ["roster", "survivors"])
def test_the_database_itself_takes_one_of_each(begun: SqliteLedger, path: Path, kind: str) -> None:
    begun.answer_slot(ANSWER, NOW)
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError):
        database.execute(
            "INSERT INTO entries SELECT (SELECT max(sequence) + 1 FROM entries), kind, body, 'x', signature "
            "FROM entries WHERE kind = ?",
            (kind,),
        )


def test_a_ledger_that_is_older_than_secure_sums_takes_them_in(ledger: SqliteLedger, path: Path) -> None:
    """Its indexes are made with the first entry that needs them; until then the file is what it was."""
    ledger.charge(ALONE, CAPS, NOW)
    query = "SELECT name FROM sqlite_master WHERE type = 'index' AND name IN ('one_roster', 'survivors_once')"
    assert not ledger._store._select(query, ())
    ledger.close()
    ledger = open_ledger(path, KEY, "test")
    ledger.sign_roster(OPERATOR, "tea", TERMS, ROSTER, NOW)
    ledger.answer_slot(replace(ANSWER, round=2), NOW)
    assert len(ledger._store._select(query, ())) == 2
    ledger.close()


DELTA = CAPS.delta
HISTORY = (
    (CHARGE, PrivacyEvent(4.0)),
    (replace(CHARGE, round=2), PrivacyEvent(4.0)),
    (replace(ALONE, study="milk", terms="9" * 64, event=PrivacyEvent(7.0)), PrivacyEvent(7.0)),
    # Another round may have another σ, and so another share.
    (
        replace(CHARGE, round=3, event=PrivacyEvent(12.0), unmasked_noise_multiplier=5.0, operator=OTHER),
        PrivacyEvent(5.0),
    ),
)
"""Charges of three studies, and what each costs if every mask failed."""


def charge_all(ledger: SqliteLedger) -> None:
    for charge, _ in HISTORY:
        ledger.charge(charge, CAPS, NOW)


def composed(*events: PrivacyEvent) -> float:
    return compose_epsilon(events, DELTA)


def test_what_all_studies_come_to_if_every_mask_failed_is_composed_as_epsilon_is(
    ledger: SqliteLedger, path: Path
) -> None:
    """Per study, per operator and for life, over studies with sums and without; the other account stays apart."""
    charge_all(ledger)
    alone = [event for _, event in HISTORY]
    for restarted in (False, True):
        if restarted:
            ledger.close()
            ledger = open_ledger(path, KEY, "test")
        spent = ledger.spent_unmasked
        assert spent("training", DELTA) == composed(*alone)
        assert spent("training", DELTA, operator=OPERATOR) == composed(*alone[:3])
        assert spent("training", DELTA, "tea", OPERATOR) == composed(*alone[:2])
        assert spent("training", DELTA, "milk", OPERATOR) == ledger.spent("training", DELTA, "milk", OPERATOR)
        assert spent("training", DELTA, further=alone[:1]) == composed(*alone, *alone[:1])
        assert spent("held_out", DELTA) == 0
        assert ledger.spent("training", DELTA) == composed(*(charge.event for charge, _ in HISTORY))
    # Both other accountants: the exact one, and one that shares nothing with the primary.
    exact = PLDAccountant()
    for event in alone:
        exact.compose(dp_event.GaussianDpEvent(event.noise_multiplier))
    found = ledger.spent_unmasked("training", DELTA)
    assert exact.get_epsilon(DELTA) - 1e-4 <= found <= exact.get_epsilon(DELTA) + 1e-4
    assert found <= independent_epsilon(alone, DELTA)
    ledger.close()


def test_an_entry_says_both_epsilon_where_a_sum_was_charged_before(ledger: SqliteLedger) -> None:
    ledger.charge(replace(ALONE, study="first", terms="8" * 64), CAPS, NOW)
    charge_all(ledger)
    before, *others = (entry for entry in ledger.entries() if entry.kind == "charged")
    assert not any(name.startswith("epsilon_unmasked") for name in before.fields)
    assert [entry.fields.get("unmasked_noise_multiplier") for entry in others] == [4.0, 4.0, None, 5.0]
    # Of the study without sums too: for life it comes to more.
    assert all(entry.fields["epsilon_unmasked_life"] > entry.fields["epsilon_life"] for entry in others)


def test_an_account_that_states_too_little_without_masks_is_found(ledger: SqliteLedger) -> None:
    charge_all(ledger)
    whole = verify(export(ledger.entries()), KEY.public)
    assert (
        whole.unmasked["training"] == composed(*(event for _, event in HISTORY)) > whole.epsilon["training"]
    )
    *entries, last = ledger.entries()
    for name, wrong in (("life", 0.1), ("life", None)):
        fields = {**last.fields, f"epsilon_unmasked_{name}": wrong}
        if wrong is None:
            fields = {name: value for name, value in fields.items() if "epsilon_unmasked" not in name}
        forged = make_entry("charged", last.sequence, last.time, last.previous, fields, KEY)
        with pytest.raises(LedgerError, match="without masks"):
            verify(export([*entries, forged]), KEY.public)
    bare = {name: value for name, value in last.fields.items() if name != "unmasked_noise_multiplier"}
    with pytest.raises(ConfigurationError, match="unmasked_noise_multiplier"):
        make_entry("charged", last.sequence, last.time, last.previous, bare, KEY)


def test_what_was_assumed_of_a_lost_studys_sums_counts_without_masks_too(ledger: SqliteLedger) -> None:
    event = PrivacyEvent(10.0, 1.0, 12)
    assumed = Assumed(replace(CHARGE, round=0, weights_digest="", label="", event=event), 12)
    ledger.recover(NOW, [], "officer", "disk lost", [assumed], DELTA)
    assert ledger.spent_unmasked("training", DELTA) == composed(PrivacyEvent(4.0, 1.0, 12))


def test_a_rotated_key_and_joined_accounts_add_up_without_masks_too(ledger: SqliteLedger) -> None:
    successor = new_key().public
    ledger.charge(CHARGE, CAPS, NOW, known_by=KnownBy("1" * 64, "text"))
    ledger.decide("rotated", NOW, operator=OPERATOR, successor=successor, reason="new key", person="officer")
    ledger.charge(replace(CHARGE, round=2, operator=successor), CAPS, NOW)
    assert ledger.spent_unmasked("training", DELTA, operator=successor) == composed(PrivacyEvent(4.0, 1.0, 2))
    tables = replace(CHARGE, round=2, account="held_out", operator=successor)
    ledger.charge(tables, CAPS, NOW, known_by=KnownBy("2" * 64, "text"))
    both = composed(PrivacyEvent(4.0, 1.0, 3))
    assert ledger.spent_unmasked("training", DELTA) == ledger.spent_unmasked("held_out", DELTA) == both
