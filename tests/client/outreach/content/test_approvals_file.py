"""Decisions stay as they were signed: no byte, line or file is changed, lost or put back unseen; no crash loses one."""

import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.client.outreach.content.approvals import ContentDecision
from wardround.client.outreach.content.approvals_file import HEAD, LOG, ContentApprovals
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.signing import Purpose, new_key

KEY = new_key()


def decision(number: int, **changes: object) -> ContentDecision:
    fields = {
        "kind": "approved",
        "id": "visit",
        "language": "en",
        "digest": f"{number:064x}",
        "original": "",
        "guidelines": "ab" * 32,
        "person": "Grace Hopper",
        "reason": "plain and kind",
        "until": date(2027, 1, 1),
        "time": datetime(2026, 12, 1, tzinfo=UTC),
    }
    return ContentDecision(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> ContentApprovals:
    approvals = ContentApprovals(tmp_path / "approvals", KEY.public)
    for number in range(3):
        approvals.add(decision(number), KEY)
    return approvals


def test_decisions_are_read_as_they_were_made(tmp_path: Path) -> None:
    approvals = ContentApprovals(tmp_path / "approvals", KEY.public)
    assert approvals.read() == ()
    made = [
        decision(1),
        decision(2, kind="retired", until=None),
        decision(3, original="cd" * 32, person="Ída"),
    ]
    for one in made:
        approvals.add(one, KEY)
    assert approvals.read() == tuple(made)
    assert (tmp_path / "approvals" / LOG).stat().st_mode & 0o077 == 0


def spoil(folder: Path, how: str) -> None:
    log, lines = folder / LOG, (folder / LOG).read_bytes().split(b"\n")[:-1]
    match how:
        case "a byte":
            log.write_bytes(log.read_bytes().replace(b"Grace", b"Grane", 1))
        case "the middle":
            log.write_bytes(b"\n".join([lines[0], lines[2], b""]))
        case "the end":
            log.write_bytes(b"\n".join([*lines[:2], b""]))
        case "the order":
            log.write_bytes(b"\n".join([lines[1], lines[0], lines[2], b""]))
        case "a repeat":
            log.write_bytes(b"\n".join([*lines, lines[2], b""]))
        case "half a line":
            log.write_bytes(log.read_bytes()[:-10])
        case "all of it":
            log.unlink()
        case "its head":
            (folder / HEAD).unlink()
        case "another head":
            (folder / HEAD).write_bytes(b"{}")


HOW = (
    "a byte",
    "the middle",
    "the end",
    "the order",
    "a repeat",
    "half a line",
    "all of it",
    "its head",
    "another head",
)


@pytest.mark.parametrize("how", HOW)
def test_what_was_changed_or_lost_is_found_and_nothing_is_added(
    kept: ContentApprovals, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "approvals"
    spoil(folder, how)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for act in (kept.read, lambda: kept.add(decision(9), KEY)):
        with pytest.raises(ConfigurationError, match="was altered or put back"):
            act()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_key_and_another_purpose_sign_nothing(kept: ContentApprovals, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="was altered"):
        ContentApprovals(tmp_path / "approvals", new_key().public).read()
    log = tmp_path / "approvals" / LOG
    last = log.read_bytes().split(b"\n")[2]
    forged = KEY.sign(Purpose.LEDGER, last[129:]).hex().encode() + last[128:]
    log.write_bytes(log.read_bytes().replace(last, forged))
    with pytest.raises(ConfigurationError, match="was altered"):
        kept.read()


@pytest.mark.parametrize(
    "changes",
    [{"person": "a\nb"}, {"reason": "\x1b[2J"}, {"reason": ""}, {"id": "../x"}, {"kind": "retired"}],
)
def test_what_could_not_be_read_again_is_never_written(
    kept: ContentApprovals, changes: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError):
        kept.add(decision(4, **changes), KEY)
    assert len(kept.read()) == 3


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    approvals = ContentApprovals(tmp_path / "approvals", KEY.public)
    threads = [threading.Thread(target=approvals.add, args=(decision(number), KEY)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(one.digest for one in approvals.read()) == [f"{number:064x}" for number in range(8)]


PROGRAM = '''
import os, signal, sys
from pathlib import Path
from tests.client.outreach.content.test_approvals_file import KEY, decision
from wardround.client.outreach.content.approvals_file import ContentApprovals

folder = Path(sys.argv[1])

def kill_at(step):
    """Add a decision, and die by SIGKILL before the step-th durable act."""
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
    ContentApprovals(folder, KEY.public).add(decision(100 + step), KEY)
    os._exit(0)

approvals, killed = ContentApprovals(folder, KEY.public), 0
for step in range(1, 20):
    before = approvals.read()
    child = os.fork()
    if child == 0:
        kill_at(step)
    _, status = os.waitpid(child, 0)
    after = approvals.read()
    if os.WIFEXITED(status):
        assert after == (*before, decision(100 + step)), step
        break
    assert after in (before, (*before, decision(100 + step))), step
    approvals.add(decision(200 + step), KEY)  # and work goes on
    killed += 1
assert killed >= 6, killed
'''


def test_a_kill_at_each_step_loses_no_decision_and_doubles_none(tmp_path: Path) -> None:
    (tmp_path / "approvals").mkdir()
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "approvals")]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
