"""The operator's backup: one moment of a home that changes, whole or not there, and never put back behind a head."""

import errno
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ROOT, release_to, simulated_terms
from wardround.client.network.supernode import node_public_key
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm import rounds
from wardround.server.commands import up
from wardround.server.dashboard.accounts import ROLES, operator_accounts
from wardround.server.main import main
from wardround.server.network.superlink import is_listening, reconcile_nodes
from wardround.server.store import backup as copies
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume, save_state
from wardround.server.store.enrolled import Enrolled
from wardround.server.store.event_log import EventLog, closed_rounds, read_events
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import is_of_restore, load_operator_home
from wardround.server.store.read_backup import read_backup
from wardround.server.store.restore import restore

NOW = datetime(2026, 5, 3, tzinfo=UTC)
ROUNDS = 40


def head(number):
    return f"{number:064x}"


def begun(folder, noise="local"):
    """A home with one study at its first round."""
    home = begin_operator_home(folder, "127.0.0.1:8443")
    terms = simulated_terms(noise=noise, rounds=ROUNDS)
    study = home.study("tea")
    study.folder.mkdir()
    save_terms(sign_terms(terms, home.key()), study.terms)
    state = rounds.init(terms)
    save_state(study.checkpoints, state)
    EventLog(study.events, quiet=True).write("announced", round=state.round)
    return home, terms, state


def go_on(home, terms, state):
    """Close one round as a served study does: head, log, state, next announced."""
    study, log = home.study("tea"), EventLog(home.study("tea").events, quiet=True)
    releases = [release_to(plan, np.full(6, state.round)) for plan in rounds.plans(state, terms)]
    home.heads.keep("north", head(state.round))
    state, summary = rounds.apply(state, terms, releases)
    log.round(summary, 1.0, ROUNDS)
    save_state(study.checkpoints, state)
    log.write("announced", round=state.round)
    return state


