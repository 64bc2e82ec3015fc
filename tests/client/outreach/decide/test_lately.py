"""Who says something while an export runs is seen; a list of withdrawals that is lost meanwhile ends it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardround.client.connectors.patient_form import AS_WRITTEN
from wardround.client.connectors.withdrawals import WITHDRAWALS, Withdrawal, WithdrawalList
from wardround.client.connectors.withdrawals_head import head_beside
from wardround.client.outreach.decide.lately import SaidLately
from wardround.protocol.errors import TableError

STOP = Withdrawal(patient="P-1", consent="all", why="stop", at=datetime(2026, 6, 1, tzinfo=UTC), record="a")
NEXT = replace(STOP, patient="P-2", record="b")


@pytest.fixture
def kept(tmp_path: Path) -> WithdrawalList:
    kept = WithdrawalList(tmp_path / WITHDRAWALS)
    kept.add([STOP])
    return kept


def lately(kept: WithdrawalList) -> SaidLately:
    return SaidLately(kept, kept.standing(), {"one": "P-1", "two": "P-2"}, AS_WRITTEN, None)


def test_only_what_is_new_since_the_export_began_counts_as_said_lately(kept: WithdrawalList) -> None:
    said = lately(kept)
    assert said.tokens() == frozenset()
    kept.add([NEXT])
    assert said.tokens() == {"two"}
    # Who says yes again is no loss of a line.
    kept.add([replace(STOP, why="again", record="")])
    assert said.tokens() == {"two"}


def test_an_export_without_a_list_looks_for_one(tmp_path: Path) -> None:
    kept = WithdrawalList(tmp_path / WITHDRAWALS)
    said = lately(kept)
    assert said.tokens() == frozenset()
    kept.add([NEXT])
    assert said.tokens() == {"two"}


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("head_too", [False, True])
def test_a_list_that_is_removed_while_an_export_runs_ends_it(
    kept: WithdrawalList, looked: bool, head_too: bool
) -> None:
    """Before the first look, or after one; and where what names its newest line goes with it."""
    said = lately(kept)
    if looked:
        said.tokens()
    kept.path.unlink()
    if head_too:
        head_beside(kept.path).unlink()
    for _ in range(2):
        with pytest.raises(TableError, match=f"withdrawals={kept.path}"):
            said.tokens()


def test_an_older_copy_that_is_put_back_while_an_export_runs_ends_it(kept: WithdrawalList) -> None:
    older, head = kept.path.read_bytes(), head_beside(kept.path).read_bytes()
    kept.add([NEXT])
    said = lately(kept)
    kept.path.write_bytes(older)
    head_beside(kept.path).write_bytes(head)
    with pytest.raises(TableError, match="lost lines"):
        said.tokens()
