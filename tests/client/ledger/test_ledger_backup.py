"""Copies of a ledger: whole or not there, put back only where nothing is forgotten, and what is left after a loss."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT
from wardround.client.home.home import load_home
from wardround.client.ledger import backup as copies
from wardround.client.ledger.head_file import read_head
from wardround.client.ledger.recover import UNKNOWN
from wardround.client.main import main
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key


@pytest.fixture
def kept(approved: Any, tmp_path: Path) -> Any:
    """A hospital after two rounds, with its terms kept; what it backs up lies outside its home."""
    approved.folder.joinpath("terms").mkdir()
    save_terms(sign_terms(approved.terms, approved.operator), approved.folder / "terms/tea.terms")
    approved.held = None
    for number in (1, 2):
        approved.held = approved.released(number).release.ledger_head
    approved.file = tmp_path / "backup"
    return approved


def run(hospital: Any, *words: object) -> int:
    hospital.stop()
    return main([*map(str, words), "--home", str(hospital.folder)])


def back_up(hospital: Any) -> None:
    assert run(hospital, "ledger", "backup", hospital.file) == 0


def lose(hospital: Any) -> None:
    """The disk died: the ledger is gone, the head outside with it."""
    hospital.stop()
    for file in hospital.folder.glob("ledger.*"):
        file.unlink()


def state(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def entries_of(file: Path, hospital: Any) -> int:
    return copies.read_copy(file, hospital.key.public).sequence


def test_a_backup_made_while_the_agent_runs_is_whole_and_restores_everything(kept: Any) -> None:
    assert main(["ledger", "backup", str(kept.file), "--home", str(kept.folder)]) == 0
    assert kept.file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in kept.file.parent.glob("*backup*")] == ["backup"]  # one file, no log
    stored = kept.released(2).release.vector.tobytes()
    spent = kept.epsilon
    kept.stop()
    (kept.folder / "ledger.sqlite").unlink()
    assert run(kept, "ledger", "restore", kept.file) == 0
    assert (kept.epsilon, kept.released(2).release.vector.tobytes()) == (spent, stored)
    kept.released(3, ledger_head=kept.held)


def test_a_newer_backup_takes_the_place_of_an_older_one_and_of_nothing_else(
    kept: Any, make_hospital: Any, capsys: Any
) -> None:
    back_up(kept)
    first = entries_of(kept.file, kept)
    kept.released(3)
    back_up(kept)
    assert entries_of(kept.file, kept) == first + 2
    for content in (b"a letter", b""):
        kept.file.write_bytes(content)
        assert run(kept, "ledger", "backup", kept.file) == 2
        assert "not an older backup of this ledger" in capsys.readouterr().err
        assert kept.file.read_bytes() == content
    before = state(kept.folder)
    assert run(kept, "ledger", "backup", kept.folder / "ledger.sqlite") == 2
    assert state(kept.folder) == before


@pytest.mark.parametrize("there", [True, False])
def test_an_older_backup_is_never_put_over_what_it_would_forget(kept: Any, there: bool, capsys: Any) -> None:
    back_up(kept)
    kept.released(3)
    kept.stop()
    if not there:
        (kept.folder / "ledger.sqlite").unlink()
    before = state(kept.folder)
    assert run(kept, "ledger", "restore", kept.file) == 2
    assert "recover" in capsys.readouterr().err
    assert state(kept.folder) == before


def test_without_the_head_outside_nobody_can_tell_and_nothing_is_restored(kept: Any, capsys: Any) -> None:
    back_up(kept)
    lose(kept)
    assert run(kept, "ledger", "restore", kept.file) == 2
    assert "ledger recover" in capsys.readouterr().err
    assert not (kept.folder / "ledger.sqlite").exists()


def test_a_whole_ledger_is_not_replaced_and_a_strangers_backup_never_taken(
    kept: Any, make_hospital: Any, capsys: Any
) -> None:
    back_up(kept)
    assert run(kept, "ledger", "restore", kept.file) == 2
    assert "nothing to restore" in capsys.readouterr().err
    other = make_hospital("south")
    assert run(other, "ledger", "restore", kept.file) == 2
    assert "not signed by this hospital's key" in capsys.readouterr().err


def test_a_changed_backup_is_not_put_back(kept: Any) -> None:
    back_up(kept)
    whole = kept.file.read_bytes()
    kept.stop()
    (kept.folder / "ledger.sqlite").unlink()
    with sqlite3.connect(kept.file) as database:
        database.execute("UPDATE stored SET payload = zeroblob(length(payload))")
    database.close()
    with pytest.raises(LedgerError, match="stored release"):
        copies.read_copy(kept.file, kept.key.public)
    for cut in (0, 1000, len(whole) // 2):
        kept.file.write_bytes(whole[:cut])
        assert run(kept, "ledger", "restore", kept.file) == 2
    kept.file.write_bytes(whole)
    assert run(kept, "ledger", "restore", kept.file) == 0


def test_a_stale_log_is_never_taken_for_the_restored_files(kept: Any) -> None:
    """A -wal that stayed beside the restored file would be read as its log."""
    back_up(kept)
    with sqlite3.connect(kept.file) as database:
        before = database.execute("SELECT hash FROM entries ORDER BY sequence").fetchall()
    database.close()
    running = state(kept.folder)
    kept.stop()
    (kept.folder / "ledger.sqlite").write_bytes(b"a damaged disk" * 1000)
    log, stale = kept.folder / "ledger.sqlite-wal", running.get("ledger.sqlite-wal") or b"x" * 5000
    log.write_bytes(stale)
    assert run(kept, "ledger", "restore", kept.file) == 0
    assert [(entry.hash,) for entry in kept.agent._ledger.entries()] == before
    assert list(kept.folder.glob("ledger.sqlite.aside*"))
    # Kept aside, unless SQLite itself removed it when it found that the damaged file is no database.
    assert not log.exists() or not log.read_bytes().startswith(stale)


# Every step of backup and restore, failing or killed.

STEPS = (
    "wardround.protocol.files.os.open",
    "wardround.client.ledger.store.copy_database",
    "wardround.client.ledger.backup.read_copy",
    "wardround.protocol.files.sync_file",
    "wardround.protocol.files.sync_folder",
)


def _full(*_: object) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_at_any_step_of_a_backup_leaves_what_was_there(
    kept: Any, step: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    back_up(kept)
    kept.released(3)
    kept.stop()
    before, home = kept.file.read_bytes(), state(kept.folder)
    ledger = load_home(kept.folder).open_ledger()
    if step.endswith("read_copy"):
        real, calls = copies.read_copy, []

        def second(*given: Any) -> Any:
            calls.append(1)
            return _full() if len(calls) == 2 else real(*given)

        monkeypatch.setattr(step, second)
    else:
        monkeypatch.setattr(step, _full)
    with pytest.raises(LedgerError, match="No space left on device"):
        copies.back_up(ledger, kept.key, kept.file)
    ledger.close()
    monkeypatch.undo()
    if step.endswith("sync_folder"):  # the new one has its name already, and is whole
        assert entries_of(kept.file, kept) > 0
    else:
        assert kept.file.read_bytes() == before
    assert not list(kept.file.parent.glob(".*.part*"))
    assert state(kept.folder) == home


@pytest.mark.parametrize("step", ["wardround.client.ledger.backup.copy_database", *STEPS[2:]])
def test_a_full_disk_at_any_step_of_a_restore_forgets_nothing(
    kept: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(kept)
    head, spent = read_head(kept.folder / "ledger.head"), kept.epsilon
    kept.stop()
    (kept.folder / "ledger.sqlite").write_bytes(b"a damaged disk" * 1000)
    if step.endswith("read_copy"):
        real, calls = copies.read_copy, []

        def second(*given: Any) -> Any:
            calls.append(1)
            return _full() if len(calls) == 2 else real(*given)

        monkeypatch.setattr(step, second)
    else:
        monkeypatch.setattr(step, _full)
    with pytest.raises(LedgerError, match="No space left on device"):
        copies.restore(kept.folder / "ledger.sqlite", kept.key, "test", kept.file)
    monkeypatch.undo()
    assert read_head(kept.folder / "ledger.head") == head
    if step.endswith("sync_folder"):
        assert kept.epsilon == spent
        return
    with pytest.raises(LedgerError):
        kept.agent  # noqa: B018
    assert run(kept, "ledger", "restore", kept.file) == 0
    assert kept.epsilon == spent


def test_a_disk_that_takes_no_more_bytes_leaves_no_half_a_backup(kept: Any) -> None:
    """The kernel itself refuses writes beyond a file's size, as a full disk does."""
    ledger = kept.agent._ledger
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
        with pytest.raises(LedgerError, match="nothing was changed"):
            copies.back_up(ledger, kept.key, kept.file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not kept.file.exists()
    assert not list(kept.file.parent.glob(".*.part*"))
    copies.back_up(ledger, kept.key, kept.file)


# One process forks a child for each point. The first counts the calls of the operating system and of SQLite that
# the act makes; each other one kills itself before one of them, spread over the whole act.
_KILLED = """
import os, signal, sys
from pathlib import Path
from wardround.client.home.home import load_home
from wardround.client.ledger import backup as copies

COUNTED = ("wardround.client.ledger", "wardround.protocol.files", "pathlib")
act, folder, file, points = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def take(number, die_at):
    place, seen = Path(f"{folder}{number}"), 0
    home = load_home(place)
    ledger = home.open_ledger() if act == "backup" else None
    def step(frame, event, argument):
        nonlocal seen
        if event == "c_call" and frame.f_globals["__name__"].startswith(COUNTED):
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(step)
    if act == "backup":
        copies.back_up(ledger, home.key, Path(f"{file}{number}"))
    else:
        copies.restore(place / "ledger.sqlite", home.key, "test", Path(f"{file}{number}"))
    sys.setprofile(None)
    Path(f"{folder}.calls").write_text(str(seen))

def forked(number, die_at):
    if os.fork() == 0:
        take(number, die_at)
        os._exit(0)
    return os.WTERMSIG(os.wait()[1])

forked(0, -1)
calls = int(Path(f"{folder}.calls").read_text())
print(*[forked(number, 1 + (number - 1) * calls // points) for number in range(1, points + 1)])
"""
POINTS = 30


@pytest.mark.slow
@pytest.mark.parametrize("act", ["backup", "restore"])
def test_killed_at_any_step_everything_is_as_it_was_or_done(kept: Any, tmp_path: Path, act: str) -> None:
    back_up(kept)
    older = kept.file.read_bytes()
    if act == "backup":
        kept.released(3)
    spent = kept.epsilon
    kept.stop()
    if act == "restore":
        (kept.folder / "ledger.sqlite").write_bytes(b"a damaged disk" * 1000)
    for number in range(POINTS + 1):
        shutil.copytree(kept.folder, tmp_path / f"home{number}")
        (tmp_path / f"file{number}").write_bytes(older)
    words = [
        sys.executable,
        "-P",
        "-c",
        _KILLED,
        act,
        str(tmp_path / "home"),
        str(tmp_path / "file"),
        str(POINTS),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.stdout.split() == ["9"] * POINTS, ran.stderr
    done = 0
    for number in range(1, POINTS + 1):
        if act == "backup":
            copy = tmp_path / f"file{number}"
            assert entries_of(copy, kept) == (7 if copy.read_bytes() == older else 9)
            done += copy.read_bytes() != older
            continue
        place = tmp_path / f"home{number}"
        try:
            ledger = load_home(place).open_ledger()
            done += 1
        except LedgerError:
            assert main(["ledger", "restore", str(kept.file), "--home", str(place)]) == 0
            ledger = load_home(place).open_ledger()
        assert ledger.spent("training", 1e-5) == spent
        ledger.close()
    assert 0 < done < POINTS


# After a loss.


def recover(hospital: Any, *words: object) -> int:
    return run(
        hospital, "ledger", "recover", *words, "--reason", "the disk died", "--person", "officer", "--yes"
    )


def test_after_a_loss_what_may_have_been_spent_is_charged_and_no_round_comes_again(
    kept: Any, terms_with: Any, capsys: Any
) -> None:
    back_up(kept)
    kept.held = kept.released(3).release.ledger_head
    lose(kept)
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 0
    event = PrivacyEvent(kept.terms.noise_multiplier, 1.0, 12)
    assert kept.epsilon == pytest.approx(compose_epsilon([event], 1e-5), rel=1e-6)
    assert kept.clause(4, ledger_head=kept.held) == "approval"  # every approval lapsed
    kept.approve()
    assert {kept.clause(number, ledger_head=kept.held) for number in (3, 4, 12)} == {"answered"}
    kept.released(2, ledger_head=kept.held)  # its stored bytes are in the backup
    another = terms_with(study="coffee", training={"rounds": 6}, noise_multiplier=20.0)
    kept.approve(another)
    kept.released(1, another, ledger_head=kept.held)
    (recovered,) = kept.entries("recovered")
    assert recovered.fields["heads"] == kept.held
    assert recovered.fields["reason"] == "the disk died (no other studies)"
    assert run(kept, "ledger", "verify", "--head", kept.held) == 0
    assert run(kept, "status") == run(kept, "ledger", "show") == 0
    said = capsys.readouterr().out
    assert "assumed" in said
    assert "recovered" in said


def test_unless_a_person_says_otherwise_all_of_the_budget_is_spent(kept: Any, terms_with: Any) -> None:
    back_up(kept)
    lose(kept)
    assert recover(kept, kept.file, "--head", kept.held) == 0
    for account in ("training", "held_out"):
        assert kept.agent._ledger.spent(account, 1e-5) > 5.0
    another = terms_with(study="coffee", noise_multiplier=1000.0)
    kept.approve(another)
    assert kept.clause(1, another, ledger_head=kept.held) == "max_epsilon_for_life"
    assert {entry.fields["study"] for entry in kept.entries("assumed")} == {"tea", UNKNOWN}
    kept.write_policy(max_epsilon_for_life=11.0)  # a person raises it, by hand
    kept.released(1, another, ledger_head=kept.held)


def test_a_charge_whose_answer_may_have_left_after_the_backup_is_not_computed_again(
    kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("wardround.client.round.leaving.encode_release", lambda release: 1 / 0)
        assert kept.agent.answer(kept.request(3)).payload is None  # charged, and late
    back_up(kept)
    kept.released(3)  # computed after the backup
    lose(kept)
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 0
    kept.approve()
    assert kept.clause(3, ledger_head=kept.held) == "answered"


def test_a_head_that_was_not_entered_is_refused_until_it_is(kept: Any) -> None:
    back_up(kept)
    kept.held = kept.released(3).release.ledger_head
    lose(kept)
    assert recover(kept, kept.file, "--no-other-studies") == 0
    kept.approve()
    assert kept.clause(4, ledger_head=kept.held) == "ledger_head"
    spent = kept.epsilon
    assert recover(kept, "--head", kept.held, "--no-other-studies") == 0
    kept.approve()
    assert kept.clause(4, ledger_head=kept.held) == "answered"
    assert kept.epsilon == spent  # charged once


def test_the_head_outside_is_entered_where_it_outlived_the_ledger(kept: Any) -> None:
    back_up(kept)
    kept.held = kept.released(3).release.ledger_head
    kept.stop()
    outside = read_head(kept.folder / "ledger.head")
    (kept.folder / "ledger.sqlite").unlink()
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 0
    (recovered,) = kept.entries("recovered")
    assert outside is not None
    assert set(recovered.fields["heads"].split()) == {kept.held, outside.hash}


def test_an_approved_study_without_its_terms_must_be_named(kept: Any, capsys: Any) -> None:
    back_up(kept)
    lose(kept)
    terms = kept.folder / "terms/tea.terms"
    elsewhere = terms.rename(kept.file.parent / "tea.terms")
    assert recover(kept, kept.file, "--no-other-studies") == 2
    assert "--terms FILE" in capsys.readouterr().err
    assert not (kept.folder / "ledger.sqlite").exists()
    assert recover(kept, kept.file, "--no-other-studies", "--terms", elsewhere) == 0
    assert len(kept.entries("assumed")) == 1


def test_a_lost_head_outside_is_recovered_from_what_lies_there(kept: Any) -> None:
    kept.stop()
    (kept.folder / "ledger.head").unlink()
    assert recover(kept, "--head", kept.held, "--no-other-studies") == 0
    assert len(kept.entries("charged")) == 2
    assert list(kept.folder.glob("ledger.sqlite.aside*"))


@pytest.mark.parametrize("whole", [True, False])
def test_an_older_backup_takes_no_entry_away_that_lies_in_the_ledgers_place(
    kept: Any, whole: bool, capsys: Any
) -> None:
    """A tired clerk names the backup, and the ledger was whole, or cut less far."""
    back_up(kept)
    kept.held = kept.released(3).release.ledger_head
    kept.stop()
    if not whole:
        (kept.folder / "ledger.head").unlink()
    before = state(kept.folder)
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 2
    assert "leave FILE out" in capsys.readouterr().err
    assert state(kept.folder) == before
    assert recover(kept, "--head", kept.held, "--no-other-studies") == 0
    assert len(kept.entries("charged")) == 3


@pytest.mark.parametrize("words", [["--head", "ab"], ["--head", "\x1b[31m" + "a" * 60]])
def test_what_is_no_head_is_refused(kept: Any, words: list[str], capsys: Any) -> None:
    back_up(kept)
    lose(kept)
    assert recover(kept, kept.file, *words) == 2
    said = capsys.readouterr().err
    assert "64 hexadecimal digits" in said
    assert "\x1b" not in said


def test_a_person_confirms_a_recovery(kept: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    back_up(kept)
    lose(kept)
    words = ["ledger", "recover", kept.file, "--reason", "x", "--person", "officer"]
    assert run(kept, *words) == 2
    assert "--yes" in capsys.readouterr().err

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return "no\n"

    monkeypatch.setattr("sys.stdin", Terminal())
    assert run(kept, *words) == 2
    assert not (kept.folder / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    "step", ["backup.put_in_place", "recover.put_in_place", "recover.write_head", "recover.copy_of"]
)
def test_a_recovery_that_fails_on_the_way_is_done_again(
    kept: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(kept)
    kept.held = kept.released(3).release.ledger_head
    kept.stop()
    (kept.folder / "ledger.sqlite").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(f"wardround.client.ledger.{step}", _full)
        code = recover(kept, kept.file, "--head", kept.held, "--no-other-studies")
    if code == 2:
        with pytest.raises(LedgerError):
            kept.agent  # noqa: B018
        file = [] if step == "recover.write_head" else [kept.file]  # the copy is in place by then
        assert recover(kept, *file, "--head", kept.held, "--no-other-studies") == 0
    assert kept.epsilon == pytest.approx(1.0, rel=0.01)
    kept.approve()
    assert kept.clause(3, ledger_head=kept.held) == "answered"


def test_nothing_is_put_back_under_an_agent_that_runs(
    kept: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    back_up(kept)
    monkeypatch.setattr("wardround.client.commands.ledger_keep.is_listening", lambda socket: True)
    for action in ("restore", "recover"):
        assert (
            run(kept, "ledger", action, kept.file, *(["--reason", "x"] if action == "recover" else [])) == 2
        )
        assert "stop it first" in capsys.readouterr().err


# A new operator's first study.


def test_at_a_new_operators_first_study_a_person_sees_the_last_entry_and_answers_for_it(
    kept: Any, terms_with: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    stranger = new_key()
    kept.write_policy(operators={"first": kept.operator.public, "second": stranger.public})
    file = kept.file.parent / "milk.terms"
    save_terms(sign_terms(terms_with(study="milk", noise_multiplier=40.0), stranger), file)
    epsilon, day = kept.epsilon, f"{datetime.now(UTC):%Y-%m-%d}"
    words = ["approve", file, "--reason", "x", "--person", "officer"]
    assert run(kept, *words, "--yes") == 2
    assert "--last-entry 7" in capsys.readouterr().err
    assert run(kept, *words, "--yes", "--last-entry", 5) == 2
    capsys.readouterr()

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return "milk\n"

    monkeypatch.setattr("sys.stdin", Terminal())
    assert run(kept, *words) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert f"last entry is number 7, of {day}" in said
    assert f"{epsilon:.4g} of training and 0 of held-out patients" in said
    assert "confirm these figures and that entry?" in said


def test_an_operator_who_had_a_release_is_not_asked_about(kept: Any, terms_with: Any) -> None:
    file = kept.file.parent / "milk.terms"
    save_terms(sign_terms(terms_with(study="milk", noise_multiplier=40.0), kept.operator), file)
    assert run(kept, "approve", file, "--reason", "x", "--person", "officer", "--yes") == 0


def test_a_new_home_on_old_tables_says_that_it_began_today(kept: Any, capsys: Any) -> None:
    """Its key is new, so the operator refuses its releases; and its person reads a ledger that is too young."""
    kept.stop()
    kept.begin_ledger(datetime.now(UTC) - timedelta(minutes=1))
    assert run(kept, "approve", kept.folder / "terms/tea.terms", "--reason", "x", "--yes") == 2
    said = capsys.readouterr().err
    assert "number 1, of" in said
    assert "ε = 0 of training and 0 of held-out" in said


def test_a_file_that_bears_a_ledgers_name_is_never_begun_over(tmp_path: Path) -> None:
    from wardround.client.ledger.sqlite import create_ledger

    now, key = datetime(2030, 1, 1, tzinfo=UTC), new_key()
    create_ledger(tmp_path / "ledger.sqlite", key, "test", now).close()
    (tmp_path / "ledger.sqlite").unlink()
    with pytest.raises(ConfigurationError, match="there was a ledger here"):
        create_ledger(tmp_path / "ledger.sqlite", key, "test", now)
    assert json.loads((tmp_path / "ledger.head").read_text())["sequence"] == 1


# A second line of entries, keys that were exchanged, and studies whose terms are gone.


def test_what_another_line_of_entries_charged_is_charged_beside_the_backup(kept: Any) -> None:
    """A machine set back to a snapshot went on, and round 3 left twice, with other noise: both are paid for."""
    early = {name: content for name, content in state(kept.folder).items() if name.startswith("ledger")}
    kept.stop()
    early |= {name: content for name, content in state(kept.folder).items() if name.startswith("ledger")}
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        early.pop(name, None)
    for number in range(3, 13):
        kept.held = kept.released(number).release.ledger_head
    back_up(kept)
    kept.stop()
    for file in kept.folder.glob("ledger.*"):
        file.unlink()
    for name, content in early.items():
        (kept.folder / name).write_bytes(content)
    for number in (3, 4, 5):
        kept.released(number)
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 0
    event = PrivacyEvent(kept.terms.noise_multiplier, 1.0, 12 + 3)
    assert kept.epsilon == pytest.approx(compose_epsilon([event], 1e-5), rel=1e-6)
    (assumed,) = kept.entries("assumed")
    assert (assumed.fields["study"], assumed.fields["releases"]) == ("tea", 3)


def test_rounds_of_an_operator_whose_new_key_is_recorded_again_come_no_second_time(
    kept: Any, terms_with: Any
) -> None:
    """The key was exchanged after the backup, and a study began under the new one: the old one's account pays."""
    back_up(kept)
    lose(kept)
    old, new = kept.operator, new_key()
    (kept.folder / "terms/tea.terms").unlink()
    save_terms(sign_terms(kept.terms, old), kept.file.parent / "old.terms")
    coffee = terms_with(study="coffee", training={"rounds": 6}, noise_multiplier=20.0)
    save_terms(sign_terms(coffee, new), kept.folder / "terms/coffee.terms")
    words = ("--terms", kept.file.parent / "old.terms", "--head", kept.held, "--no-other-studies")
    assert recover(kept, kept.file, *words) == 0
    spent = kept.epsilon
    who = ("--reason", "exchanged on 3 May", "--person", "officer")
    assert run(kept, "operators", "rotate", old.public, new.public, *who) == 0
    ledger = kept.agent._ledger
    assert ledger.spent("training", 1e-5, operator=old.public) == pytest.approx(spent)
    assert ledger.spent("training", 1e-5, operator=new.public) == pytest.approx(spent)
    assert kept.epsilon == spent
    kept.operator = new
    kept.approve(coffee)
    kept.write_policy(operators=f"{{consortium: '{old.public}'}}", max_epsilon_for_life=9)
    assert kept.clause(1, coffee, ledger_head=kept.held) == "answered"


def test_a_study_signed_again_with_the_operators_new_key_is_charged_once(kept: Any) -> None:
    new = new_key()
    who = {"reason": "exchanged", "person": "officer"}
    kept.agent._ledger.decide(
        "rotated", kept.agent._now(), operator=kept.operator.public, successor=new.public, **who
    )
    back_up(kept)
    lose(kept)
    save_terms(sign_terms(kept.terms, new), kept.folder / "terms/again.terms")
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 0
    event = PrivacyEvent(kept.terms.noise_multiplier, 1.0, 12)
    assert kept.epsilon == pytest.approx(compose_epsilon([event], 1e-5), rel=1e-6)


@pytest.mark.parametrize("how", ["declined", "unasked"])
def test_a_study_that_was_charged_needs_its_terms_whether_it_is_approved_or_not(
    kept: Any, how: str, capsys: Any
) -> None:
    """Declined on the day of the backup and approved again the day after; or no approval was asked for."""
    if how == "declined":
        kept.approve(kind="declined")
    else:
        kept.begin_ledger(datetime.now(UTC) - timedelta(days=30))
        kept.write_policy(require_approval="false")
        kept.stop()
        kept.held = kept.released(1).release.ledger_head
    back_up(kept)
    lose(kept)
    (kept.folder / "terms/tea.terms").unlink()
    assert recover(kept, kept.file, "--head", kept.held, "--no-other-studies") == 2
    assert "--terms FILE" in capsys.readouterr().err