def tree(folder):
    """Every file of a home that counts, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("lock", ".lock")
    }


@pytest.fixture
def kept(tmp_path):
    """A home after three rounds, and a backup of it."""
    home, terms, state = begun(tmp_path / "op")
    for _ in range(3):
        state = go_on(home, terms, state)
    copies.back_up(home, tmp_path / "backup", NOW)
    return home, terms, state, tmp_path / "backup"


def test_what_is_restored_on_another_machine_is_what_was_backed_up(kept, tmp_path):
    home, terms, state, file = kept
    found = restore(tmp_path / "new", file, {}, {"tea": state.round})
    assert tree(tmp_path / "new") == tree(home.folder)
    assert (found.unfinished, found.aside) == (("tea",), None)
    assert load_operator_home(tmp_path / "new").key().public == home.key().public
    assert (tmp_path / "new/superlink/empty").is_dir()
    modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "new/secrets").iterdir()]
    assert modes == [0, 0, 0]
    assert file.stat().st_mode & 0o077 == 0
    assert resume(tmp_path / "new/studies/tea/checkpoints", terms).state.round == state.round


def test_a_backup_in_mid_study_is_one_moment_of_it(tmp_path):
    """Each copy is one that a power cut could have left: the log is ahead of the state by one round at most."""
    home, terms, state = begun(tmp_path / "op")
    stop = threading.Event()

    def run(state):
        while not stop.wait(0.002) and state.round < ROUNDS:
            state = go_on(home, terms, state)
        stop.set()

    writer = threading.Thread(target=run, args=(state,))
    writer.start()
    seen = set()
    try:
        for number in range(12):
            copies.back_up(home, tmp_path / f"file{number}", NOW)
    finally:
        stop.set()
        writer.join()
    for number in range(12):
        read_backup(tmp_path / f"file{number}", tmp_path / f"out{number}")
        there = load_operator_home(tmp_path / f"out{number}")
        resumed = resume(there.study("tea").checkpoints, terms)
        assert resumed.lost_rounds == ()
        closed = len(closed_rounds(read_events(there.study("tea").events)))
        assert closed - (resumed.state.round - 1) in (0, 1)
        # Of every round that the copy knows as closed, the head is there.
        heads = there.heads.known("north")
        assert {head(round_number) for round_number in range(1, closed + 1)} <= set(heads)
        seen.add(resumed.state.round)
    assert len(seen) > 1  # the study did go on meanwhile


def test_a_folder_that_never_stands_still_is_said_and_no_file_is_written(kept, tmp_path, monkeypatch):
    looks = iter(range(10**6))
    monkeypatch.setattr(copies, "_stamps", lambda unit: {unit / "gone": (next(looks), 0, 0, 0)})
    with pytest.raises(ConfigurationError, match="did not stand still"):
        copies.back_up(kept[0], tmp_path / "another", NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "op"]


def test_a_backup_is_put_in_an_older_ones_place_and_in_nothing_elses(kept, tmp_path):
    home, terms, state, file = kept
    older = file.read_bytes()
    go_on(home, terms, state)
    copies.back_up(home, file, NOW)
    assert file.read_bytes() != older
    other = begin_operator_home(tmp_path / "other", "127.0.0.1:8443")
    for taken in (file, home.key().public):
        path = file if taken == file else tmp_path / "letter"
        if path != file:
            path.write_text("a letter")
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="no backup of this operator"):
            copies.back_up(other, path, NOW)
        assert path.read_bytes() == before


def test_a_backup_in_the_home_itself_and_a_link_in_the_home_are_refused(kept):
    home = kept[0]
    with pytest.raises(ConfigurationError, match="lies in the home"):
        copies.back_up(home, home.folder / "backup", NOW)
    (home.folder / "policies/north.policy").symlink_to("/etc/hostname")
    with pytest.raises(ConfigurationError, match="is a link"):
        copies.back_up(home, home.folder.parent / "another", NOW)


@given(data=st.data())
def test_a_backup_with_any_byte_changed_or_cut_restores_nothing_else(data, tmp_path_factory):
    """Bytes that no reader of a tar looks at (padding) may change; what is restored is what was there, or nothing."""
    file = _small_backup(tmp_path_factory)
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        changed = content[:place]
    else:
        changed = (
            content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
        )
    whole = read_backup(file)
    bad = file.with_name("bad")
    bad.write_bytes(changed)
    try:
        found = read_backup(bad)
    except ConfigurationError:
        return
    assert found == whole


_SMALL = {}


def _small_backup(factory):
    if "file" not in _SMALL:
        folder = factory.mktemp("small")
        copies.back_up(begin_operator_home(folder / "op", "127.0.0.1:8443"), folder / "backup", NOW)
        _SMALL["file"] = folder / "backup"
    return _SMALL["file"]


def test_no_letter_of_what_a_backup_says_of_itself_may_change(tmp_path_factory):
    """Its time and its operator too; one that an earlier program wrote has no digest of these, and is read."""
    file = _small_backup(tmp_path_factory)
    content, whole = file.read_bytes(), read_backup(file)
    begun = content.index(b'{"digest"')
    ended = content.rindex(b"}") + 1
    bad = file.with_name("letters")
    for place in range(begun, ended):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ConfigurationError, match=r"backup="):
            read_backup(bad)
    plain = json.loads(content[begun:ended])
    del plain["digest"]
    older = canonical_json(plain)
    with tarfile.open(file) as archive, tarfile.open(bad, "w") as out:
        for entry in archive:
            kept = archive.extractfile(entry).read() if entry.name != "manifest.json" else older
            entry.size = len(kept)
            out.addfile(entry, io.BytesIO(kept))
    assert read_backup(bad) == whole


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "a//b", "."])
def test_no_name_in_a_backup_leads_out_of_the_folder(name, tmp_path):
    with tarfile.open(tmp_path / "bad", "w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(ConfigurationError, match="is not one that wardround-serve backup wrote"):
        read_backup(tmp_path / "bad", tmp_path / "into")
    assert not (tmp_path / "outside").exists()


def test_a_link_in_a_backup_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bad", "w") as archive:
        entry = tarfile.TarInfo("tls")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(entry)
    with pytest.raises(ConfigurationError, match="is not one that wardround-serve backup wrote"):
        read_backup(tmp_path / "bad", tmp_path / "into")


def test_restore_refuses_to_go_back_behind_a_head_that_was_held(kept):
    home, terms, state, file = kept
    state = go_on(home, terms, state)
    before = tree(home.folder)
    with pytest.raises(ConfigurationError, match=r"north's newest head, 0{16}…, is not in this backup"):
        restore(home.folder, file, {}, {"tea": state.round})
    assert tree(home.folder) == before
    # Nor where the home was put aside, by a restore that was killed.
    (home.folder / "aside1").mkdir()
    (home.folder / "heads").rename(home.folder / "aside1/heads")
    with pytest.raises(ConfigurationError, match="north's newest head"):
        restore(home.folder, file, {}, {"tea": state.round})


def test_restore_puts_aside_what_was_there(kept):
    home, _, state, file = kept
    home.tls("server.key").write_bytes(b"damaged")
    before = tree(home.folder)
    found = restore(home.folder, file, {}, {"tea": state.round})
    assert found.aside == home.folder / "aside1"
    assert tree(found.aside) == before
    assert home.tls("server.key").read_bytes() != b"damaged"
    # The next backup leaves it out.
    copies.back_up(home, file, NOW)
    assert not any(name.startswith("aside") for name in read_backup(file).files)


def test_a_head_that_a_hospital_tells_is_named_in_every_plan_from_then_on(kept, tmp_path):
    file = kept[3]
    told = head(77)
    restore(tmp_path / "new", file, {"north": told}, {"tea": 4})
    assert load_operator_home(tmp_path / "new").heads.newest("north") == told
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        restore(tmp_path / "newer", file, {"north": "77"}, {"tea": 4})


@pytest.mark.parametrize(
    ("noise", "asked", "goes_on_at"), [("local", 4, 4), ("local", 9, 10), ("secure", 4, 5), ("secure", 9, 10)]
)
def test_rounds_that_were_asked_after_the_backup_are_never_asked_again(noise, asked, goes_on_at, tmp_path):
    """Other weights for a charged round are refused, and a second set of survivors passes for a lie."""
    home, terms, state = begun(tmp_path / "op", noise)
    for number in (2, 3, 4):
        state = rounds.skip_to(state, number)
        save_state(home.study("tea").checkpoints, state)
    copies.back_up(home, tmp_path / "backup", NOW)
    restore(tmp_path / "new", tmp_path / "backup", {}, {"tea": asked})
    found = resume(tmp_path / "new/studies/tea/checkpoints", terms)
    assert found.state.round == goes_on_at
    assert found.lost_rounds == tuple(range(4, goes_on_at))
    # What is saved from then on counts, and the note about what was given up goes with the older states.
    for number in range(goes_on_at + 1, goes_on_at + 4):
        save_state(tmp_path / "new/studies/tea/checkpoints", rounds.skip_to(found.state, number))
    again = resume(tmp_path / "new/studies/tea/checkpoints", terms)
    assert (again.state.round, again.lost_rounds) == (goes_on_at + 3, ())


def test_a_study_that_may_not_be_read_is_not_left_out_of_a_backup(kept, monkeypatch):
    """As one that somebody began as another user: restored without it, nobody would know what was asked."""
    home, _, _, file = kept
    before, listed = file.read_bytes(), Path.iterdir

    def refused(self):
        if self.name == "checkpoints":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(
        ConfigurationError, match=r"tea/checkpoints: Permission denied\); nothing was changed"
    ):
        copies.back_up(home, file, NOW)
    assert file.read_bytes() == before


def test_a_full_disk_is_not_said_of_a_good_backup(kept, tmp_path, monkeypatch):
    _, _, state, file = kept
    sync = os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="there is no room for the backup's files") as said:
        restore(tmp_path / "new", file, {}, {"tea": state.round})
    assert "another copy" not in str(said.value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]
    monkeypatch.setattr(os, "fsync", sync)
    assert restore(tmp_path / "new", file, {}, {"tea": state.round}).unfinished == ("tea",)


@pytest.mark.parametrize("asked", [{}, {"tea": 3}, {"tea": ROUNDS + 1}, {"tea": 4, "coffee": 1}])
def test_restore_wants_the_last_round_of_every_study_that_had_not_ended(asked, kept, tmp_path):
    with pytest.raises(ConfigurationError, match="--asked"):
        restore(tmp_path / "new", kept[3], {}, asked)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new/.lock"]


def test_a_study_that_had_ended_needs_nothing(kept, tmp_path):
    home = kept[0]
    EventLog(home.study("tea").events, quiet=True).write("finished", releasable=True)
    copies.back_up(home, kept[3], NOW)
    assert restore(tmp_path / "new", kept[3], {}, {}).unfinished == ()


def test_restore_refuses_while_a_study_runs_and_another_operators_home(kept, tmp_path):
    home, _, state, file = kept
    with alone(home.study("tea").lock, "busy"), pytest.raises(ConfigurationError, match="running it"):
        restore(home.folder, file, {}, {"tea": state.round})
    other = begin_operator_home(tmp_path / "other", "127.0.0.1:8443")
    before = tree(other.folder)
    with pytest.raises(ConfigurationError, match="is another operator's"):
        restore(other.folder, file, {}, {"tea": state.round})
    assert tree(other.folder) == before


def test_the_superlinks_databases_are_copied_as_of_one_moment_while_they_are_written(kept, tmp_path):
    home, file = kept[0], kept[3]
    state, laid = (
        sqlite3.connect(home.folder / "superlink" / name, isolation_level=None, check_same_thread=False)
        for name in ("state.sqlite", "laid.sqlite")
    )
    for one in (state, laid):
        one.executescript("PRAGMA journal_mode=WAL; CREATE TABLE row (n INTEGER)")
    stop = threading.Event()

    def write():
        for number in range(10**6):
            if stop.is_set():
                return
            for one in (state, laid):
                one.execute("INSERT INTO row VALUES (?)", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies.back_up(home, file, NOW)
    finally:
        stop.set()
        writer.join()
        state.close()
        laid.close()
    read_backup(file, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out/superlink").iterdir())
    assert names == ["laid.sqlite", "state.sqlite"]
    for name in names:
        with sqlite3.connect(tmp_path / "out/superlink" / name) as copy:
            rows = [row[0] for row in copy.execute("SELECT n FROM row ORDER BY n")]
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()
        assert rows == list(range(len(rows)))


def test_who_was_shut_out_of_the_pages_after_the_backup_is_named_by_restore(
    kept, tmp_path, monkeypatch, capsys
):
    """The account is open again, by the password of then: whoever restores must know."""
    home, _, _, file = kept
    accounts = operator_accounts(home.folder)
    for name in ("ann", "bob"):
        accounts.add(name, name.title(), ROLES, "four white horses swim")
    accounts.set_disabled("bob", True)
    copies.back_up(home, file, NOW)
    accounts.set_disabled("ann", True)
    words = ["restore", str(file), "--home", str(home.folder), "--asked", "tea=4"]
    monkeypatch.setattr(sys, "argv", ["wardround-serve", *words])
    assert main() == 0
    assert "can log in to the pages, by the passwords of then: ann. Disable again" in capsys.readouterr().out
    assert operator_accounts(home.folder).find("ann", "four white horses swim") is not None
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accounts"] == ["ann"]


def test_the_commands_say_what_they_did_and_their_faults_end_with_2(kept, tmp_path, monkeypatch, capsys):
    home, file = kept[0], tmp_path / "by_command"

    def serve(*words):
        monkeypatch.setattr(sys, "argv", ["wardround-serve", *map(str, words)])
        return main()

    assert serve("backup", file, "--home", home.folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == len(read_backup(file).files)
    assert serve("backup", file, "--home", home.folder) == 0
    assert "encrypt it" in capsys.readouterr().out
    new = tmp_path / "new"
    assert serve("restore", file, "--home", new) == 2
    assert "--asked tea=N, from 4 to 40" in capsys.readouterr().err
    assert serve("restore", file, "--home", new, "--asked", "tea=four") == 2
    assert serve("restore", file, "--home", new, "--asked", "tea") == 2
    assert serve("restore", file, "--home", new, "--asked", "tea=4", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["unfinished"], said["hospitals"], said["aside"]) == (["tea"], [], None)
    monkeypatch.setattr("wardround.server.commands.restore.is_listening", lambda _: True)
    assert serve("restore", file, "--home", new, "--asked", "tea=4") == 2
    assert "its server is up" in capsys.readouterr().err


def serving(home, look):
    """Run a SuperLink in this home, as ``up`` does, for as long as ``look`` takes."""
    process = up._start(home, ["127.0.0.1"])
    try:
        deadline = time.monotonic() + 120
        while not is_listening(home):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return look()
    finally:
        up._end(process)


@pytest.mark.slow
@pytest.mark.flower
def test_a_server_goes_on_from_a_backup_that_was_made_while_it_ran(tmp_path):
    """Who was let in is; and who was revoked, with a key that is spent, is not let in again."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port = trial.getsockname()[1]
    home = begin_operator_home(tmp_path / "op", f"127.0.0.1:{port}")
    for name in ("north", "south"):
        node = node_public_key(tmp_path / f"{name}.node")
        save_signed(sign_join_request(name, node, new_key()), home.folder / f"hospitals/{name}.json")

    def at_first():
        assert sorted(reconcile_nodes(home, Enrolled(home).look()).came) == ["north", "south"]
        south = home.folder / "hospitals/south.json"
        request = south.read_bytes()
        south.unlink()
        assert len(reconcile_nodes(home, Enrolled(home).look()).went) == 1
        copies.back_up(home, tmp_path / "backup", NOW)
        return request

    request = serving(home, at_first)
    restore(tmp_path / "new", tmp_path / "backup", {}, {})
    new = load_operator_home(tmp_path / "new")
    (new.folder / "hospitals/south.json").write_bytes(request)

    def afterwards():
        done = reconcile_nodes(new, Enrolled(new).look())
        return list(done.came), list(done.went), list(done.spent)

    assert serving(new, afterwards) == ([], [], ["south"])


