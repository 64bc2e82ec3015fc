"""An approved study gets its reply whatever the tables hold, and the reply tells nothing of them."""

import os
import re
import weakref

import numpy as np
import polars as pl
import pytest

import wardround.client.round.participate
from wardround.client.home.round_log import RoundLog
from wardround.client.ledger.verify import export
from wardround.protocol.errors import TableAway
from wardround.protocol.wire.envelope import decode_answer


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

    monkeypatch.setattr("wardround.client.train.update.clipped_sums", fail)


def no_memory(hospital, tables, monkeypatch):
    def fail(*arguments, **settings):
        raise MemoryError

    monkeypatch.setattr("wardround.client.agent.warm.encode", fail)


def dates_beyond_the_calendar(hospital, tables, monkeypatch):
    """A Parquet file whose days polars panics on: a BaseException (``pl.exceptions.PanicException``)."""
    days = pl.Series("decided", [2**31 - 1] * len(tables["messages"]), pl.Int32).cast(pl.Date)
    tables["messages"].with_columns(decided=days).write_parquet(hospital.folder / "messages.parquet")
    settings = hospital.folder / "hospital.yaml"
    settings.write_text(settings.read_text().replace("messages.csv", "messages.parquet"))
    hospital.stop()

    def panic(*arguments):
        return pl.Series([2**31 - 1]).cast(pl.Int32).cast(pl.Date).cast(pl.Datetime("us"))

    monkeypatch.setattr(
        "wardround.client.agent.warm.admit", panic
    )  # whether or not the gate asks for it in this way today


def panic_in_training(hospital, tables, monkeypatch):
    class PanicException(BaseException):
        """As pyo3 makes them."""

    def fail(model, layout, weights, cohort, clip_norm, **settings):
        if cohort.patient_count:
            raise PanicException("MARK-inside-training")
        return np.zeros((1, weights.shape[1]))

    monkeypatch.setattr("wardround.client.train.update.clipped_sums", fail)


FAULTS = (
    no_messages, missing_file, missing_column, no_table, empty_file, error_in_training, no_memory,
    dates_beyond_the_calendar, panic_in_training,
)  # fmt: skip


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
    assert 0 < np.abs(vector).max() < 8 * approved.terms.hospital_noise_stddev(1)
    assert len(approved.entries("charged")) == len(approved.entries("released")) == 2
    lines = RoundLog(approved.folder / "rounds.jsonl").read()
    assert [bool(one.fault) for one in lines] == [
        False,
        fault is not no_messages,
    ]  # an empty table is no fault
    assert "MARK" not in caplog.text + lines[1].fault


@pytest.mark.parametrize("size", [3e38, 1e30, -3e38])
def test_weights_crafted_to_overflow_get_their_reply(approved, size):
    weights = np.full_like(approved.plan().weights, size)
    weights[::2] *= -1
    vector = approved.released(weights=weights).release.vector
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) < 41 + 8 * approved.terms.hospital_noise_stddev(1) * len(vector) ** 0.5
    assert len(approved.entries("charged")) == 1


def test_weights_that_are_not_finite_are_no_plan(approved, monkeypatch):
    for number in (np.nan, np.inf):
        with monkeypatch.context() as signing:  # our own encoder would refuse to sign them
            signing.setattr("wardround.protocol.wire.wire._check_finite", lambda *arguments: None)
            poisoned = approved.request(weights=np.full_like(approved.plan().weights, number))
        assert decode_answer(approved.agent.answer(poisoned).payload).clause == "plan"
        other = approved.request()[:-4] + np.float32(number).tobytes()
        assert decode_answer(approved.agent.answer(other).payload).clause == "signature"


def test_a_database_that_is_away_makes_the_hospital_late_and_the_same_plan_computes_later(
    approved, monkeypatch
):
    request = approved.request()
    with monkeypatch.context() as away:

        def fail(*arguments):
            raise TableAway("messages: does not answer")

        away.setattr("wardround.client.agent.warm.read_tables", fail)
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


def test_a_hospital_that_is_late_hangs_up_at_the_delay_too(approved, monkeypatch):
    def fail(*arguments):
        raise TableAway("messages: does not answer")

    monkeypatch.setattr("wardround.client.agent.warm.read_tables", fail)
    reply = approved.agent.answer(approved.request())
    assert (reply.payload, reply.delay_seconds) == (None, approved.terms.reply_delay_seconds)


