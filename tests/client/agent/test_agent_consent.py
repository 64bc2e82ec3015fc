"""Whoever opted out is not in the next round, without a restart (rule 8); features are kept warm between."""

import os
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from wardround.client.agent.agent import Agent
from wardround.client.agent.warm import WarmFeatures
from wardround.client.connectors.withdrawals import WITHDRAWALS, Withdrawal, WithdrawalList
from wardround.protocol.privacy.randomness import Keystream, derive_key

NOON = datetime(2024, 6, 10, 12, tzinfo=UTC)
PATIENT = 33  # a training patient with topics of their own, and no more than K events
NAME, OTHER_NAME = f"patient-{PATIENT}", "patient-34"


@pytest.fixture
def bare(make_hospital, terms_with, monkeypatch):
    """Hospitals without noise, with the same draw of patients in every round, at a clock that the test sets."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    monkeypatch.setattr(
        "wardround.client.train.patient_optimizer.add_noise", lambda sums, stddev, streams: sums
    )
    monkeypatch.setattr("wardround.client.agent.agent.fresh_keystream", lambda: Keystream(derive_key("test")))
    clock = [NOON]
    monkeypatch.setattr(Agent, "_now", lambda self: clock[0])

    def make(name, **changes):
        terms = terms_with(training={"sampling_rate": 0.9}, noise_multiplier=20.0, **changes)
        hospital = make_hospital(name)
        hospital.begin_ledger(NOON - timedelta(days=9))
        hospital.terms = terms
        hospital.approve()
        return hospital

    make.clock = clock
    return make


def sums(hospital, number):
    weights = np.linspace(-0.3, 0.3, len(hospital.plan().weights)).astype(np.float32)
    return hospital.released(number, weights=weights, lives=timedelta(days=9999)).release.vector.astype(float)


def same(one, other):
    return np.linalg.norm(one - other) <= 1e-6 * np.linalg.norm(other)


def without(table, **cells):
    return table.filter(~pl.all_horizontal(pl.col(name) == value for name, value in cells.items()))


def changed(table, column, text, **cells):
    chosen = pl.all_horizontal(pl.col(name) == cell for name, cell in cells.items())
    return table.with_columns(pl.when(chosen).then(pl.lit(text)).otherwise(pl.col(column)).alias(column))


def test_whoever_opts_out_between_two_rounds_was_never_there_in_the_next(bare, tables_of):
    hospital, tables = bare("north"), tables_of()
    before = sums(hospital, 1)
    assert same(sums(hospital, 2), before)
    consents = changed(tables["consents"], "withdrawn_at", "2024-06-10 11:00", patient=NAME, kind="purpose")
    hospital.write_tables({"consents": consents})
    after = sums(hospital, 3)
    never = bare("never")
    never.write_tables({name: without(table, patient=NAME) for name, table in tables.items()})
    assert same(after, sums(never, 1))
    assert not same(after, before)


def test_a_withdrawn_topic_was_never_there_in_the_next_round(bare, tables_of):
    hospital, tables = bare("north"), tables_of()
    before = sums(hospital, 1)
    topic = {"patient": NAME, "kind": "topic", "value": "maternity"}
    hospital.write_tables({"consents": changed(tables["consents"], "withdrawn_at", "2024-06-09", **topic)})
    after = sums(hospital, 2)
    never = bare("never")
    never.write_tables({**tables, "messages": without(tables["messages"], patient=NAME, topic="maternity")})
    assert same(after, sums(never, 1))
    assert not same(after, before)


def test_a_damaged_row_of_the_consents_withdraws_all_whom_it_may_name(bare, tables_of):
    """The row has a field too many: its identifier is the first field, or the second."""
    hospital, tables = bare("north"), tables_of()
    before = sums(hospital, 1)
    path = hospital.folder / "consents.csv"
    given = path.read_text()
    path.write_text(f"{given}{OTHER_NAME},{NAME.upper()},purpose,engagement,2023-01-01,,2999-01-01\n")
    after = sums(hospital, 2)
    alone = []
    for number, gone in enumerate(([NAME, OTHER_NAME], [NAME], [OTHER_NAME])):
        never = bare(f"never-{number}")
        kept = {name: table.filter(~pl.col("patient").is_in(gone)) for name, table in tables.items()}
        never.write_tables(kept)
        alone.append(sums(never, 1))
    assert same(after, alone[0])
    assert not any(same(after, other) for other in (before, *alone[1:]))
    path.write_text(f'{given}{NAME},"purpose,engagement,2023-01-01,,\n')
    assert same(sums(hospital, 3), alone[1])
    path.write_text(given)
    assert same(sums(hospital, 4), before)


def test_a_refusal_taken_down_here_is_heard_at_the_next_computation_and_charged_to_nobody(bare, tables_of):
    """However the identifier is spelt; who refuses contact alone is still learned from."""
    hospital, tables = bare("north"), tables_of()
    before = sums(hospital, 1)
    spent = hospital.epsilon
    words = {"why": "refusal", "at": NOON, "consent": "learn"}
    taken_down = WithdrawalList(hospital.folder / WITHDRAWALS)
    taken_down.add([Withdrawal(patient=f"PATIENT {PATIENT:03d}", **words)])
    taken_down.add([Withdrawal(patient=OTHER_NAME, **{**words, "consent": "contact"})])
    assert hospital.epsilon == spent
    after = sums(hospital, 2)
    never = bare("never")
    never.write_tables({name: without(table, patient=NAME) for name, table in tables.items()})
    assert same(after, sums(never, 1))
    assert not same(after, before)


def test_a_list_of_withdrawals_that_cannot_be_read_yields_noise_and_not_everybody(bare):
    hospital = bare("north")
    before = sums(hospital, 1)
    (hospital.folder / WITHDRAWALS).write_bytes(b"lost")
    assert np.linalg.norm(before) > 0
    assert not sums(hospital, 2).any()


def test_a_consent_that_expires_within_the_day_is_out_of_the_next_round(bare, tables_of):
    hospital, tables = bare("north"), tables_of()
    until = changed(tables["consents"], "expires_at", "2024-06-10 15:00", patient=NAME, kind="purpose")
    hospital.write_tables({"consents": until})
    settle(hospital)
    before = sums(hospital, 1)
    bare.clock[0] = NOON + timedelta(hours=3)
    after = sums(hospital, 2)
    never = bare("never")
    never.write_tables({name: without(table, patient=NAME) for name, table in tables.items()})
    assert same(after, sums(never, 1))
    assert not same(after, before)


def test_an_event_past_retention_is_out_of_the_next_round(bare, tables_of):
    days = 145  # on 10 June back to 18 January, a day later to the 19th
    contract = {"contract": {"retention_days": days}}
    hospital, tables = bare("north", **contract), tables_of()
    settle(hospital)
    before = sums(hospital, 1)
    bare.clock[0] = NOON + timedelta(days=1)
    after = sums(hospital, 2)
    never = bare("never", contract={})
    oldest = f"{bare.clock[0] - timedelta(days=days):%F %T}"
    never.write_tables({**tables, "messages": tables["messages"].filter(pl.col("decided") >= oldest)})
    assert same(after, sums(never, 1))
    assert not same(after, before)


def test_a_clock_set_back_brings_no_consent_back(bare, tables_of):
    hospital, tables = bare("north"), tables_of()
    until = changed(tables["consents"], "expires_at", "2024-06-10 15:00", patient=NAME, kind="purpose")
    hospital.write_tables({"consents": until})
    bare.clock[0] = NOON + timedelta(hours=4)
    after = sums(hospital, 1)
    bare.clock[0] = NOON
    assert same(sums(hospital, 2), after)


# ---- warm features ----


def settle(hospital):
    """Date the files back, as those of a hospital that exports once a night."""
    for path in hospital.folder.glob("*.csv"):
        os.utime(path, (time.time() - 3600, time.time() - 3600))


@pytest.fixture
def readings(monkeypatch):
    """Count how often tables are read and encoded."""
    made, make = [], WarmFeatures._make

    def counted(self, *arguments):
        made.append(arguments)
        return make(self, *arguments)

    monkeypatch.setattr(WarmFeatures, "_make", counted)
    return made


def test_features_are_made_once_while_nothing_changes(bare, readings):
    hospital = bare("north")
    settle(hospital)
    for number in (1, 2, 3):
        sums(hospital, number)
    assert len(readings) == 1


@pytest.mark.parametrize("table", ["messages", "patients", "consents"])
def test_features_are_made_anew_when_a_table_changes(bare, readings, table):
    hospital = bare("north")
    settle(hospital)
    sums(hospital, 1)
    path = hospital.folder / f"{table}.csv"
    path.write_bytes(path.read_bytes())  # same size, same bytes: times alone show it
    settle(hospital)
    sums(hospital, 2)
    assert len(readings) == 2


def test_features_are_made_anew_on_another_day_and_for_another_contract(bare, readings, terms_with):
    hospital = bare("north")
    settle(hospital)
    sums(hospital, 1)
    bare.clock[0] += timedelta(hours=13)
    sums(hospital, 2)
    other = terms_with(contract={"events_per_patient": 2}, noise_multiplier=20.0)
    hospital.approve(other)
    hospital.terms = other
    sums(hospital, 1)
    assert len(readings) == 3


def test_files_that_were_just_written_are_read_again(bare, readings, monkeypatch):
    # A second change within the file system's tick would leave no trace. "Just" is an hour here: machines are slow.
    monkeypatch.setattr("wardround.client.agent.warm._SETTLED_NANOSECONDS", 3_600_000_000_000)
    hospital = bare("north")
    sums(hospital, 1)
    sums(hospital, 2)
    assert len(readings) == 2


def test_databases_are_read_for_every_round(bare, readings, monkeypatch):
    hospital = bare("north")
    settle(hospital)
    monkeypatch.setattr("wardround.client.agent.warm.stamp_of", lambda source: ())
    sums(hospital, 1)
    sums(hospital, 2)
    assert len(readings) == 2
