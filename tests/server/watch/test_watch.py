"""Status, metrics and alerts say what the event logs say, to the number."""

import errno
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from subprocess import PIPE
from threading import Thread
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.watch.watched_home import HOSPITALS, begin_study, close_round, watched_home
from wardround.server.main import main
from wardround.server.network import superlink
from wardround.server.store.certificates import WARN_DAYS
from wardround.server.store.event_log import read_events
from wardround.server.store.lock import alone, is_held
from wardround.server.watch import alerts
from wardround.server.watch import standing as watch_standing
from wardround.server.watch.attendance import NOT_APPROVED, answers
from wardround.server.watch.events import EVENTS
from wardround.server.watch.metrics import StandingMetrics
from wardround.server.watch.standing import standing


@pytest.fixture
def home(tmp_path):
    return watched_home(tmp_path)


@pytest.fixture
def served(home, monkeypatch):
    """The home with a server at which all hospitals are connected."""
    since = dict.fromkeys(HOSPITALS, "2026-11-01T00:00:00+00:00")
    monkeypatch.setattr(superlink, "is_listening", lambda _home: True)
    monkeypatch.setattr(superlink, "connected_since", lambda _home: since)
    monkeypatch.setattr(alerts.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**40))
    return SimpleNamespace(home=home, since=since)


def told(home) -> dict[str, list[str]]:
    """Give the subjects of all alerts that stand, by event."""
    found: dict[str, list[str]] = {}
    for alert in alerts.stand(home.folder):
        found.setdefault(alert.event, []).append(alert.subject)
    return found


def scraped(home) -> dict[tuple[str, ...], float]:
    """Give all samples as Prometheus reads them: name and values of labels, in the order of the labels' names."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StandingMetrics(lambda: standing(home)))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [one for family in families for one in family.samples]
    return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}


def random_rounds(seed: int, rounds: int):
    """Draw for each round what comes of each hospital's answer."""
    rng = random.Random(seed)
    return [
        {name: rng.choice(("accepted", "missing", "refused")) for name in HOSPITALS} for _ in range(rounds)
    ]


def write_rounds(log, drawn) -> None:
    for number, kinds in enumerate(drawn, 1):
        by = {
            kind: tuple(name for name in HOSPITALS if kinds[name] == kind) for kind in ("accepted", "missing")
        }
        refused = {name: "refused: max_rounds" for name, kind in kinds.items() if kind == "refused"}
        close_round(log, number, by["accepted"], refused, by["missing"])


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_the_event_log_to_the_number(served, seed: int) -> None:
    drawn = random_rounds(seed, 25)
    write_rounds(begin_study(served.home), drawn)
    tally = Counter((name, kind) for kinds in drawn for name, kind in kinds.items())
    samples = scraped(served.home)
    for name, kind in product(HOSPITALS, ("accepted", "missing", "refused")):
        assert samples["wardround_study_answers", kind, name, "tea"] == tally[name, kind]
    assert samples["wardround_study_rounds_closed", "tea"] == 25
    assert [samples["wardround_hospital_connected", name] for name in HOSPITALS] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("seed", range(3))
