"""``up``: what it makes of a folder of hospitals that changes under its eyes."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from wardround.client.network.supernode import node_public_key
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.server.commands import up
from wardround.server.network.superlink import Reconciled
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.enrolled import Enrolled, Roll


@pytest.fixture
def home(tmp_path):
    (tmp_path / "hospitals").mkdir()
    return SimpleNamespace(folder=tmp_path, address="a")


def looks(monkeypatch, home, answers):
    """Look once for each answer of the list's; what was held."""
    held, coming = up._Held(SimpleNamespace(look=lambda: Roll({}))), iter(answers)

    def reconcile(_, roll):
        answer = next(coming)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(up, "reconcile_nodes", reconcile)
    for _ in answers:
        held.look(home)
    return held


@pytest.mark.parametrize(
    "trouble", [ConfigurationError("file=north.json: is damaged"), OSError(5, "an error of the disk")]
)
def test_a_file_that_cannot_be_read_is_said_once_and_the_list_stays(trouble, monkeypatch, home, capsys):
    came = Reconciled(["north"], [], [])
    held = looks(monkeypatch, home, [trouble, trouble, trouble, came, AssertionError("asked again")])
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "could not be synced" in line] == said[:1]
    assert said[1:] == ["north may connect"]
    assert held.trouble.differs(str(trouble))  # news again, where it comes back


def test_a_file_that_goes_between_two_looks_is_gone_and_another_that_is_damaged_holds_up_nobody(
    monkeypatch, home, capsys
):
    synced = []
    monkeypatch.setattr(up, "reconcile_nodes", lambda _, roll: synced.append(roll) or Reconciled([], [], []))
    (home.folder / "hospitals/south.json").symlink_to("nowhere")  # listed, and not there
    (home.folder / "hospitals/west.json").write_text('{"hospi')
    held = up._Held(Enrolled(home))
    for _ in range(3):
        held.look(home)
    assert synced == [Roll({}, ("west",))]
    (said,) = capsys.readouterr().err.splitlines()
    assert "west.json: is of an earlier version" in said
    assert "counts as not enrolled" in said


def away(folder, number, during):
    """Take a folder away, or the right to read it."""
    if number is None:
        folder.rename(folder.with_name("elsewhere"))
        return
    listed = Path.iterdir

    def refused(self):
        if self == folder:
            raise OSError(number, os.strerror(number), str(self))
        return listed(self)

    during.setattr(Path, "iterdir", refused)


@pytest.mark.parametrize("number", [None, errno.EACCES, errno.EIO])
def test_a_folder_of_hospitals_that_is_away_shuts_nobody_out(number, home, monkeypatch, capsys):
    """Who is shut out is so for good: a disk that is away for a second would have cost every hospital its key."""
    synced, folder = [], home.folder / "hospitals"
    request = sign_join_request("north", node_public_key(home.folder / "node.key"), new_key())
    save_signed(request, folder / "north.json")

    def sync(_, roll):
        synced.append(sorted(roll.hospitals))
        return Reconciled([], [], [])

    monkeypatch.setattr(up, "reconcile_nodes", sync)
    held = up._Held(Enrolled(home))
    held.look(home)
    with monkeypatch.context() as during:
        away(folder, number, during)
        for _ in range(3):
            held.look(home)
        up._Held(Enrolled(home)).look(home)  # of a server that is started meanwhile
    if number is None:
        folder.with_name("elsewhere").rename(folder)
    said = capsys.readouterr().err
    assert said.count("until it can, all hospitals count as before") == 1
    assert said.count("nobody is let in, and nobody shut out") == 1
    held.look(home)
    assert synced == [["north"]]
    (folder / "north.json").unlink()
    held.look(home)
    assert synced == [["north"], []]


STARTS = """
import sys, time
from pathlib import Path
from wardround.server.commands import up
from wardround.server.store.operator_home import load_operator_home
print(up._start(load_operator_home(Path(sys.argv[1])), ["127.0.0.1"]).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_the_superlink_does_not_outlive_up(tmp_path, ends):
    """With nobody to hold its list of nodes, whoever is revoked would stay in."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port = trial.getsockname()[1]
    home = begin_operator_home(tmp_path / "op", f"127.0.0.1:{port}")
    line = [sys.executable, "-P", "-c", STARTS, home.folder]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as parent:
        superlink = int(parent.stdout.readline())
        parent.kill()
    assert ends(superlink)


@pytest.mark.parametrize(("left", "words"), [(12, "expires in 12 days"), (-1, "has expired"), (300, "")])
def test_a_server_that_runs_for_months_says_when_its_certificate_ends(left, words, monkeypatch, home, capsys):
    looks_left = iter([None, None, 0])
    monkeypatch.setattr(up, "days_left", lambda _: left)
    monkeypatch.setattr(up, "is_listening", lambda _: True)
    monkeypatch.setattr(up, "reconcile_nodes", lambda _, roll: Reconciled([], [], []))
    monkeypatch.setattr(up, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(up, "DAY_SECONDS", 0.0)
    home.tls = lambda name: home.folder / name
    up._keep(home, SimpleNamespace(poll=lambda: next(looks_left)))
    warnings = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert len(warnings) == (2 if words else 0)
    assert all(words in line and "wardround-serve renew" in line for line in warnings)
