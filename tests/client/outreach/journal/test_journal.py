"""The journal: whole changes or none, moves that the states allow, nothing twice, for its owner alone, forgotten."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product

import polars as pl
import pytest

from tests.builders import ROOT
from tests.client.outreach.decide.outreach_home import fill_disk
from wardround.client.gate.keyed_hash import JOURNAL, STAFF
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.records import as_text, as_time
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.journal.states import MOVES, STATES
from wardround.client.outreach.journal.tokens import token_of, tokens
from wardround.protocol.errors import ConfigurationError

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


def proposed(*names: str, **changes: object) -> pl.DataFrame:
    """Give rows for these tokens, as ``propose`` writes them."""
    row = dict.fromkeys(PROPOSAL_COLUMNS, "") | {
        "recipient": "patient", "trigger": "visit", "occasion": "2026-12-05", "module": "visit.en",
        "send_after": as_text(NOW), "send_before": as_text(NOW + timedelta(hours=3)), "propensity": 1.0,
        "made_at": as_text(NOW), "stands_on": '{"contact":"consents"}', "reasons": '["a visit"]', "options": "[]",
    } | changes  # fmt: skip
    return pl.DataFrame([row | {"token": name} for name in names], orient="row")


def nothing_held() -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String))


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "outreach.sqlite") as one:
        yield one


def test_what_is_written_is_read_back(journal):
    held = pl.DataFrame([("c", "visit", "x", "veto", "inpatient", as_text(NOW))], HELD_COLUMNS, orient="row")
    assert journal.propose(proposed("a", "b"), held) == 2
    one, other = journal.proposals()
    assert (one.token, one.state, one.send_after, one.reasons) == ("a", "proposed", NOW, ["a visit"])
    assert other.stands_on == {"contact": "consents"}
    assert journal.held().equals(held)
    assert journal.counts()["proposed"] == 2
    assert journal.frame(("id", "token", "propensity")).rows() == [(1, "a", 1.0), (2, "b", 1.0)]
    assert [p.token for p in journal.proposals(ids=[2])] == ["b"]
    assert [p.token for p in journal.proposals(token="a")] == ["a"]
    assert as_time(as_text(NOW)) == NOW


def test_the_same_occasion_is_proposed_once_until_it_is_void(journal):
    assert journal.propose(proposed("a"), nothing_held()) == 1
    assert journal.propose(proposed("a", "b"), nothing_held()) == 1
    journal.move([1], "void", person="propose", reason="its time passed", at=NOW)
    assert journal.propose(proposed("a"), nothing_held()) == 1


def test_a_proposal_moves_only_as_the_states_allow(journal):
    cases = dict(enumerate(product(STATES, STATES), 1))
    journal.propose(proposed(*map(str, cases)), nothing_held())
    for step in ("approved", "exporting", "exported", "held", "refused", "void"):
        through = {"approved": ("approved", "exporting", "exported"), "exporting": ("exporting", "exported")}
        ids = [one for one, (state, _) in cases.items() if state in through.get(step, (step,))]
        assert journal.move(ids, step, person="Ida", reason="r", at=NOW) == tuple(ids)
    for other in STATES:
        before = len(journal.decisions())
        ids = [one for one, case in cases.items() if case[1] == other]
        moved = journal.move([*ids, *ids, 99], other, person="Grace", reason="why", at=NOW)
        assert moved == tuple(one for one in ids if other in MOVES[cases[one][0]])
        assert len(journal.decisions()) == before + len(moved)
    states = {one.id: one.state for one in journal.proposals()}
    assert states == {one: other if other in MOVES[state] else state for one, (state, other) in cases.items()}
    assert {one.person for one in journal.decisions(2)} == {"Grace"}


def test_nothing_leaves_the_states_that_are_final():
    assert MOVES["exported"] == MOVES["void"] == frozenset()


def test_a_change_that_fails_in_its_middle_is_no_change(journal):
    broken = pl.concat([proposed("a"), proposed("b").with_columns(trigger=pl.lit(None, pl.String))])
    with pytest.raises(ConfigurationError, match="nothing was changed"):
        journal.propose(
            broken,
            nothing_held().vstack(pl.DataFrame([[None] * 6], HELD_COLUMNS, orient="row").cast(pl.String)),
        )
    assert journal.counts()["proposed"] == 0


def test_a_full_disk_is_named_and_what_belongs_together_is_not_half_done(journal):
    """It said: cannot rollback - no transaction is active."""
    journal.propose(proposed("a"), nothing_held())
    fill_disk(journal.path)

    def replace() -> None:
        with journal.together():
            journal.move([1], "void", person="Ida", reason="another text", at=NOW)
            journal.propose(proposed("a"), nothing_held())

    with pytest.raises(ConfigurationError, match="disk is full"):
        replace()
    assert (journal.counts()["proposed"], journal.decisions()) == (1, ())
    assert journal.move([1], "held", person="Ida", reason="r", at=NOW) == (1,)  # it goes on


def test_the_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "outreach.sqlite"
    with closing(Journal(path)):
        assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Journal(path)


def test_a_file_of_another_form_is_refused(tmp_path):
    path = tmp_path / "outreach.sqlite"
    Journal(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigurationError, match="form 7"):
        Journal(path)
    path.write_bytes(b"no database" * 500)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Journal(path)


def test_what_is_over_is_purged_after_its_days_and_open_proposals_stay(journal):
    old = as_text(NOW - timedelta(days=91))
    journal.propose(proposed("a", "b", made_at=old), nothing_held())
    journal.propose(proposed("c"), nothing_held())
    journal.move([1], "refused", person="Ida", reason="r", at=NOW)
    assert journal.purge(NOW - timedelta(days=90)) == 1
    assert [one.token for one in journal.proposals()] == ["b", "c"]
    assert journal.decisions() == ()


def test_who_opts_out_is_forgotten_down_to_the_bytes(journal, tmp_path):
    name, other = "f" * 32, "e" * 32
    held = pl.DataFrame([(name, "visit", "x", "contact", "no", as_text(NOW))], HELD_COLUMNS, orient="row")
    journal.propose(proposed(name, other), held)
    assert journal.forget([name]) == 1
    assert journal.held().is_empty()
    journal.close()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert name.encode() not in left
    assert other.encode() in left


def test_what_is_being_exported_is_not_forgotten_for_it_may_have_left(journal):
    journal.propose(proposed("a"), nothing_held())
    for state in ("approved", "exporting"):
        journal.move([1], state, person="Ida", reason="r", at=NOW)
    assert journal.forget(["a"]) == 0


def test_an_export_is_written_once_for_each_proposal(journal):
    journal.propose(proposed("a"), nothing_held())
    journal.write_exports({1: "0" * 64}, "letters", "begun", NOW)
    journal.write_exports({1: "1" * 64}, "letters", "done", NOW)
    assert journal.exports().rows() == [(1, as_text(NOW), "letters", "done", "1" * 64)]


def test_tokens_of_two_uses_have_nothing_in_common():
    key = bytes(range(32))
    names = pl.Series(["P1", "P2", None])
    found = [tokens(names, key, use).to_list() for use in (JOURNAL, STAFF)]
    assert [one[2] for one in found] == [None] * 2
    assert len({text for one in found for text in one[:2]}) == 4
    assert token_of("P1", key) == found[0][0]
    assert token_of("P1", bytes(32)) != found[0][0]


_KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.client.outreach.journal.test_journal import NOW, nothing_held, proposed
from wardround.client.outreach.journal import journal as module
one = module.Journal(module.Path({path!r}))
real, steps = one._db, {step}
class Counted:
    def __getattr__(self, name):
        call = getattr(real, name)
        if not callable(call):
            return call
        def counted(*arguments):
            global steps
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)
        return counted
one._db = Counted()
{act}
"""
_ACTS = {
    "propose": 'one.propose(proposed("b", "c"), nothing_held())',
    "move": 'one.move([1], "approved", person="Ida", reason="r", at=NOW)',
    "forget": 'one.forget(["a"])',
}


@pytest.mark.slow
@pytest.mark.parametrize("act", sorted(_ACTS))
def test_a_kill_at_each_step_leaves_all_of_a_change_or_nothing(tmp_path, act):
    """SIGKILL before each statement, until the act ends by itself."""
    seen = set()
    for step in range(20):
        path = tmp_path / f"{step}.sqlite"
        with Journal(path) as journal:
            journal.propose(proposed("a"), nothing_held())
        program = _KILLED.format(root=str(ROOT), path=str(path), step=step, act=_ACTS[act])
        ended = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, timeout=120, check=False, env=os.environ
        )
        with Journal(path) as journal:
            state = (tuple((p.token, p.state) for p in journal.proposals()), len(journal.decisions()))
        seen.add(state)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    before = ((("a", "proposed"),), 0)
    after = {
        "propose": ((("a", "proposed"), ("b", "proposed"), ("c", "proposed")), 0),
        "move": ((("a", "approved"),), 1),
        "forget": ((), 0),
    }[act]
    assert seen == {before, after}