def test_status_agrees_with_the_event_log_to_the_number(served, seed: int, capsys) -> None:
    drawn = random_rounds(seed, 25)
    write_rounds(begin_study(served.home), drawn)
    assert main(["status", "--home", str(served.home.folder), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    for name, one in plain["hospitals"].items():
        took = [number for number, kinds in enumerate(drawn, 1) if kinds[name] == "accepted"]
        assert one["missed_rounds"] == sum(kinds[name] == "missing" for kinds in drawn)
        assert one["last_round"] == (f"tea, round {took[-1]}" if took else None)


def test_a_round_that_was_closed_twice_after_a_crash_counts_once() -> None:
    event = {"event": "round", "round": 1, "accepted": ["north"], "missing": ["south"], "rejected": {}}
    found = answers([event, event], ("north", "south"))
    assert (found["north"].took_part, found["south"].missed) == (1, 1)


def test_a_hospital_waits_until_it_answers_otherwise(served) -> None:
    log = begin_study(served.home)
    log.write("below_quorum", round=1, accepted=["north"], rejected={"west": NOT_APPROVED}, missing=["south"])
    assert told(served.home)["approval_pending"] == ["west tea"]
    assert standing(served.home)["hospitals"]["west"]["approval_pending"] == ["tea"]
    close_round(log, 1, ("north", "west"), {}, ("south",))
    assert "approval_pending" not in told(served.home)


def test_a_sound_server_without_studies_has_no_alert(served) -> None:
    assert told(served.home) == {}


def test_a_server_that_is_down_is_told_and_no_hospital_is_blamed(home, monkeypatch) -> None:
    monkeypatch.setattr(alerts.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**40))
    monkeypatch.setattr(superlink, "is_listening", lambda _home: False)
    log = begin_study(home)
    log.write("announced", round=1)
    with alone(home.study("tea").lock, "busy"):
        assert told(home) == {"server_down": ["127.0.0.1:8443"]}


def test_a_hospital_that_is_away_is_told_while_a_study_of_its_own_goes_on(served) -> None:
    served.since["west"] = None
    log = begin_study(served.home)
    with alone(served.home.study("tea").lock, "busy"):
        assert told(served.home) == {"hospital_away": ["west"]}
        log.write("finished", releasable=True, rounds=4)
    assert told(served.home) == {"study_finished": ["tea"]}


def test_a_hospital_that_misses_round_after_round_is_told_once_until_it_was_back(served) -> None:
    log = begin_study(served.home)
    for number in range(1, 9):
        missing = () if number == 5 else ("south",)
        close_round(log, number, ("north", *({"south"} - {*missing})), {}, missing)
    assert told(served.home)["round_missed"] == ["tea 1 south", "tea 6 south"]


def test_each_missed_round_is_told_once_with_its_time(served) -> None:
    log = begin_study(served.home)
    close_round(log, 1, ("north",), {"west": "refused: max_rounds"}, ("south",))
    close_round(log, 2, HOSPITALS, {}, ())
    close_round(log, 3, ("north",), {}, ("south", "west"))
    found = [alert for alert in alerts.stand(served.home.folder) if alert.event == "round_missed"]
    assert [alert.subject for alert in found] == ["tea 1 south", "tea 3 south", "tea 3 west"]
    assert all(datetime.now(UTC) - alert.happened < timedelta(minutes=5) for alert in found)


@pytest.mark.parametrize(
    ("releasable", "event"), [(True, "study_finished"), (None, "study_finished"), (False, "not_releasable")]
)
def test_a_study_that_ended_is_told_with_what_comes_next(served, releasable, event: str) -> None:
    begin_study(served.home).write("finished", releasable=releasable, rounds=4)
    [alert] = alerts.stand(served.home.folder)
    assert (alert.event, alert.subject) == (event, "tea")
    assert ("approve makes an exception" in alert.remedy) == (releasable is False)


def test_a_look_reads_each_event_log_once(served, monkeypatch) -> None:
    log, read = begin_study(served.home), []
    close_round(log, 1, ("north",), {}, ("south", "west"))
    monkeypatch.setattr(watch_standing, "read_events", lambda path: read.append(path) or read_events(path))
    assert told(served.home)["round_missed"] == ["tea 1 south", "tea 1 west"]
    assert read == [served.home.study("tea").events]


def test_a_study_that_nobody_runs_is_told_with_how_to_go_on(served) -> None:
    log = begin_study(served.home)
    log.write("announced", round=1)
    with alone(served.home.study("tea").lock, "busy"):
        assert told(served.home) == {}
    [alert] = alerts.stand(served.home.folder)
    assert (alert.event, alert.text) == ("study_stopped", "study tea is run by nobody any more")
    assert "wardround-serve resume --study tea" in alert.remedy
    log.write("stopped", round=1)
    [alert] = alerts.stand(served.home.folder)
    assert alert.text == "study tea was stopped"


@pytest.mark.parametrize(
    ("ahead", "said"), [(3.0, []), (4.5, ["west ahead"]), (-200, []), (-260, ["west behind"])]
)
def test_a_clock_that_is_nearly_turned_away_is_told(
    served, monkeypatch, ahead: float, said: list[str]
) -> None:
    plain = standing(served.home)
    plain["hospitals"]["west"]["clock_ahead_seconds"] = ahead
    assert [alert.subject for alert in alerts.of_standing(plain) if alert.event == "clock"] == said


@pytest.mark.parametrize(
    ("days", "said"), [(WARN_DAYS + 1, None), (29, "30 days"), (7, "7 days"), (1, "1 day"), (-1, "ended")]
)
def test_the_servers_certificate_is_told_at_thirty_seven_and_one(served, days: int, said: str | None) -> None:
    plain = standing(served.home) | {"certificate_days_left": {"server": days, "root": 3000}}
    found = [alert.subject for alert in alerts.of_standing(plain)]
    assert found == ([] if said is None else [f"server.crt, {said}"])


def test_little_room_is_told(served, monkeypatch) -> None:
    monkeypatch.setattr(alerts.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2**30))
    assert told(served.home) == {"disk": ["home"]}


def test_a_home_that_cannot_be_read_is_told(tmp_path) -> None:
    assert [alert.event for alert in alerts.stand(tmp_path)] == ["home"]


