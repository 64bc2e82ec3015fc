"""``join``, ``init --request``, ``supernode`` and ``up``: a home from a kit, and what Flower's process may see."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from client.commands.up import Kept
from client.main import main
from client.new_home import NewHome, begin_home
from client.supernode import OWN_ADDRESS, command, environment, load_node_settings, node_public_key
from protocol.kit import Kit, load_join_request, save_kit
from protocol.signing import new_key
from server.certificates import new_root


@pytest.fixture
def kit(tmp_path):
    root = new_root("root", datetime.now(UTC)).certificate.decode()
    operator = new_key().public
    path = tmp_path / "north.kit"
    save_kit(Kit(hospital="north", address="127.0.0.1:1", root_certificate=root, operator=operator), path)
    return path


def joined(kit, home, capsys):
    code = main(["join", str(kit), "--home", str(home), "--json"])
    return code, capsys.readouterr()


def test_join_begins_a_home_and_asks_with_keys_made_here(kit, tmp_path, capsys):
    home = tmp_path / "north"
    code, said = joined(kit, home, capsys)
    assert code == 0
    plain = json.loads(said.out)
    assert plain["begun"]
    assert plain["server"].startswith("server=")
    assert "cannot be reached" in plain["server"]
    asked = load_join_request(home / "north.request")
    assert asked.signing_key == (home / "keys/hospital.key.pub").read_text().strip()
    assert asked.node_key == node_public_key(home / "supernode")
    assert json.loads(kit.read_text())["operator"] in (home / "policy.yaml").read_text()
    private = [path for path in (home / "supernode").iterdir() if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)


def test_joining_again_keeps_home_and_keys(kit, tmp_path, capsys):
    home = tmp_path / "north"
    joined(kit, home, capsys)
    before = load_join_request(home / "north.request")
    code, said = joined(kit, home, capsys)
    assert (code, json.loads(said.out)["begun"]) == (0, False)
    assert load_join_request(home / "north.request") == before


def test_another_hospitals_kit_is_refused(kit, tmp_path, capsys):
    assert main(["init", "--home", str(tmp_path / "south"), "--request"]) == 0
    assert load_join_request(tmp_path / "south/south.request").hospital == "south"
    code, said = joined(kit, tmp_path / "south", capsys)
    assert code == 2
    assert "take its own" in said.err
    assert not (tmp_path / "south/supernode/settings.json").exists()


@pytest.mark.parametrize("word", ["supernode", "up"])
def test_without_a_kit_nothing_starts(word, tmp_path, capsys):
    assert main([word, "--home", str(tmp_path)]) == 2
    assert "join KIT first" in capsys.readouterr().err


def test_flowers_process_is_told_nothing_but_its_own(kit, tmp_path, capsys):
    joined(kit, tmp_path / "north", capsys)
    settings = load_node_settings(tmp_path / "north/supernode")
    inherited = {"PATH": "/bin", "PGPASSWORD": "MARK", "WARDROUND_HOME": "MARK", "PYTHONPATH": "MARK"}
    told = environment(settings, inherited)
    assert "MARK" not in told.values()
    assert (told["FLWR_TELEMETRY_ENABLED"], told["FLWR_DISABLE_UPDATE_CHECK"]) == ("0", "1")
    line = command(settings)
    assert "--insecure" not in line
    assert line[line.index("--host") + 1] == OWN_ADDRESS


def test_a_child_that_ends_is_started_again_after_a_pause_that_doubles(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    child = Kept("agent", tmp_path)
    pauses = []
    now = 0.0
    for _ in range(6):
        child.look(now)
        child.process.wait(10)
        child.look(now)
        assert child.process is None
        pauses.append(child.due - now)
        child.look(now)
        assert child.process is None
        now = child.due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    child.stop()


STARTS = """
import sys, time
from pathlib import Path
from client.commands.up import Kept
agent = Kept("agent", Path(sys.argv[1]))
agent.look(0.0)
print(agent.process.pid, flush=True)
time.sleep(600)
"""


def test_the_agent_does_not_outlive_up(tmp_path, ends):
    begin_home(tmp_path / "north", NewHome(hospital="north"))
    line = [sys.executable, "-P", "-c", STARTS, tmp_path / "north"]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as parent:
        agent = int(parent.stdout.readline())
        parent.kill()
    assert ends(agent)
