"""Plans that come at once, disks that take no entry, ledgers put back or altered."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.lock_holder import held_by_another
from wardround.client.agent.agent import Agent
from wardround.client.home.home import load_home
from wardround.client.ledger.verify import export, verify
from wardround.protocol.errors import LedgerError
from wardround.protocol.wire.envelope import decode_answer
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.wire import encode_release


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
    assert approved.epsilon == 0.0
    approved.released()


def test_a_command_that_was_stopped_while_it_wrote_to_the_ledger_refuses_and_holds_nobody_for_ever(
    approved, monkeypatch
):
    """The agent, and with it every study, waited for whoever had pressed Ctrl-Z at the wrong moment."""
    monkeypatch.setattr("wardround.protocol.turns.MOMENT_SECONDS", 0.1)
    approved.released(1)
    with held_by_another(approved.folder):
        assert approved.clause(2) == "ledger"
    assert len(approved.entries("charged")) == 1
    approved.released(2)


def take_back(hospital, kind):
    """Decide in another process's ledger, as ``decline`` and ``operators revoke`` do."""
    with closing(load_home(hospital.folder).open_ledger()) as ledger:
        fields = {"operator": hospital.operator.public, "reason": "no", "person": "officer"}
        if kind == "declined":
            fields |= {"study": hospital.terms.study, "terms": hospital.terms.fingerprint}
        ledger.decide(kind, datetime.now(UTC), **fields)


@pytest.mark.parametrize(("kind", "clause"), [("declined", "approval"), ("revoked", "operators")])
@pytest.mark.parametrize(("place", "charged"), [("_ready", 0), ("_admit", 1)])
def test_what_a_person_takes_back_while_a_plan_is_answered_leaves_nothing(
    approved, monkeypatch, kind, clause, place, charged
):
    """The policy is asked first; checking a model takes seconds, tables minutes, and a stopped agent any time."""
    goes_on = getattr(Agent, place)

    def after_a_while(agent, *arguments):
        take_back(approved, kind)
        return goes_on(agent, *arguments)

    with monkeypatch.context() as slow:
        slow.setattr(Agent, place, after_a_while)
        assert approved.clause() == clause
    assert len(approved.entries("charged")) == charged
    assert approved.entries("released") == []
    if kind == "declined":
        approved.approve()
        approved.released()
        assert len(approved.entries("charged")) == 1  # what was charged is computed once more, for nothing


def test_who_is_taken_out_of_the_policy_while_a_plan_is_answered_gets_nothing(approved, monkeypatch):
    goes_on = Agent._admit

    def after_a_while(agent, *arguments):
        approved.write_policy(operators={"another": new_key().public})
        return goes_on(agent, *arguments)

    with monkeypatch.context() as slow:
        slow.setattr(Agent, "_admit", after_a_while)
        assert approved.clause() == "operators"
    approved.write_policy()
    approved.released()
    assert len(approved.entries("charged")) == 1


def test_an_altered_ledger_refuses(approved):
    approved.released(1)
    approved.stop()
    with sqlite3.connect(approved.folder / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER never_updated")
        database.execute("UPDATE entries SET body = replace(body, '\"round\":1', '\"round\":2')")
    database.close()
    with pytest.raises(LedgerError):
        approved.agent  # noqa: B018
