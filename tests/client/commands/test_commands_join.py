"""``join``, ``init --request``, ``supernode`` and ``up``: a home from a kit, and what Flower's process may see."""

import hashlib
import io
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from wardround.client.commands.up import Kept
from wardround.client.home.new_home import begin_home
from wardround.client.home.settings_text import NewHome
from wardround.client.main import main
from wardround.client.network.supernode import (
    OWN_ADDRESS,
    command,
    environment,
    load_node_settings,
    node_public_key,
)
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire import speaker
from wardround.protocol.wire.kit import load_join_request, load_kit, sign_kit
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.speaker import PROTOCOL
from wardround.server.store.certificates import new_root


@pytest.fixture
def kit(tmp_path):
    root = new_root("root", datetime.now(UTC)).certificate.decode()
    path = tmp_path / "north.kit"
    save_signed(sign_kit("north", "127.0.0.1:1", root, new_key()), path)
    return path


def joined(kit, home, capsys):
    told = load_kit(kit).fingerprint
    code = main(["join", str(kit), "--home", str(home), "--json", "--fingerprint", told])
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
    assert load_kit(kit).operator in (home / "policy.yaml").read_text()
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
    assert "ask for its own kit" in said.err
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
from wardround.client.commands.up import Kept
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


class Terminal:
    """A terminal at which somebody types."""

    def __init__(self, typed):
        self.typed = typed

    def isatty(self):
        return True

    def readline(self):
        return f"{self.typed}\n"


def changed(kit, path, key=None):
    """A kit with another root certificate and address, the operator's key as it was, or re-signed by a stranger's."""
    line, body, _ = kit.read_bytes().split(b"\n")
    root = new_root("Wardround study root", datetime.now(UTC)).certificate.decode()
    if key is None:
        plain = json.loads(body) | {"root_certificate": root, "address": "203.0.113.9:443"}
        path.write_bytes(line + b"\n" + canonical_json(plain) + b"\n")
    else:
        save_signed(sign_kit("north", "203.0.113.9:443", root, key), path)
    return path


def test_a_kit_with_root_and_address_exchanged_is_refused(kit, tmp_path, capsys):
    other = changed(kit, tmp_path / "other.kit")
    code = main(["join", str(other), "--home", str(tmp_path / "north"), "--fingerprint", "0"])
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "other.kit: its signature does not fit" in said.err
    assert not (tmp_path / "north").exists()


