"""An agent and a server of two releases, each really installed: one line, nothing charged, and the study goes on.

``installation.install`` builds this tree under another version and protocol, into a Python of its own.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation import install
from tests.simulations.loopback.one_agent import agent_running, charged_rounds
from wardround.client.home.home import load_home
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.speaker import PROTOCOL, this_speaker
from wardround.simulations.loopback.federation import OPERATOR, Loopback

pytestmark = [pytest.mark.slow, pytest.mark.flower]

MINE = str(this_speaker())
NEXT, LATER = f"protocol {PROTOCOL + 1} (wardround 9.0.0)", f"protocol {PROTOCOL} (wardround 8.0.0)"
WAITS = ("--round-seconds=60", "--wait-seconds=600", "--quorum=1")
ASK = Path(__file__).with_name("ask_once.py")


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """A release of the next protocol."""
    return install(tmp_path_factory.mktemp("newer"), "9.0.0", PROTOCOL + 1)


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A later release of this protocol."""
    return install(tmp_path_factory.mktemp("patched"), "8.0.0")


@pytest.fixture
def loopback(tmp_path):
    with Loopback(tmp_path, ["north"], patients=300) as loopback:
        yield loopback


def charges(loopback):
    return charged_rounds(load_home(loopback.home("north")))


@contextmanager
def agent_of(python, loopback):
    """Run north's agent by an installation; what it logged stands in agent.log."""
    log = loopback.folder / "agent.log"
    with agent_running(python, "wardround.client.main", load_home(loopback.home("north")), log):
        yield
    assert "Traceback" not in log.read_text()


def asked_by(python, loopback):
    """Ask by an installation's half of the server."""
    places = loopback.home(OPERATOR), loopback.folder / "tea.terms", load_home(loopback.home("north")).socket
    line = [python, "-P", ASK, *places]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status_of(loopback):
    return " ".join(loopback.hospital("north", "status").split())


def test_over_the_socket_both_ways(loopback, newer, patched):
    """Another number is refused in one line on each side; another version of this number is answered."""
    loopback.provision()
    loopback.approve("tea", *loopback.settings("tea", 2))
    with agent_of(sys.executable, loopback):
        told = asked_by(newer, loopback)
        line = f"its agent speaks {MINE}, this server {NEXT}; upgrade its agent"
        assert told == {"released": False, "result": line, "by": MINE}
        line = f"the operator's server speaks {NEXT}, this agent {MINE}; upgrade this agent"
        assert f"refused: protocol: {line}" in (loopback.folder / "agent.log").read_text()
        assert f"FAULT: operator: {line}" in status_of(loopback)
        assert charges(loopback) == Counter()
    with agent_of(newer, loopback):
        told = asked_by(sys.executable, loopback)
        line = f"its agent speaks {NEXT}, this server {MINE}; upgrade this server"
        assert told == {"released": False, "result": line, "by": NEXT}
        line = f"the operator's server speaks {MINE}, this agent {NEXT}; upgrade the operator's server"
        assert f"refused: protocol: {line}" in (loopback.folder / "agent.log").read_text()
        assert charges(loopback) == Counter()
    with agent_of(sys.executable, loopback):
        first = asked_by(patched, loopback)
        assert (first["released"], first["by"]) == (True, MINE)
        assert "both speak protocol" in status_of(loopback)
        assert "FAULT" not in status_of(loopback)
    with agent_of(patched, loopback):  # a repeat, by the bytes that the earlier release stored
        assert asked_by(sys.executable, loopback) == {**first, "by": LATER}
    assert charges(loopback) == Counter([1])


def reason_of(event):
    """Why north gave no release, where a round was closed or tried."""
    return event.get("rejected", {}).get("north", "")