def test_a_study_that_may_not_be_read_hides_no_other(served, monkeypatch, capsys) -> None:
    """As one that somebody began as root: the watch ended by it, and nobody was told of anything any more."""
    begin_study(served.home).write("stopped", round=1)
    begin_study(served.home, "coffee")
    theirs, read = served.home.study("coffee").events, Path.read_bytes

    def refused(self: Path) -> bytes:
        if self == theirs:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert told(served.home) == {"study_stopped": ["tea"], "home": ["study coffee"]}
    assert scraped(served.home)["wardround_home_readable",] == 1
    assert main(["status", "--home", str(served.home.folder)]) == 0
    said = capsys.readouterr().out
    assert f"study coffee: {theirs}: cannot be read (Permission denied)" in said
    assert "study tea: stopped" in said


def test_a_folder_of_studies_that_may_not_be_read_is_told(served, monkeypatch) -> None:
    listed = Path.iterdir

    def refused(self: Path) -> Iterator[Path]:
        if self.name == "studies":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert told(served.home) == {"home": ["home"]}
    assert scraped(served.home)["wardround_home_readable",] == 0


def test_every_event_that_is_told_stands_in_the_list() -> None:
    names = {value for key, value in vars(alerts.events).items() if key.isupper() and key != "EVENTS"}
    assert names == set(EVENTS)


def test_a_backup_that_failed_at_night_is_told_until_one_went_well(served, tmp_path, capsys) -> None:
    folder = served.home.folder
    line = ["backup", "--home", str(folder), "--by-timer", "24"]
    assert main([*line, str(tmp_path / "none" / "op.backup")]) == 2
    assert told(served.home) == {"timer": ["server-backup"]}
    assert main([*line, str(tmp_path / "op.backup")]) == 0
    assert told(served.home) == {}
    late = {alert.key for alert in alerts.stand(folder, datetime.now(UTC) + timedelta(days=2))}
    assert "timer server-backup, overdue" in late
    capsys.readouterr()
    (folder / "timers/server-backup/run.json").write_text("[]")
    assert told(served.home) == {"timer": ["timers, not looked at"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_lock_that_is_held_in_another_container_is_seen(tmp_path: Path) -> None:
    path, hold = tmp_path / "lock", "import sys, wardround.server.store.lock as lock, pathlib\n"
    hold += "with lock.alone(pathlib.Path(sys.argv[1]), ''):\n print('held', flush=True)\n sys.stdin.read()"
    line = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c"]
    look = "import sys, wardround.server.store.lock as lock, pathlib; print(lock.is_held(pathlib.Path(sys.argv[1])))"
    with subprocess.Popen([*line, hold, path], stdin=PIPE, stdout=PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert subprocess.check_output([*line, look, path], text=True) == "True\n"
        holder.communicate("", timeout=30)
    assert subprocess.check_output([*line, look, path], text=True) == "False\n"


def test_whether_a_lock_is_held_is_seen_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_held(path) is False
    with alone(path, "busy"):
        assert is_held(path) is True
    assert is_held(path) is False
    with alone(path, "busy"):  # nobody who asked holds it
        pass


def test_the_commands_begin_check_and_list(served, capsys) -> None:
    home = ["--home", str(served.home.folder)]
    assert main(["alerts", "begin", *home]) == 0
    assert main(["alerts", "check", *home]) == 0
    assert main(["alerts", "list", *home]) == 0
    assert capsys.readouterr().out.endswith("No alert stands.\n")
    begin_study(served.home).write("stopped", round=1)
    assert main(["alerts", "list", *home, "--json"]) == 0
    [alert] = json.loads(capsys.readouterr().out)
    assert (alert["event"], alert["subject"]) == ("study_stopped", "tea")


def test_metrics_are_served_without_anything_of_the_process(served, monkeypatch, capsys) -> None:
    read: list[str] = []

    class Stopped:
        def __enter__(self):
            def wait(_seconds: float) -> bool:
                url = capsys.readouterr().err.split()[-1]
                read.append(httpx.get(url, timeout=20).text)
                return True

            return wait

        def __exit__(self, *error: object) -> None:
            """Nothing was changed."""

    monkeypatch.setattr("wardround.pages.metrics.until_stopped", Stopped)
    assert main(["metrics", "--home", str(served.home.folder), "--port", "0"]) == 0
    assert "wardround_server_up 1.0" in read[0]
    assert not any(word in read[0] for word in ("python_", "process_"))
    assert not [thread for thread in _threads() if "serve_forever" in thread.name]


def _threads() -> list[Thread]:
    import threading

    return threading.enumerate()


def test_a_port_that_is_taken_is_an_error_in_one_line(served, capsys) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["metrics", "--home", str(served.home.folder), "--port", str(port)]) == 2
    assert "choose another" in capsys.readouterr().err


def test_events_are_read_as_they_were_written(served) -> None:
    log = begin_study(served.home)
    write_rounds(log, random_rounds(9, 3))
    assert [event["event"] for event in read_events(served.home.study("tea").events)] == [
        "started",
        *["round"] * 3,
    ]