def test_a_kit_that_a_stranger_signed_has_another_fingerprint(kit, tmp_path, capsys):
    other, home = changed(kit, tmp_path / "other.kit", new_key()), tmp_path / "north"
    told = load_kit(kit).fingerprint
    assert main(["join", str(other), "--home", str(home), "--fingerprint", told]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"its fingerprint is {load_kit(other).fingerprint}, another one than you gave" in said.err
    assert not home.exists()
    assert main(["join", str(kit), "--home", str(home), "--fingerprint", told.replace(" ", "").upper()]) == 0


@pytest.mark.parametrize("part", [slice(0, 4), slice(0, 34), slice(5, 39), slice(0, 0)])
def test_a_part_of_a_fingerprint_is_none(part, kit, tmp_path):
    told = load_kit(kit).fingerprint[part]
    assert main(["join", str(kit), "--home", str(tmp_path / "north"), "--fingerprint", told]) == 2
    assert not (tmp_path / "north").exists()


def test_a_fingerprint_covers_every_part_of_a_kit(tmp_path):
    """16 bytes of the file's SHA-256, as sha256sum shows them."""
    key, other = new_key(), new_key()
    roots = [new_root("root", datetime.now(UTC)).certificate.decode() for _ in range(2)]
    parts = [
        ("north", "a.example:1", roots[0], key),
        ("south", "a.example:1", roots[0], key),
        ("north", "b.example:1", roots[0], key),
        ("north", "a.example:1", roots[1], key),
        ("north", "a.example:1", roots[0], other),
    ]
    kits = [sign_kit(*one) for one in parts]
    assert len({kit.fingerprint for kit in kits}) == len(kits)
    digest = hashlib.sha256(kits[0].content).hexdigest()
    assert kits[0].fingerprint.replace(" ", "") == digest[:32]


def test_nobody_at_the_terminal_and_no_fingerprint_writes_nothing(kit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["join", str(kit), "--home", str(tmp_path / "north")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "give --fingerprint" in said.err
    assert load_kit(kit).fingerprint not in said.err  # or it is copied from there, and compared with nobody
    assert not (tmp_path / "north").exists()


@pytest.mark.parametrize(("typed", "code"), [("yes", 0), ("", 2), ("y", 2), ("no", 2)])
def test_a_person_is_shown_the_fingerprint_and_asked_before_anything_is_written(
    kit, tmp_path, monkeypatch, capsys, typed, code
):
    home, seen = tmp_path / "north", []

    class Looks(Terminal):
        def readline(self):
            seen.append((home.exists(), capsys.readouterr().err))
            return super().readline()

    monkeypatch.setattr(sys, "stdin", Looks(typed))
    assert main(["join", str(kit), "--home", str(home)]) == code
    ((existed, shown),) = seen
    assert not existed
    assert load_kit(kit).fingerprint in shown
    assert "127.0.0.1:1" in shown
    assert home.exists() == (code == 0)


def test_a_kit_of_an_operator_whom_the_policy_does_not_list_is_refused(kit, tmp_path, capsys):
    home = tmp_path / "north"
    joined(kit, home, capsys)
    before = (home / "supernode/settings.json").read_bytes()
    code, said = joined(changed(kit, tmp_path / "other.kit", new_key()), home, capsys)
    assert code == 2
    assert "policy.yaml does not list" in said.err
    assert (home / "supernode/settings.json").read_bytes() == before


def test_a_kit_signed_by_the_operators_next_key_is_taken_once_that_is_recorded(kit, tmp_path, capsys):
    home, successor = tmp_path / "north", new_key()
    joined(kit, home, capsys)
    after = changed(kit, tmp_path / "after.kit", successor)
    assert joined(after, home, capsys)[0] == 2
    words = ["operators", "rotate", load_kit(kit).operator, successor.public, "--reason", "new key"]
    assert main([*words, "--home", str(home), "--person", "R. Diaz"]) == 0
    assert joined(after, home, capsys)[0] == 0
    assert joined(kit, home, capsys)[0] == 2  # the key before is out of use


def test_a_home_that_lists_no_operator_is_told_so(kit, tmp_path, capsys):
    home = tmp_path / "north"
    assert main(["init", "--home", str(home)]) == 0
    told = load_kit(kit).fingerprint
    capsys.readouterr()
    assert main(["join", str(kit), "--home", str(home), "--fingerprint", told]) == 0
    assert "policy.yaml lists no operator" in capsys.readouterr().out


def test_join_shows_the_fingerprint_of_the_request_that_it_wrote(kit, tmp_path, capsys):
    home = tmp_path / "north"
    assert main(["join", str(kit), "--home", str(home), "--fingerprint", load_kit(kit).fingerprint]) == 0
    assert load_join_request(home / "north.request").fingerprint in capsys.readouterr().out
    plain = json.loads(joined(kit, home, capsys)[1].out)
    assert plain["request_fingerprint"] == load_join_request(home / "north.request").fingerprint
    assert plain["kit_fingerprint"] == load_kit(kit).fingerprint


def test_init_shows_the_fingerprint_of_the_request_that_it_wrote(tmp_path, capsys):
    home = tmp_path / "north"
    assert main(["init", "--home", str(home), "--request"]) == 0
    assert load_join_request(home / "north.request").fingerprint in capsys.readouterr().out


def test_a_kit_of_0_1_0_is_refused_with_what_to_do(kit, tmp_path, capsys):
    old = json.loads(kit.read_bytes().split(b"\n")[1])
    plain = old | {"format": "wardround-kit-1", "operator": load_kit(kit).operator}
    (tmp_path / "old.kit").write_bytes(canonical_json(plain) + b"\n")
    assert main(["join", str(tmp_path / "old.kit"), "--home", str(tmp_path / "north")]) == 2
    assert "is of an earlier version; ask the operator for the file again" in capsys.readouterr().err


@pytest.mark.parametrize("other", [PROTOCOL - 1, PROTOCOL + 1])
def test_a_kit_of_another_protocol_begins_nothing(other, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as release:
        release.setattr(speaker, "PROTOCOL", other)
        release.setattr(speaker, "installed_version", lambda: "9.9.9")
        root = new_root("root", datetime.now(UTC)).certificate.decode()
        save_signed(sign_kit("north", "127.0.0.1:1", root, new_key()), tmp_path / "other.kit")
    code, said = joined(tmp_path / "other.kit", tmp_path / "north", capsys)
    older = "this installation" if other > PROTOCOL else "the operator's server"
    assert (code, said.out) == (2, "")
    assert said.err == (
        f"kit={tmp_path / 'other.kit'}: the operator's server speaks protocol {other} (wardround 9.9.9), this "
        f"installation {speaker.this_speaker()}; upgrade {older}, or ask for a new kit where that was done already\n"
    )
    assert not (tmp_path / "north").exists()


def test_a_kit_of_another_release_of_this_protocol_is_taken(tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as release:
        release.setattr(speaker, "installed_version", lambda: "9.9.9")
        root = new_root("root", datetime.now(UTC)).certificate.decode()
        save_signed(sign_kit("north", "127.0.0.1:1", root, new_key()), tmp_path / "other.kit")
    code, _ = joined(tmp_path / "other.kit", tmp_path / "north", capsys)
    assert code == 0
    assert load_join_request(tmp_path / "north/north.request").speaker == speaker.this_speaker()
