"""A sound hospital has no alert; each fault is one alert, of its event, without anything of a patient."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.client.small_hospital import small_terms
from wardround.client.alerts import standing
from wardround.client.alerts.events import EVENTS
from wardround.client.alerts.looks import SERVER_SECONDS, TABLES_SECONDS, Looks, Seldom
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.journal.journal import open_journal
from wardround.protocol.errors import TableError
from wardround.server.store.certificates import new_root, new_server

NOW = datetime.now(UTC)


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """Listen at the agent's socket."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
        there.bind(str(path))
        there.listen()
        yield


def stands(hospital, now: datetime = NOW) -> dict[str, str]:
    """Give what stands by event, each event once."""
    found = standing.local(load_home(hospital.folder), now)
    assert len({alert.event for alert in found}) == len(found)
    return {alert.event: str(alert) for alert in found}


@pytest.fixture
def sound(hospital) -> Iterator:
    """A hospital whose agent answers and whose disk has room."""
    with answering(load_home(hospital.folder).socket):
        yield hospital


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**40))


def test_a_sound_hospital_has_no_alert(sound) -> None:
    assert stands(sound) == {}


def test_a_study_that_nobody_decided_on_is_told_until_it_is_decided_or_over(sound) -> None:
    assert sound.clause() == "approval"
    assert "the study tea waits for a person's decision" in stands(sound)["study_to_approve"]
    sound.approve()
    sound.stop()
    assert stands(sound) == {}


def test_a_run_of_a_timer_that_failed_is_told_without_its_reason(sound, capsys) -> None:
    line = ["score", "--home", str(sound.folder), "--by-timer", "24", "spring.safetensors", "QSECRETQ"]
    assert main(line) == 2
    assert "QSECRETQ" in capsys.readouterr().err
    text = stands(sound, datetime.now(UTC))["timer"]
    assert "score: the run of" in text
    assert "journalctl -u wardround-score" in text
    assert "QSECRETQ" not in text
    note = (sound.folder / "timers/score/run.json").read_bytes()
    assert main([word for word in line if word not in ("--by-timer", "24")]) == 2  # by hand
    assert (sound.folder / "timers/score/run.json").read_bytes() == note


@pytest.mark.parametrize(
    "words",
    [
        ("outreach", "propose"),
        ("outreach", "export", "it"),
        ("outreach", "inbound", "--page"),
        ("ledger", "backup", ""),
    ],
)
def test_each_command_that_a_timer_may_start_is_noted(sound, words: tuple[str, ...], capsys) -> None:
    assert main([*words, "--home", str(sound.folder), "--by-timer", "24"]) == 2
    capsys.readouterr()
    assert f"{words[1]}: the run of" in stands(sound, datetime.now(UTC))["timer"]


def test_a_wrong_clock_tells_of_no_run_that_did_not_begin(sound, monkeypatch) -> None:
    main(["outreach", "propose", "--home", str(sound.folder), "--by-timer", "24"])
    assert set(stands(sound, datetime(2001, 1, 1, tzinfo=UTC))) == {"clock"}


def test_a_note_of_a_timer_that_nobody_can_read_is_an_alert(sound) -> None:
    note = sound.folder / "timers/score/run.json"
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    assert "is not what a run wrote; remove it" in stands(sound)["timer"]


def test_a_study_that_is_over_waits_for_nobody(sound) -> None:
    terms = small_terms(expires_at=(NOW + timedelta(hours=1)).isoformat(timespec="seconds"))
    assert sound.clause(terms=terms) == "approval"
    assert set(stands(sound)) == {"study_to_approve"}
    assert stands(sound, NOW + timedelta(hours=2)) == {}


def test_noise_alone_is_told_with_its_time_and_without_its_reason(sound) -> None:
    sound.approve()
    (sound.folder / "messages.csv").write_text("patient,QSECRETQ\n")
    sound.released()
    text = stands(sound)["noise_alone"]
    assert "study tea, training patients: the tables could not be used" in text
    assert "QSECRETQ" not in text
    assert "messages" not in text


def test_noise_alone_that_is_over_is_no_alert(sound) -> None:
    sound.approve()
    good = (sound.folder / "messages.csv").read_text()
    (sound.folder / "messages.csv").write_text("nothing\n")
    sound.released()
    (sound.folder / "messages.csv").write_text(good)
    sound.released(2)
    assert stands(sound) == {}


