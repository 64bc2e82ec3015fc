"""Attacks on a running federation: strangers, thieves, a taken-over operator's app, two gigabytes."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from wardround.client.home.home import load_home
from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.store.operator_home import load_operator_home
from wardround.simulations.loopback.federation import OPERATOR, Loopback

pytestmark = [pytest.mark.slow, pytest.mark.flower]

AGENT, NODE = 64001, 64002  # users that exist nowhere else
ROUNDS = 2


def test_strangers_and_thieves_are_not_let_in(stage):
    """Not enrolled: refused. Enrolled: let in. Revoked: refused, with the very key that was let in."""
    stage.wait(lambda: stage.activated() >= 2, "both hospitals to connect")
    loopback, kits = stage.loopback, stage.loopback.folder / "more"
    loopback.serve("provision", "--hospital", "west", "--out", str(kits))
    loopback.join("west", kits / "west.kit")
    before = stage.activated()
    start_thief(stage)
    stage.wait(lambda: refused(stage), "the stranger's refusal", 60)
    assert stage.activated() == before
    end(stage)
    loopback.enrol("west")
    stage.wait(lambda: "west may connect" in loopback.log("server"), "west to be let in", 30)
    stage.start_supernode("west")
    stage.wait(lambda: stage.activated() > before, "west to connect", 60)
    end(stage)
    loopback.serve("revoke", "--hospital=west")
    stage.wait(lambda: "can no longer connect" in loopback.log("server"), "west to be cut off", 30)
    before = stage.activated()
    (loopback.folder / "west-supernode.log").unlink()
    start_thief(stage)
    stage.wait(lambda: refused(stage), "the thief's refusal", 60)
    assert stage.activated() == before
    end(stage)


def start_thief(stage):
    """Start a SuperNode that does not ask first whether it is let in, as the hospital's own command does."""
    program = "import sys, pathlib; from wardround.client.network.supernode import become_supernode as go"
    folder = stage.loopback.home("west") / "supernode"
    stage.start("west-supernode", ["-c", f"{program}; go(pathlib.Path(sys.argv[1]))", folder])


def refused(stage):
    ended = stage.loopback.processes["west-supernode"].poll()
    return ended is not None or "401" in stage.loopback.log("west-supernode")


def end(stage):
    stage.loopback.stop("west-supernode")


def connection(stage):
    home = load_operator_home(stage.loopback.home(OPERATOR))
    trust = ssl.create_default_context(cafile=str(home.tls("root.crt")))
    return http.client.HTTPSConnection("127.0.0.1", home.port, timeout=60, context=trust)


def resident_kilobytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_two_gigabytes_are_not_taken(stage):
    """Without an enrolled key nothing is read, however large it is said to be; memory stays where it was."""
    stage.wait(lambda: stage.activated() >= 2, "both hospitals to connect")
    before = resident_kilobytes(stage.superlink())
    asked = connection(stage)
    asked.putrequest("POST", "/v1/fleet/push-object")
    asked.putheader("Content-Length", str(2**31))
    asked.endheaders()
    assert asked.getresponse().status == 401
    asked.close()
    streamed, part, sent = connection(stage), b"x" * 2**20, 0
    streamed.putrequest("POST", "/v1/fleet/push-object")
    streamed.putheader("Transfer-Encoding", "chunked")
    streamed.endheaders()
    with suppress(OSError):
        while sent < 2**31:
            streamed.send(b"%x\r\n%s\r\n" % (len(part), part))
            sent += len(part)
    streamed.close()
    assert sent < 2**31
    assert resident_kilobytes(stage.superlink()) < before + LARGEST_BODY // 1024


def test_nothing_is_spoken_in_plain_text_and_nothing_is_reported(stage):
    stage.wait(lambda: stage.activated() >= 2, "both hospitals to connect")
    port = load_operator_home(stage.loopback.home(OPERATOR)).port
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        plain.settimeout(10)
        with suppress(ConnectionError):
            assert not plain.recv(100).startswith(b"HTTP/")
    told = [
        stage.superlink(),
        *(stage.loopback.processes[f"{name}-supernode"].pid for name in stage.hospitals),
    ]
    for pid in told:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"FLWR_TELEMETRY_ENABLED=0" in environment
        assert b"FLWR_DISABLE_UPDATE_CHECK=1" in environment
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"--insecure" not in line
        assert b"--ssl-certfile" in line or b"--root-certificates" in line


