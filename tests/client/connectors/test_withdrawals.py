"""The list of withdrawals: whole or not at all, each record once, and never forgotten because of a byte."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.client.connectors import withdrawals
from wardround.client.connectors.withdrawals import AGAIN, WITHDRAWALS, Withdrawal, WithdrawalList
from wardround.protocol.errors import ConfigurationError, TableError

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def word(patient: str = "P-1", **changes: object) -> Withdrawal:
    fields = {"patient": patient, "consent": "contact", "why": "stop", "at": NOON, "record": patient}
    return Withdrawal(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> WithdrawalList:
    return WithdrawalList(tmp_path / WITHDRAWALS)


def test_each_record_counts_once_and_stays(kept: WithdrawalList) -> None:
    assert kept.read() == ()
    assert kept.add([word(), word("P-2")]) == 2
    assert kept.add([word(), word("P-3"), word("P-3")]) == 1
    assert [one.patient for one in kept.read()] == ["P-1", "P-2", "P-3"]
    assert kept.path.stat().st_mode & 0o077 == 0


def test_a_patient_who_says_yes_again_is_heard_until_they_withdraw_again(kept: WithdrawalList) -> None:
    refused = [word(), word(consent="learn", record="call"), word("P-2")]
    kept.add(refused)
    kept.add([word(why=AGAIN, record="", person="Ada", reason="asked at the desk")])
    assert list(kept.standing()) == refused[1:]
    kept.add([word(record="later")])
    assert len(kept.standing()) == 3
    kept.add([word(why=AGAIN, consent="all", record="", person="Ada", reason="asked at the desk")])
    assert [one.patient for one in kept.standing()] == ["P-2"]


@pytest.mark.parametrize(
    "how", ["older", "lost", "emptied", "another line", "a strange head", "a head that is none"]
)
def test_a_list_that_was_put_back_or_lost_is_no_list(kept: WithdrawalList, how: str) -> None:
    kept.add([word()])
    older = kept.path.read_bytes()
    kept.add([word("P-2")])
    newest, head = kept.path.read_bytes(), kept.path.with_suffix(".head")
    other = newest.replace(b"P-2", b"P-3")
    if how == "lost":
        kept.path.unlink()
    elif "head" in how:
        head.write_bytes(head.read_bytes().replace(b"size", b"sise") if "strange" in how else b"")
    else:
        kept.path.write_bytes({"older": older, "emptied": b"", "another line": other}[how])
    for act in (kept.read, kept.standing, lambda: kept.add([word("P-4")])):
        with pytest.raises(TableError, match=r"withdrawals\.head"):
            act()
    kept.path.write_bytes(newest)
    if "head" in how:
        head.unlink()
    assert [one.patient for one in kept.read()] == ["P-1", "P-2"]
    assert kept.add([word("P-4")]) == 1
    assert head.stat().st_mode & 0o077 == 0


def test_a_list_of_before_has_no_head_and_one_that_a_crash_left_behind_is_no_fault(
    kept: WithdrawalList,
) -> None:
    kept.add([word()])
    head = kept.path.with_suffix(".head")
    before = head.read_bytes()
    kept.add([word("P-2")])
    for left in (before, None):
        head.unlink()
        if left is not None:
            head.write_bytes(left)
        assert [one.patient for one in kept.read()] == ["P-1", "P-2"]
    kept.add([word("P-3")])
    assert head.read_bytes() not in (before, b"")


def test_what_is_read_in_again_brings_the_head_forward_that_a_full_disk_did_not_take(
    kept: WithdrawalList, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.add([word()])
    older = kept.path.read_bytes()

    def no_space(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(withdrawals, "keep_list_head", no_space)
        with pytest.raises(ConfigurationError, match="run it again"):
            kept.add([word("P-2")])
    assert kept.add([word("P-2")]) == 0
    kept.path.write_bytes(older)
    with pytest.raises(TableError, match="an older copy was put back"):
        kept.read()


@pytest.mark.parametrize("how", ["cut", "a word", "a spelling", "a key"])
def test_a_list_that_was_altered_is_no_empty_list(kept: WithdrawalList, how: str) -> None:
    kept.add([word(), word("P-2")])
    content = kept.path.read_bytes()
    changed = {
        "cut": content[:-3],
        "a word": content.replace(b'"stop"', b'"halt"', 1),
        "a spelling": content.replace(b"{", b"{ ", 1),
        "a key": content.replace(b'"channel"', b'"canal"', 1),
    }[how]
    kept.path.write_bytes(changed)
    for act in (kept.read, lambda: kept.add([word("P-3")])):
        with pytest.raises(TableError, match="restore"):
            act()
    assert kept.path.read_bytes() == changed


PROGRAM = '''
import os, signal, sys
from pathlib import Path
from tests.client.connectors.test_withdrawals import word
from wardround.client.connectors.withdrawals import WithdrawalList

kept = WithdrawalList(Path(sys.argv[1]))

def kill_at(step):
    """Add, and die by SIGKILL before the step-th durable act."""
    left = step
    def counted(act):
        def wrapped(*arguments, **given):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **given)
        return wrapped
    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
    kept.add([word("P-1"), word("P-2")])
    os._exit(0)

for step in range(1, 20):
    child = os.fork()
    if child == 0:
        kill_at(step)
    _, status = os.waitpid(child, 0)
    names = [one.patient for one in kept.read()]
    assert names in ([], ["P-1", "P-2"]), (step, names)
    kept.add([word("P-1"), word("P-2")])  # the same file is read in again
    assert [one.patient for one in kept.read()] == ["P-1", "P-2"], step
    if os.WIFEXITED(status):
        break
    kept.path.unlink()
    kept.path.with_suffix(".head").unlink(missing_ok=True)
assert step >= 4, step
'''


def test_a_kill_at_each_step_of_inbound_loses_no_withdrawal_and_doubles_none(tmp_path: Path) -> None:
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / WITHDRAWALS)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