def test_a_running_study_waits_for_an_upgrade_and_goes_on_where_it_was(loopback, newer):
    loopback.provision()
    settings = loopback.settings("tea", 2)
    loopback.approve("tea", *settings)
    loopback.start_server()
    loopback.start_hospital("north")
    loopback.start_study(*settings, *WAITS)
    loopback.await_event("tea", lambda event: event["event"] == "round", 300)
    loopback.kill("study")
    loopback.pythons["server"] = newer
    loopback.start_server()
    last = loopback.events("tea")[-1]["time"]
    loopback.start_study("--study=tea", *WAITS, word="resume")
    found = loopback.await_event("tea", lambda event: event["time"] > last and reason_of(event), 300)
    line = f"its agent speaks {MINE}, this server {NEXT}; upgrade its agent"
    assert reason_of(found) == line
    # The killed study may have asked for its second round. What was charged was answered: no refusal cost anything.
    answered = re.findall(r"round ([12]).*: answered", loopback.log("north"))
    assert charges(loopback) == Counter(set(map(int, answered)))
    assert f"north: {line}" in loopback.serve("status")
    loopback.pythons["client"] = newer
    loopback.start_hospital("north")  # while the study waits
    assert loopback.wait_study(300) == 0, loopback.log("study")[-3000:]
    assert {event["round"] for event in loopback.events("tea") if event["event"] == "round"} == {1, 2}
    assert charges(loopback) == Counter([1, 2])
    assert "its agent" not in loopback.serve("status")
    logs = [loopback.log(name) for name in ("study", "north", "server")]
    assert "Traceback" not in "".join(logs)
    assert logs[1].count("refused: protocol: ") == 1


ROUNDS = 12  # so that none is over before a side has changed its release


def heard(program):
    """Whether an event says that north's agent is this release."""
    return lambda event: event["event"] == "agent" and event["program"] == program


def test_both_sides_change_their_release_between_rounds_and_no_round_is_lost(loopback, patched):
    """A later release of the same protocol: first the hospital, then the server, in the middle of a study."""
    mine, line = this_speaker().program, f"both speak protocol {PROTOCOL}"
    loopback.provision()
    settings = loopback.settings("tea", ROUNDS)
    loopback.approve("tea", *settings)
    loopback.start_server()
    loopback.start_hospital("north")
    loopback.start_study(*settings, *WAITS)
    loopback.await_event("tea", lambda event: event["event"] == "round", 300)
    loopback.kill("north")
    loopback.pythons["client"] = patched
    loopback.start_hospital("north")  # the study waits for it
    loopback.await_event("tea", heard("8.0.0"), 300)
    loopback.kill("study")
    assert f"north: its agent runs wardround 8.0.0, this server {mine}; {line}" in loopback.serve("status")
    loopback.kill("server")
    loopback.pythons["server"] = patched
    loopback.start_server()
    loopback.start_study("--study=tea", *WAITS, word="resume")
    assert loopback.wait_study(400) == 0, loopback.log("study")[-3000:]
    assert "its agent" not in loopback.serve("status")  # both are of the later release now
    loopback.pythons["client"] = sys.executable
    said = f"the operator's server runs wardround 8.0.0, this agent {mine}; {line}"
    assert said in status_of(loopback)
    assert charges(loopback) == Counter(range(1, ROUNDS + 1))
    ledger = load_home(loopback.home("north")).open_ledger()
    codes = [entry.fields["code"] for entry in ledger.entries() if entry.kind == "charged"]
    ledger.close()
    # Each charge names the program that made it.
    assert codes == sorted(codes)
    assert set(codes) == {f"wardround {mine}", "wardround 8.0.0"}


def test_a_kit_and_a_request_to_join_tell_the_two_apart_before_anything_is_begun(loopback, newer):
    kits = loopback.folder / "kits"
    loopback.pythons["server"] = newer
    loopback.serve("provision", "--hospital", "north", "--out", str(kits), "--address", loopback.address)
    with pytest.raises(ConfigurationError) as told:
        loopback.hospital("north", "join", str(kits / "north.kit"))
    line = f"the operator's server speaks {NEXT}, this installation {MINE}; upgrade this installation"
    assert line in str(told.value)
    assert not loopback.home("north").exists()

    loopback.pythons["client"] = newer
    loopback.join("north", kits / "north.kit")
    loopback.pythons["server"] = sys.executable
    with pytest.raises(ConfigurationError, match="upgrade this server"):
        loopback.enrol("north")
    assert json.loads(loopback.serve("status", "--json"))["hospitals"] == {}
    loopback.pythons["server"] = newer
    loopback.enrol("north")
    assert list(json.loads(loopback.serve("status", "--json"))["hospitals"]) == ["north"]