def test_terms_with_a_shorter_delay_than_the_policys_are_refused_and_cost_nothing(approved, terms_with):
    approved.write_policy(min_reply_delay_seconds=2.5)
    assert approved.clause(1) == "min_reply_delay_seconds"
    assert approved.epsilon == 0
    approved.write_policy(min_reply_delay_seconds=2)
    approved.released(1)


def test_a_policy_that_says_nothing_of_the_delay_asks_for_two_seconds(hospital, terms_with):
    text = (hospital.folder / "policy.yaml").read_text()
    kept = [line for line in text.splitlines() if "min_reply_delay_seconds" not in line]
    (hospital.folder / "policy.yaml").write_text("\n".join(kept))
    quick = terms_with(reply_delay_seconds=1.9)
    hospital.approve(quick)
    assert hospital.clause(1, quick) == "min_reply_delay_seconds"


def test_only_a_turn_that_read_tables_ends_at_a_whole_delay_of_the_policy(approved, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "wardround.client.agent.turn.due_at", lambda taken, now, delay: asked.append(delay) or now
    )
    approved.write_policy(min_reply_delay_seconds=2)
    approved.released(1)
    approved.released(1)  # the stored bytes: no table is read
    approved.clause(20)
    with monkeypatch.context() as away:

        def fail(*arguments):
            raise TableAway("messages: does not answer")

        away.setattr("wardround.client.agent.warm.read_tables", fail)
        assert approved.agent.answer(approved.request(2)).payload is None
    (approved.folder / "messages.csv").unlink()
    approved.released(3)  # noise alone
    assert asked == [2, 0, 0, 2, 2]


def test_what_stops_the_process_is_no_fault_of_a_table(approved, monkeypatch):
    for stop in (KeyboardInterrupt, SystemExit):

        def fail(*arguments, stop=stop):
            raise stop

        monkeypatch.setattr("wardround.client.agent.warm.read_tables", fail)
        with pytest.raises(stop):
            approved.agent.answer(approved.request(1))
    assert not approved.entries("released")
    monkeypatch.undo()


def test_noise_alone_is_computed_when_the_tables_have_left_the_memory(approved, monkeypatch):
    """A table that does not fit must leave room for the noise: nothing of the fault is held meanwhile."""
    held = []

    class Table:
        """Stands for what was read."""

    def fail(*arguments, **settings):
        table = Table()
        held.append(weakref.ref(table))
        raise MemoryError

    no_patients = wardround.client.round.participate.no_patients

    def looked(*arguments):
        held.append(held[0]())
        return no_patients(*arguments)

    monkeypatch.setattr("wardround.client.agent.warm.admit", fail)
    monkeypatch.setattr("wardround.client.round.participate.no_patients", looked)
    approved.released(1)
    assert held[1] is None


MARKS = ("MARKPATIENT", "MARKVALUE", "31337", "1987-06-05")


def marked(frame, every):
    """The frame with every so many cells replaced by a mark."""
    rows = [
        [MARKS[(r + c) % len(MARKS)] if (r + c) % every == 0 else cell for c, cell in enumerate(row)]
        for r, row in enumerate(frame.rows())
    ]
    return pl.DataFrame(rows, frame.schema, orient="row")


def test_nothing_personal_in_logs_errors_ledger_release_or_folder(approved, tables_of, monkeypatch, caplog):
    caplog.set_level(0)
    tables, written = tables_of(), []
    rounds = iter(range(1, 13))
    for table in tables:
        for every in (1, 3):
            approved.write_tables({**tables, table: marked(tables[table], every)})
            written.append(approved.agent.answer(approved.request(next(rounds))).payload)
    approved.write_tables({table: marked(frame, 2) for table, frame in tables.items()})
    for fault in (missing_column, error_in_training, no_memory, no_table):
        with monkeypatch.context() as broken:
            fault(approved, {table: marked(frame, 2) for table, frame in tables.items()}, broken)
            written.append(approved.agent.answer(approved.request(next(rounds))).payload)
    assert len(approved.entries("released")) == len(written) == 10
    written += [bytes(export(approved.agent._ledger.entries())), caplog.text.encode()]
    written += [
        path.read_bytes() for path in approved.folder.rglob("*") if path.is_file() and path.suffix != ".csv"
    ]
    found = [re.search("|".join(MARKS).encode(), content) for content in written]
    assert not any(found)
    assert re.search(MARKS[0].encode(), (approved.folder / "consents.csv").read_bytes())
