"""The journal is emptied of what its days are over for, though nobody proposes: by a look at it, and by the alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client.outreach.decide.outreach_home import IDA, Run
from wardround.client.alerts.looks import TABLES_SECONDS, Looks
from wardround.client.ledger.clock import MOST_AHEAD
from wardround.client.outreach.forgetting import forget_old
from wardround.client.outreach.journal.journal import open_journal

NOW = datetime.now(UTC)


def count(outreach: Any) -> int:
    with open_journal(outreach.folder) as journal:
        return len(list(journal.proposals()))


def make_older(outreach: Any, days: int) -> None:
    """Move what is kept so many days back."""
    with open_journal(outreach.folder) as journal:
        for column in ("made_at", "send_after", "send_before"):
            journal._db.execute(
                f"UPDATE proposals SET {column} = strftime('%Y-%m-%dT%H:%M:%SZ', {column}, '-{days} days')"  # noqa: S608
            )


@pytest.mark.parametrize("settings", ["as it is", "removed"])
def test_a_hospital_that_stopped_proposing_forgets_all_the_same(
    settings: str, outreach: Any, run_outreach: Run
) -> None:
    run_outreach("refuse", "--ids", "1", *IDA)
    make_older(outreach, 80)
    run_outreach("queue")
    assert count(outreach) == 12
    make_older(outreach, 30)
    if settings == "removed":
        (outreach.folder / "outreach.yaml").unlink()
    run_outreach("queue")
    assert count(outreach) == 0  # also the eleven that nobody decided


def test_what_may_have_left_and_what_is_still_to_come_stay(outreach: Any) -> None:
    make_older(outreach, 200)
    with open_journal(outreach.folder) as journal:
        for state in ("approved", "exporting"):
            journal.move([1], state, person="Ida", reason="r", at=NOW)
        journal._db.execute("UPDATE proposals SET send_before = '2099-01-01T00:00:00Z' WHERE id = 2")
        forget_old(outreach.folder, journal, NOW, NOW)
        assert [one.id for one in journal.proposals()] == [1, 2]


def test_the_alerts_forget_where_nobody_runs_outreach_any_more(outreach: Any) -> None:
    seconds = [0.0]
    looks = Looks(outreach.folder, lambda home: [], clock=lambda: seconds[0])
    looks()
    make_older(outreach, 120)
    seconds[0] = TABLES_SECONDS - 1
    looks()
    assert count(outreach) == 12
    seconds[0] += 1
    looks()
    assert count(outreach) == 0


def test_a_clock_that_leaps_and_settings_that_cannot_be_read_delete_nothing(outreach: Any) -> None:
    with open_journal(outreach.folder) as journal:
        assert forget_old(outreach.folder, journal, NOW + MOST_AHEAD + timedelta(days=1), NOW) == 0
        (outreach.folder / "outreach.yaml").write_text("keep_days: [")
        assert forget_old(outreach.folder, journal, NOW + timedelta(days=300), NOW) == 0
        (outreach.folder / "outreach.yaml").unlink()
        assert forget_old(outreach.folder, journal, NOW + timedelta(days=300), NOW) == 12


def test_a_clock_that_is_ahead_for_a_moment_forgets_nothing(outreach: Any) -> None:
    """A machine that began a year ahead forgot what was sent; right again, all of it was due once more."""
    day = timedelta(days=1)
    with open_journal(outreach.folder) as journal:
        for days in (0, 1, 365, 365, 1, 365, 2):
            assert forget_old(outreach.folder, journal, NOW + days * day, NOW) == 0
        # Right for a long time, and looked at seldom: nothing is kept for longer than one look more.
        assert forget_old(outreach.folder, journal, NOW + 200 * day, NOW) == 0
        assert forget_old(outreach.folder, journal, NOW + 230 * day, NOW) == 12


def test_a_real_leap_of_the_clock_sends_no_message_twice(
    outreach: Any, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run of ``propose`` deleted by its own clock, whatever the ledger said of it."""
    run_outreach("queue")
    ahead = NOW + MOST_AHEAD + timedelta(days=100)
    with monkeypatch.context() as wrong:
        wrong.setattr("wardround.client.commands.outreach_propose.proposed_at", lambda *_: ahead)
        code, _, error = run_outreach("propose")
    assert code == 0, error
    assert count(outreach) == 12