def test_a_round_that_waits_for_its_tables_is_told_until_it_is_computed(sound) -> None:
    sound.approve()
    messages = sound.folder / "messages.csv"
    messages.rename(sound.folder / "kept.csv")
    messages.symlink_to("/proc/self/mem")  # every read fails, as in a shared folder that is away
    assert sound.agent.answer(sound.request(1)).payload is None
    (away,) = standing.local(load_home(sound.folder), NOW)
    assert (away.event, away.after_seconds) == ("tables_away", 600.0)
    assert "study tea, training patients: the tables cannot be reached since " in away.text
    messages.unlink()
    (sound.folder / "kept.csv").rename(messages)
    sound.released()
    assert stands(sound) == {}


@pytest.mark.parametrize(("cap", "said"), [(1.0, None), (0.1, "80% is spent"), (0.085, "all of it is spent")])
def test_a_budget_is_told_at_four_fifths_and_at_its_end(sound, cap: float, said: str | None) -> None:
    sound.approve()
    sound.released()
    spent = sound.epsilon
    sound.stop()
    sound.write_policy(max_epsilon_for_life=spent * cap / 0.085)
    text = stands(sound).get("budget")
    assert text is None if said is None else said in str(text) and "for life, training patients" in str(text)


@pytest.mark.parametrize(("free", "said"), [(2**31 - 1, "little room"), (2**20, "hardly any room")])
def test_little_room_is_told(sound, monkeypatch, free: int, said: str) -> None:
    monkeypatch.setattr(standing.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert said in stands(sound)["disk"]


def test_an_agent_that_does_not_run_is_told_after_two_minutes(hospital) -> None:
    [alert] = standing.local(load_home(hospital.folder), NOW)
    assert (alert.event, alert.after_seconds) == ("agent", 120.0)


def test_a_clock_that_is_wrong_beside_the_ledger_is_told(sound) -> None:
    assert set(stands(sound, NOW + timedelta(days=500))) == {"clock"}
    assert set(stands(sound, NOW - timedelta(days=90))) == {"clock"}


@pytest.mark.parametrize("days", [500, -90])
def test_a_wrong_clock_ends_no_certificate_and_no_study(sound, days: int) -> None:
    root = new_root("op", NOW)
    (sound.folder / "server.crt").write_bytes(new_server(root, "127.0.0.1", NOW).certificate)
    terms = small_terms(expires_at=(NOW + timedelta(days=9)).isoformat(timespec="seconds"))
    assert sound.clause(terms=terms) == "approval"
    assert set(stands(sound)) == {"study_to_approve"}
    [clock] = standing.local(load_home(sound.folder), NOW + timedelta(days=days))
    assert clock.event == "clock"
    assert clock.hides == {
        "certificate",
        "study_to_approve",
        "noise_alone",
        "tables_away",
        "preferences",
        "timer",
        "account",
    }


def test_a_ledger_that_does_not_open_is_told(sound) -> None:
    (sound.folder / "ledger.sqlite").write_bytes(b"nothing")
    assert "the ledger does not open" in stands(sound)["ledger"]


def test_a_policy_that_cannot_be_read_is_told(sound) -> None:
    (sound.folder / "policy.yaml").write_text("delta: much\n")
    assert "the policy cannot be read" in stands(sound)["home"]


@pytest.mark.parametrize(
    ("days", "said"), [(60, None), (29, "30 days"), (6, "7 days"), (0.5, "1 day"), (-2, "has ended")]
)
def test_a_certificate_is_told_at_thirty_days_seven_one_and_when_it_ended(
    sound, days: float, said: str | None
) -> None:
    root = new_root("op", NOW)
    made = NOW - timedelta(days=397 - days)
    (sound.folder / "server.crt").write_bytes(new_server(root, "127.0.0.1", made).certificate)
    text = stands(sound).get("certificate")
    assert text is None if said is None else said in str(text)


def test_one_part_that_fails_does_not_hide_the_others(hospital, monkeypatch) -> None:
    def broken(_path: Path) -> None:
        raise RuntimeError("QSECRETQ")

    monkeypatch.setattr(standing.shutil, "disk_usage", broken)
    found = stands(hospital)
    assert set(found) == {"disk", "agent"}
    assert "RuntimeError" in found["disk"]
    assert "QSECRETQ" not in found["disk"]


def test_an_export_that_is_too_old_is_told_by_its_table(sound) -> None:
    found = standing.of_tables(
        load_home(sound.folder), lambda: [("messages", True), ("patients", False)], NOW
    )
    assert [(alert.event, alert.subject) for alert in found] == [("export_stale", "messages")]


def test_tables_that_cannot_be_looked_at_are_told_without_their_rows(sound) -> None:
    def fails() -> list[tuple[str, bool]]:
        raise TableError("messages: column opened is missing")

    [alert] = standing.of_tables(load_home(sound.folder), fails, NOW)
    assert (alert.event, alert.text) == ("export_stale", "messages: column opened is missing")


def test_more_opt_outs_than_usual_are_told_without_their_number(outreach, monkeypatch) -> None:
    home = load_home(outreach.folder)
    sent = [NOW - timedelta(days=day, minutes=n) for day in range(1, 60) for n in range(20)]
    monkeypatch.setattr(standing, "_sent", lambda _home, _now: sent)
    few = [
        Withdrawal(patient="p", consent="contact", why="stop", at=NOW - timedelta(days=2 + 5 * n))
        for n in range(9)
    ]
    home.withdrawals.add([replace(one, record=f"{n:064x}") for n, one in enumerate(few)])
    assert standing.of_tables(home, list, NOW) == []
    many = [
        replace(few[0], at=NOW - timedelta(hours=n), why="complaint", record=f"{99 + n:064x}")
        for n in range(1, 12)
    ]
    home.withdrawals.add(many)
    [alert] = standing.of_tables(home, list, NOW)
    assert (alert.event, alert.subject) == ("opt_outs", "complaints")
    assert "11" not in str(alert)


def test_what_was_sent_is_read_off_the_journal(outreach) -> None:
    at = NOW.replace(microsecond=0)
    with open_journal(outreach.folder) as journal:
        [first, second, *_] = [one.id for one in journal.proposals()]
        journal.write_exports({first: "00"}, "mail", "exported", at)
        journal.write_exports({second: "11"}, "mail", "exported", at - timedelta(days=100))
    assert standing._sent(load_home(outreach.folder), NOW) == [at]


def test_every_event_that_is_told_stands_in_the_list() -> None:
    names = {value for key, value in vars(standing.events).items() if key.isupper() and key != "EVENTS"}
    assert names == set(EVENTS)


def test_the_server_is_looked_at_each_minute_and_tables_each_hour(hospital, monkeypatch) -> None:
    seconds, asked = [0.0], []
    monkeypatch.setattr("wardround.client.alerts.looks.at_server", lambda _h: asked.append("server") or [])
    monkeypatch.setattr(
        "wardround.client.alerts.looks.of_tables", lambda _h, _a, _n: asked.append("tables") or []
    )
    looks = Looks(hospital.folder, lambda _home: [], lambda: seconds[0])
    for _ in range(2 * 60):
        looks()
        seconds[0] += 30.0
    assert (SERVER_SECONDS, TABLES_SECONDS) == (60.0, 3600.0)
    assert (asked.count("server"), asked.count("tables")) == (60, 1)


def test_what_is_looked_at_seldom_stands_in_between(hospital) -> None:
    home, clock = load_home(hospital.folder), iter([0.0, 0.0, 5.0, 10.0, 10.0])
    alert = standing.local(home, NOW)[:1]
    answers = iter([alert, []])
    look = Seldom(lambda _home: next(answers), 10.0, lambda: next(clock))
    assert [look(home), look(home), look(home)] == [alert, alert, []]


def test_a_home_that_cannot_be_read_is_told(tmp_path) -> None:
    [alert] = Looks(tmp_path, lambda _home: [])()
    assert alert.event == "home"


def test_the_commands_begin_check_and_list(sound, capsys) -> None:
    home = ["--home", str(sound.folder)]
    assert main(["alerts", "begin", *home]) == 0
    assert main(["alerts", "begin", *home]) == 2
    assert main(["alerts", "check", *home]) == 0
    assert "Nobody is told of: study_to_approve" in capsys.readouterr().out
    assert main(["alerts", "list", *home]) == 0
    assert capsys.readouterr().out == "No alert stands.\n"
    sound.clause()
    sound.stop()
    assert main(["alerts", "list", *home, "--json"]) == 0
    [alert] = json.loads(capsys.readouterr().out)
    assert alert["event"] == "study_to_approve"


def test_test_says_who_was_not_reached_and_exits_with_2(sound, capsys) -> None:
    (sound.folder / "alerts.yaml").write_text(
        "recipients: {night: {webhook: 'http://127.0.0.1:9/x', events: all}}\n"
    )
    home = ["--home", str(sound.folder)]
    assert main(["alerts", "test", *home]) == 2
    assert "night was not reached: webhook at 127.0.0.1: cannot be called" in capsys.readouterr().err
    assert main(["alerts", "test", "noon", *home]) == 2
    assert "recipients: night" in capsys.readouterr().err
