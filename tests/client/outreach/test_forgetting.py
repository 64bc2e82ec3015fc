"""The journal is emptied of what its days are over for, though nobody proposes: by a look at it, and by the alerts.

Never by a wrong clock: what was sent would be forgotten, and sent again.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client.outreach.decide.outreach_home import GRACE, IDA, Run
from wardround.client.alerts.events import CLOCK
from wardround.client.alerts.looks import TABLES_SECONDS, Looks
from wardround.client.checks.finding import FAULT
from wardround.client.checks.outreach import clock_of_outreach
from wardround.client.home.home import Home, load_home
from wardround.client.outreach.forgetting import Forgotten, forget_old
from wardround.client.outreach.journal.journal import open_journal

NOW = datetime.now(UTC).replace(microsecond=0)


def count(outreach: Any) -> int:
    with open_journal(outreach.folder) as journal:
        return len(list(journal.proposals()))


def look(outreach: Any, days: int) -> Forgotten:
    """Look at the journal so many days after it was made."""
    with (
        closing(load_home(outreach.folder).open_ledger()) as ledger,
        open_journal(outreach.folder) as journal,
    ):
        return forget_old(outreach.folder, journal, NOW + timedelta(days=days, hours=1), ledger)


def confirm(outreach: Any, days: int) -> None:
    """Have a person say, so many days after, that the clock is right."""
    with closing(load_home(outreach.folder).open_ledger()) as ledger:
        ledger.decide("clock", NOW + timedelta(days=days, minutes=30), reason="it is", person="Ida Rhodes")


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
    assert run_outreach("refuse", "1", *IDA)[0] == 0
    make_older(outreach, 80)
    run_outreach("queue")
    assert count(outreach) == 12
    make_older(outreach, 30)
    if settings == "removed":
        (outreach.folder / "outreach.yaml").unlink()
    run_outreach("queue")
    assert count(outreach) == 0  # also the eleven that nobody decided


def test_what_may_have_left_and_what_is_still_to_come_stay(outreach: Any) -> None:
    look(outreach, 0)
    make_older(outreach, 200)
    with open_journal(outreach.folder) as journal:
        for state in ("approved", "exporting"):
            journal.move([1], state, person="Ida", reason="r", at=NOW)
        journal._db.execute("UPDATE proposals SET send_before = '2099-01-01T00:00:00Z' WHERE id = 2")
    look(outreach, 0)
    with open_journal(outreach.folder) as journal:
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


def test_settings_that_cannot_be_read_delete_nothing(outreach: Any) -> None:
    look(outreach, 0)
    make_older(outreach, 200)
    settings = (outreach.folder / "outreach.yaml").read_text()
    (outreach.folder / "outreach.yaml").write_text("keep_days: [")
    assert look(outreach, 0).proposals == 0
    (outreach.folder / "outreach.yaml").write_text(settings)
    assert look(outreach, 0).proposals == 12


def test_a_clock_that_is_ahead_for_a_moment_or_for_weeks_forgets_nothing(outreach: Any) -> None:
    """A machine that was a year ahead for more than a day forgot what was sent; right again, it was due once more."""
    for days in (0, 1, 365, 365, 366, 367, 380, 1, 2, 40, 41, 42, 3):
        assert look(outreach, days).proposals == 0
    assert "2 days" not in look(outreach, 3).clock
    assert count(outreach) == 12
    # What goes on by itself is believed: nothing is kept for longer than one look more.
    assert [look(outreach, days).proposals for days in range(4, 106, 6)] == [0] * 16 + [12]


def test_who_proposes_on_each_first_monday_is_believed(outreach: Any) -> None:
    """Five weeks lie between some of them."""
    assert [look(outreach, days).clock for days in (0, 28, 63, 98)] == [""] * 4


def test_a_leap_is_believed_once_a_person_says_so_since_then(outreach: Any) -> None:
    look(outreach, 0)
    assert "200 days after" in look(outreach, 200).clock
    confirm(outreach, 200)
    assert look(outreach, 200) == (0, "")
    assert look(outreach, 202) == (12, "")
    # The word of then is not one about another leap, in either direction.
    assert "100 days after" in look(outreach, 302).clock
    assert "2 days before" in look(outreach, 200).clock


def test_the_shorter_a_journal_is_kept_the_smaller_a_leap_is_believed(outreach: Any) -> None:
    settings = outreach.folder / "outreach.yaml"
    settings.write_text(f"keep_days: 8\n{settings.read_text()}")
    look(outreach, 0)
    assert look(outreach, 3).clock == ""
    assert "6 days after" in look(outreach, 9).clock


def test_a_journal_that_was_never_looked_at_believes_what_it_holds(outreach: Any) -> None:
    """Its first look once counted whatever it was: a home put back on a machine with a wrong date."""
    assert "300 days after" in look(outreach, 300).clock
    assert look(outreach, 1).clock == ""


def test_by_a_wrong_clock_nothing_is_proposed_or_leaves_and_opt_outs_are_heard(
    outreach: Any, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in (GRACE, IDA):
        code, _, error = run_outreach("approve", "1", "2", "--yes", *person)
        assert code == 0, error
    for days in (200, 202, -3):
        with monkeypatch.context() as wrong:
            wrong.setattr(Home, "clock", lambda _, days=days: NOW + timedelta(days=days))
            for act in (("propose",), ("export", "texts", "--person", "Ida Rhodes")):
                code, _, error = run_outreach(*act)
                assert code == 2
                assert "clock" in error
                assert "ledger clock --reason" in error
    assert count(outreach) == 12
    with monkeypatch.context() as wrong:
        wrong.setattr(Home, "clock", lambda _: NOW + timedelta(days=200))
        (outreach.folder / "in.csv").write_text("kind,patient\nrefusal,P-2\n")
        assert run_outreach("inbound", outreach.folder / "in.csv")[1]["withdrawals"] == 1
    code, out, error = run_outreach("export", "texts", "--person", "Ida Rhodes")
    assert (code, out["sent"]) == (0, 1), error
    code, out, error = run_outreach("export", "texts", "--person", "Ida Rhodes")
    assert (code, out["sent"]) == (0, 0), error


def test_people_are_told_that_outreach_does_not_believe_the_clock(
    outreach: Any, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_outreach("queue")
    monkeypatch.setattr(Home, "clock", lambda _: NOW + timedelta(days=200, hours=1))
    looks = Looks(outreach.folder, lambda home: [], now=lambda: NOW + timedelta(days=200, hours=1))
    [told] = [one for one in looks() if one.subject == "journal"]
    assert told.event == CLOCK
    assert "200 days" in told.text
    home = load_home(outreach.folder)
    with closing(home.open_ledger()) as ledger:
        [found] = clock_of_outreach(home, ledger)
    assert (found.state, found.topic) == (FAULT, "clock")
