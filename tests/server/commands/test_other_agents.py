"""An operator beside hospitals of other releases: kits, requests to join, and what ``status`` says of them."""

import json
import sys
from pathlib import Path

import pytest

from wardround.client.network.supernode import node_public_key
from wardround.protocol.wire import speaker
from wardround.protocol.wire.kit import load_join_request, load_kit, sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.speaker import PROTOCOL, Speaker, this_speaker
from wardround.server.main import main
from wardround.server.network import superlink
from wardround.server.store.agent_releases import AgentReleases, agents_heard
from wardround.server.store.event_log import AGENT, EventLog, read_events
from wardround.server.store.operator_home import load_operator_home


@pytest.fixture
def serve(tmp_path, monkeypatch, capsys):
    """Run one of the operator's commands, as this release or as another; code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*words, protocol=PROTOCOL, program=None):
        with monkeypatch.context() as release:
            release.setattr(speaker, "PROTOCOL", protocol)
            if program:
                release.setattr(speaker, "installed_version", lambda: program)
            release.setattr(sys, "argv", ["wardround-serve", *words])
            code = main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


PROVISION = ("provision", "--hospital=north", "--out=kits", "--home=op")


def test_a_kit_that_was_made_before_an_upgrade_is_read_out_again(serve):
    serve(*PROVISION, program="0.2.0")
    before = load_kit(Path("kits/north.kit"))
    code, out, _ = serve(*PROVISION, "--json", program="0.2.1")
    assert code == 0
    assert json.loads(out)["hospitals"]["north"]["fingerprint"] == before.fingerprint
    assert load_kit(Path("kits/north.kit")) == before


def test_a_kit_of_another_protocol_is_not_handed_out_again(serve):
    serve(*PROVISION, protocol=PROTOCOL - 1, program="0.1.9")
    code, _, err = serve(*PROVISION)
    assert code == 2
    line = f"kit=kits/north.kit: exists already, of protocol {PROTOCOL - 1} (wardround 0.1.9); this server speaks "
    assert err.startswith(line)
    Path("kits/north.kit").unlink()
    assert serve(*PROVISION)[0] == 0


def test_another_hospitals_kit_is_still_another_one(serve):
    serve(*PROVISION)
    serve("provision", "--hospital=south", "--out=kits", "--home=op")
    Path("kits/south.kit").rename(Path("kits/north.kit"))
    assert "is not north's kit" in serve(*PROVISION)[2]


def asks(monkeypatch, path, protocol, program):
    with monkeypatch.context() as release:
        release.setattr(speaker, "PROTOCOL", protocol)
        release.setattr(speaker, "installed_version", lambda: program)
        save_signed(sign_join_request("north", node_public_key(path.with_suffix(".node")), new_key()), path)
    return "enrol", f"--request={path}", f"--fingerprint={load_join_request(path).fingerprint}", "--home=op"


@pytest.mark.parametrize("protocol", [PROTOCOL - 1, PROTOCOL + 1])
def test_a_hospital_of_another_protocol_is_not_let_in(serve, tmp_path, monkeypatch, protocol):
    serve(*PROVISION)
    code, _, err = serve(*asks(monkeypatch, tmp_path / "north.request", protocol, "9.9.9"))
    older = "this server" if protocol > PROTOCOL else "north's agent"
    assert code == 2
    assert err == (
        f"request={tmp_path / 'north.request'}: north's agent speaks protocol {protocol} (wardround 9.9.9), this "
        f"server {this_speaker()}; upgrade {older}; the hospital then joins again\n"
    )
    assert load_operator_home(Path("op")).hospitals() == {}


def test_who_was_let_in_stays_in_when_the_server_is_upgraded(serve, tmp_path, monkeypatch):
    """Else every upgrade across protocols would shut out all hospitals until each joins again."""
    serve(*PROVISION)
    assert serve(*asks(monkeypatch, tmp_path / "north.request", PROTOCOL, "0.2.0"))[0] == 0
    code, out, _ = serve("status", "--home=op", "--json", protocol=PROTOCOL + 1)
    assert (code, list(json.loads(out)["hospitals"])) == (0, ["north"])


def test_status_says_which_hospitals_run_another_release(serve, capsys, monkeypatch):
    # Whatever else listens at the default port of this machine.
    monkeypatch.setattr(superlink, "is_listening", lambda _home: False)
    serve(*PROVISION)
    study = load_operator_home(Path("op")).study("tea")
    log = EventLog(study.events)
    log.write("announced", round=1)
    releases = AgentReleases(study, log)
    heard = {
        "north": Speaker(PROTOCOL, "0.2.99"),
        "south": Speaker(PROTOCOL - 1, "0.1.9"),
        "west": this_speaker(),
    }
    for hospital, one in [*heard.items()] * 3:
        releases.hear(hospital, one)
    AgentReleases(study, EventLog(study.events)).hear("north", heard["north"])  # resumed
    assert agents_heard(read_events(study.events)) == heard
    assert len([event for event in read_events(study.events) if event["event"] == AGENT]) == 3
    mine = this_speaker().program
    note = f"north: its agent runs wardround 0.2.99, this server {mine}; both speak protocol {PROTOCOL}"
    said = capsys.readouterr().err
    assert said.count(note) == 1
    assert said.count("its agent") == 1  # the rest is said by the round's own line
    _, out, _ = serve("status", "--home=op")
    assert f"server 127.0.0.1:8443: down; {this_speaker()}\n" in out
    assert f"  {note}\n" in out
    refused = (
        f"  south: its agent speaks protocol {PROTOCOL - 1} (wardround 0.1.9), this server {this_speaker()}; "
    )
    assert f"{refused}upgrade its agent\n" in out
    assert "west" not in out
    assert "study tea: running, round 0" in out  # an agent's release is not how the study stands


def test_a_damaged_event_is_left_out():
    events = [
        {"event": AGENT, "hospital": "north", "protocol": 2, "program": "0.2.0"},
        {"event": AGENT, "hospital": "south", "protocol": 2.5, "program": "0.2.0"},
        {"event": AGENT, "hospital": "south", "protocol": 2},
        {"event": AGENT, "protocol": 2, "program": "0.2.0"},
    ]
    assert agents_heard(events) == {"north": Speaker(2, "0.2.0")}