@pytest.fixture
def users():
    """A folder that other users may enter; skips where this process cannot become them."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("root and setpriv are lacking: another user's rights cannot be tried")
    folder = Path(tempfile.mkdtemp(prefix="wardround-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def give(folder, user, mode):
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user, user)
    folder.chmod(mode)


def as_user(folder, user, groups, *command):
    return [Path(__file__).with_name("as_user.py"), folder, user, groups, sys.executable, "-P", *command]


def settle(loopback):
    """Move the SuperNode's folder and the socket out of the agent's home, and give each to its user."""
    home, node = loopback.home("north"), loopback.folder / "node"
    run = loopback.folder / "run"
    run.mkdir()
    node.mkdir()
    settings = home / "hospital.yaml"
    text = "".join(line for line in settings.read_text().splitlines(True) if not line.startswith("socket"))
    settings.write_text(f"socket: {run}/agent.sock\n{text}")
    (home / "supernode").rename(node / "supernode")
    told = node / "supernode/settings.json"
    told.write_text(json.dumps({**json.loads(told.read_text()), "socket": f"{run}/agent.sock"}))
    give(home, AGENT, 0o700)
    give(run, AGENT, 0o750)
    give(node, NODE, 0o700)
    loopback.home(OPERATOR).chmod(0o700)
    return node


def ship_hostile(loopback, home):
    app = loopback.folder / "hostile"
    shutil.copytree(Path(__file__).with_name("hostile"), app)
    inside = [str(path) for path in (home, *home.rglob("*"))]
    of_the_operator = [str(loopback.home(OPERATOR)), str(loopback.home(OPERATOR) / "operator.key")]
    known = {
        "OPERATOR_KEY": (loopback.home(OPERATOR) / "operator.key").read_text(),
        "PATHS": inside + of_the_operator,
        "ROUNDS": ROUNDS,
    }
    (app / "known.py").write_text("".join(f"{name} = {value!r}\n" for name, value in known.items()))
    return app


def test_a_hostile_app_is_not_run_and_as_the_supernodes_user_would_read_and_spend_nothing(users, make_stage):
    """An operator taken over, key and all, ships another app than the shim through the real path.

    It is not run. Then once more without that check, to see that the other walls hold by themselves.
    """
    with Loopback(users, ["north"]) as loopback:
        loopback.provision()
        stage = make_stage(loopback)
        settings = loopback.settings("taken", ROUNDS)
        loopback.approve("taken", *settings)
        stage.settings["taken"] = [*settings, "--round-seconds=300", "--wait-seconds=300", "--quorum=1"]
        node = settle(loopback)
        home = loopback.home("north")
        loopback.start_server()
        agent = ["-m", "wardround.client.main", "agent", "--home", home]
        stage.start("north-agent", as_user(users, AGENT, "", *agent))
        supernode = ["-m", "wardround.client.main", "supernode", "--home", node]
        stage.start("north-supernode", as_user(users, NODE, AGENT, *supernode))
        stage.wait(stage.activated, "the SuperNode to be let in")
        os.environ["WARDROUND_SHIPPED_APP"] = str(ship_hostile(loopback, home))
        try:
            stage.start_study("taken")
        finally:
            del os.environ["WARDROUND_SHIPPED_APP"]
        report = node / "supernode/flwr/report.json"
        refused = "not run, since it is not the shim"
        stage.wait(lambda: refused in loopback.log("north-supernode"), "the SuperNode to refuse the app", 240)
        assert not report.exists()
        assert list((node / "supernode/flwr").glob("apps/*")) == []
        any_app = Path(__file__).with_name("any_app.py")
        stage.start("north-supernode", as_user(users, NODE, AGENT, any_app, node))
        stage.wait(report.exists, f"the app's report; {loopback.log('north-supernode')[-2000:]}", 240)
        found = json.loads(report.read_text())
        assert (found["user"], found["groups"]) == (NODE, [AGENT])
        assert found["read"] == []
        assert found["answers"] == {"round": 800, "approval": 100, "operators": 100}
        stage.kill("study")
        ledger = load_home(home).open_ledger()
        kinds = [entry.kind for entry in ledger.entries()]
        ledger.close()
        assert "charged" not in kinds
        assert (
            json.loads(loopback.hospital("north", "ledger", "verify", "--json"))["epsilon"]["training"] == 0
        )


def test_what_it_would_read_with_the_agents_rights(users):
    """The test above can fail: with the agent's own rights its list of files opens."""
    secret = users / "home"
    secret.mkdir()
    (secret / "messages.csv").write_text("patient\n")
    give(secret, AGENT, 0o700)
    code = f"open({str(secret / 'messages.csv')!r}).read()"
    for user, returns in ((AGENT, 0), (NODE, 1)):
        line = [sys.executable, "-P", *map(str, as_user(users, user, "", "-c", code))]
        assert subprocess.run(line, check=False, capture_output=True).returncode == returns
