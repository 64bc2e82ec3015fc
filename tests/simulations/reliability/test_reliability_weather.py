"""What breaks around a study, with real processes: line, clock, disk, checkpoint, certificate, hospital."""

import resource
import signal
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.server.network.live_superlink import standing_still
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import load_node_settings
from wardround.server.store.certificates import Signed, new_server
from wardround.server.store.operator_home import load_operator_home
from wardround.simulations.loopback.federation import OPERATOR

pytestmark = pytest.mark.flower

HOUR = 3600


def begin(stage, study, rounds, *more):
    """Start a study and run rounds until one has everybody; its number. The next waits at the gate."""
    stage.open_gate(0)
    stage.propose(study, rounds, "--wait-seconds=200", "--quorum=0.5", *more)
    stage.start_study(study)
    return rounds_until(stage, study, 1, lambda event: len(event["accepted"]) == 2)


def rounds_until(stage, study, number, fits):
    """Run round after round until one fits; its number."""
    while True:
        stage.open_gate(number)
        if fits(stage.await_closed(study, number)):
            return number
        number += 1


def end(stage, study, **settings):
    stage.open_gate(10**6)
    stage.await_end(study)
    return stage.check(study, **settings)


@pytest.mark.slow
def test_a_line_cut_for_longer_than_the_deadline(stage):
    """Cut between charge and release: left out of the round, charged all the same, in again after it is mended."""
    number = begin(stage, "cut", 12, "--round-seconds=30") + 1
    stage.arm("south-agent", "charged")
    stage.open_gate(number)
    stage.wait(lambda: stage.reached("south-agent", "charged"), "a charge at south")
    line = stage.loopback.processes["line"]
    line.send_signal(signal.SIGSTOP)
    try:
        stage.let_go("south-agent", "charged")
        cut = stage.await_closed("cut", number)
    finally:
        line.send_signal(signal.SIGCONT)
    assert (cut["accepted"], cut["missing"]) == (["north"], ["south"])
    rounds_until(stage, "cut", number + 1, lambda event: "south" in event["accepted"])
    end(stage, "cut")
    assert number in stage.rounds_charged("south", "cut")


@pytest.mark.slow
def test_a_server_that_stands_still_for_forty_seconds_costs_a_study_no_more_than_these(stage):
    """On a machine that has too much to do: before, calls were given up after 30 s, and with them the run."""
    number = begin(stage, "still", 3, "--round-seconds=150") + 1
    run = stage.loopback.home(OPERATOR) / "studies/still/run"
    before, known = run.read_text(), len(stage.loopback.events("still"))
    stage.arm("south-agent", "charged")
    stage.open_gate(number)
    stage.wait(lambda: stage.reached("south-agent", "charged"), "a charge at south")
    with standing_still(stage.superlink(), 40.0):
        stage.let_go("south-agent", "charged")
    assert sorted(stage.await_closed("still", number)["accepted"]) == ["north", "south"]
    end(stage, "still")
    assert run.read_text() == before
    assert "server_away" not in {event["event"] for event in stage.loopback.events("still")[known:]}


@pytest.mark.slow
def test_a_slow_hospital_is_left_out_of_its_round_alone(stage):
    number = begin(stage, "slow", 8, "--round-seconds=30") + 1
    stage.arm("north-agent", "computed")
    stage.open_gate(number)
    slow = stage.await_closed("slow", number)
    assert (slow["accepted"], slow["missing"]) == (["south"], ["north"])
    stage.let_go("north-agent", "computed")
    rounds_until(stage, "slow", number + 1, lambda event: "north" in event["accepted"])
    end(stage, "slow")
    assert number in stage.rounds_charged("north", "slow")


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_its_rounds_and_no_more(stage):
    number = begin(stage, "damaged", 8, "--round-seconds=60")
    stage.wait(lambda: (stage.places / "waiting").read_text() == str(number + 1), "the next round to wait")
    stage.kill("study")
    for path in (stage.loopback.home(OPERATOR) / "studies/damaged/checkpoints").glob(
        f"round-{number + 1:06d}-*"
    ):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    stage.start_study("damaged", "resume")
    lost = [number, number + 1]
    closed = end(stage, "damaged", lost=lost)
    assert set(closed) == set(range(1, 9)) - {number + 1}
    (resumed,) = [event for event in stage.loopback.events("damaged") if event["event"] == "resumed"]
    assert resumed["lost_rounds"] == lost
    assert "damaged" in resumed["notes"][0]
    assert all(number in stage.rounds_charged(name, "damaged") for name in stage.hospitals)