# One process forks a child for each point. The first counts the calls that the act makes of the operating system;
# each other one kills itself before one of them, spread over the whole act.
_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from wardround.server.store.backup import back_up
from wardround.server.store.operator_home import is_of_restore, load_operator_home
from wardround.server.store.restore import restore

COUNTED = ("wardround.server.store", "wardround.protocol.files", "pathlib", "tarfile", "shutil")
act, folder, file, points = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def take(number, die_at):
    place, seen = Path(f"{folder}{number}"), 0
    def step(frame, event, argument):
        nonlocal seen
        if event == "c_call" and frame.f_globals["__name__"].startswith(COUNTED):
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(step)
    if act == "backup":
        back_up(load_operator_home(place), Path(f"{file}{number}"), datetime(2026, 5, 4, tzinfo=UTC))
    else:
        restore(place, Path(f"{file}{number}"), {}, {"tea": 4})
    sys.setprofile(None)
    Path(f"{folder}.calls").write_text(str(seen))

def forked(number, die_at):
    if os.fork() == 0:
        take(number, die_at)
        os._exit(0)
    return os.WTERMSIG(os.wait()[1])

forked(0, -1)
calls = int(Path(f"{folder}.calls").read_text())
# The end of a restore is where files move: half of the points are in its last tenth.
half = points // 2
places = [1 + i * calls // half for i in range(half)] + [calls - i * (calls // 10) // half for i in range(half)]
print(*[forked(number, place) for number, place in enumerate(places, 1)])
"""
POINTS = 60


def killed(act, tmp_path):
    words = [sys.executable, "-P", "-c", _KILLED, act, tmp_path / "home", tmp_path / "file", POINTS]
    done = subprocess.run([*map(str, words)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9"] * POINTS


@pytest.mark.slow
def test_a_backup_killed_at_any_step_leaves_the_older_or_the_new_one(kept, tmp_path):
    home, _, _, file = kept
    older = read_backup(file)
    for number in range(POINTS + 1):
        shutil.copytree(home.folder, tmp_path / f"home{number}")
        shutil.copy(file, tmp_path / f"file{number}")
    killed("backup", tmp_path)
    made = set()
    for number in range(1, POINTS + 1):
        found = read_backup(tmp_path / f"file{number}")
        assert found.files == older.files
        made.add(found.made)
        assert tree(tmp_path / f"home{number}") == tree(
            home.folder
        )  # a killed one leaves .part alone, outside
    assert len(made) == 2


@pytest.mark.slow
def test_a_restore_killed_at_any_step_loses_nothing_and_is_completed_by_the_same_command(kept, tmp_path):
    home, _, _, file = kept
    old = tmp_path / "damaged"
    shutil.copytree(home.folder, old)
    (old / "tls/root.key").write_bytes(b"damaged")
    (old / "notes").write_text("of a person, in no backup")
    was, will_be = tree(old), tree(home.folder)
    for number in range(POINTS + 1):
        shutil.copytree(old, tmp_path / f"home{number}")
        shutil.copy(file, tmp_path / f"file{number}")
    killed("restore", tmp_path)
    ways = set()
    for number in range(1, POINTS + 1):
        folder = tmp_path / f"home{number}"
        there = {name: content for name, content in tree(folder).items() if not _of_restore(name)}
        if (folder / "operator.json").exists():
            assert there in (was, will_be)
        ways.add("was" if there == was else "done" if there == will_be else "between")
        restore(folder, tmp_path / f"file{number}", {}, {"tea": 4})
        whole = tree(folder)
        assert {name: content for name, content in whole.items() if not _of_restore(name)} == will_be
        kept_aside = {name.partition("/")[2]: content for name, content in whole.items() if _of_restore(name)}
        assert kept_aside["notes"] == was["notes"]
        assert b"damaged" in [content for name, content in whole.items() if name.endswith("tls/root.key")]
    assert ways >= {"was", "between"}


def _of_restore(name):
    return is_of_restore(name.partition("/")[0])