@contextmanager
def small_disk(folder):
    """A disk of its own for a study's folder; gives what fills it, or None where none may be mounted."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=False)
    try:
        yield folder / "filler" if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(filler, process):
    """Leave no room; without a disk of its own, by a limit on the process's files."""
    if filler is None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
        return
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.slow
def test_a_full_disk_at_the_server(stage):
    """Full in the middle of a round, and full before an announcement: said in one line, and nothing is lost."""
    folder = stage.loopback.home(OPERATOR) / "studies/full"
    with small_disk(folder) as filler:
        number = begin(stage, "full", 6, "--round-seconds=60") + 1
        for held in ("before the announcement", "checkpoint written"):
            stage.arm("study", held)
            stage.open_gate(number)
            stage.wait(lambda held=held: stage.reached("study", held), held)
            process = stage.loopback.processes["study"]
            fill(filler, process)
            stage.let_go("study", held)
            assert stage.loopback.wait_study(120) == 2
            said = stage.loopback.log("study")
            assert f"ERROR {folder}: cannot be written" in said.rstrip().splitlines()[-1]
            assert "Traceback" not in said
            if filler is not None:
                filler.unlink()
            if held == "checkpoint written":
                announced = [e["round"] for e in stage.loopback.events("full") if e["event"] == "announced"]
                assert max(announced) == number
            stage.open_gate(0)
            stage.start_study("full", "resume")
        end(stage, "full")


@pytest.mark.slow
def test_an_expired_certificate(stage):
    """The server refuses to start with it, and says what to do; the study waits, and goes on when that is done."""
    number = begin(stage, "expired", 12, "--round-seconds=60") + 1
    home = load_operator_home(stage.loopback.home(OPERATOR))
    stage.loopback.stop("server")
    root = Signed(home.tls("root.crt").read_bytes(), home.tls("root.key").read_bytes())
    old = new_server(root, "127.0.0.1", datetime.now(UTC) - timedelta(days=500))
    home.tls("server.crt").write_bytes(old.certificate)
    home.tls("server.key").write_bytes(old.key)
    with pytest.raises(Exception, match="has expired; run wardround-serve renew"):
        stage.loopback.serve("up")
    stage.loopback.serve("renew")
    stage.loopback.start_server()
    rounds_until(stage, "expired", number, lambda event: len(event["accepted"]) == 2)
    end(stage, "expired")


@pytest.mark.slow
def test_clocks_an_hour_apart(stage):
    """Agents an hour ahead and behind answer as ever. Of a whole machine an hour ahead Flower takes no word."""
    for name, seconds in (("north", HOUR), ("south", -HOUR)):
        stage.kill(f"{name}-agent")
        stage.start_agent(name, seconds)
    number = begin(stage, "clocks", 16, "--round-seconds=30") + 1
    stage.kill("south-supernode")
    stage.start_supernode("south", HOUR)
    north = load_node_settings(stage.loopback.home("north") / "supernode")
    assert abs(look_at_server(north).clock_ahead) < timedelta(seconds=5)
    away = rounds_until(stage, "clocks", number, lambda event: event["accepted"] == ["north"])
    for name in stage.hospitals:
        stage.kill(f"{name}-agent")
        stage.start_agent(name)
    stage.kill("south-supernode")
    stage.start_supernode("south")
    rounds_until(stage, "clocks", away + 1, lambda event: len(event["accepted"]) == 2)
    end(stage, "clocks")


@pytest.mark.slow
def test_a_hospital_that_leaves_for_good(stage):
    number = begin(stage, "left", 6, "--round-seconds=60")
    for part in ("south-agent", "south-supernode"):
        stage.kill(part)
    closed = end(stage, "left")
    assert all(event["accepted"] == ["north"] for later, event in closed.items() if later > number)
    assert closed[6]["seconds"] < 40  # a round does not wait to its deadline for who is not connected
    assert max(stage.rounds_charged("south", "left")) == number
    stage.start_agent("south")
    stage.start_supernode("south")
