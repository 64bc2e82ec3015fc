"""Kill ``outreach approve`` or ``export`` by SIGKILL before each durable act, and look what became of it.

    python -m tests.client.outreach.decide.killed approve|export|stopped FOLDER EVERY

Each act runs in a child: polars' threads do not survive a fork, so this process itself reads no table.
"""

import csv
import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.client.outreach.decide.outreach_home import GRACE, IDA, propose, states, write_outreach
from tests.client.small_hospital import Hospital
from wardround.client.commands.outreach import run as _imports_all  # noqa: F401 (before the first fork)
from wardround.client.main import main
from wardround.client.outreach.journal.journal import Journal

PATIENTS = 3


def in_child(act: Callable[[], None]) -> bool:
    """Run an act in a child; whether it lived to its end. An error in it is this program's."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException as error:  # the child's word is its exit code
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "see above"
    return os.WIFEXITED(status)


def outreach(folder: Path, *arguments: object) -> None:
    """Run an act of outreach."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    assert main(["outreach", *map(str, arguments), "--home", str(folder), "--json"]) == 0, arguments


def killed_at(step: int, folder: Path, *arguments: object) -> None:
    """Run an act, and die before its step-th durable act."""
    left = step

    def counted(act: Any) -> Any:
        def wrapped(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*given, **named)

        return wrapped

    os.fsync, Path.replace, Path.unlink = map(counted, (os.fsync, Path.replace, Path.unlink))
    for name in ("move", "write_exports", "propose", "forget"):
        setattr(Journal, name, counted(getattr(Journal, name)))
    outreach(folder, *arguments)


def made(folder: Path, approved: bool) -> None:
    """Make a home with a few proposals, approved or waiting for the second person."""
    hospital = Hospital(folder)
    write_outreach(hospital, PATIENTS)
    propose(hospital, *range(1, PATIENTS + 1))
    ids = range(1, PATIENTS + 1)
    for person in (GRACE, IDA) if approved else (GRACE,):
        outreach(folder, "approve", *ids, "--yes", *person)


def rows(folder: Path) -> list[str]:
    """Give the patients in all files that left; each file is what its name says."""
    found = []
    for path in sorted((folder / "texts").glob("outreach-*.csv")):
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in path.name
        with path.open(newline="") as file:
            found += [row["patient"] for row in csv.DictReader(file)]
    return found


def expect(folder: Path, state: str, patients: int) -> None:
    """Hold the home to its end."""
    hospital = Hospital.__new__(Hospital)
    hospital.folder = folder
    assert states(hospital).get(state, 0) == patients, states(hospital)


def kill_approve(folder: Path, step: int) -> bool:
    """Approved twice or not at all comes to the same: all are approved once, by both."""
    ids = range(1, PATIENTS + 1)
    in_child(lambda: made(folder, approved=False))
    lived = in_child(lambda: killed_at(step, folder, "approve", *ids, "--yes", *IDA))
    if not lived and in_child(lambda: None):
        in_child(lambda: again(folder, ids))
    in_child(lambda: expect(folder, "approved", PATIENTS))
    return lived


def again(folder: Path, ids: range) -> None:
    """Approve what still waits."""
    hospital = Hospital.__new__(Hospital)
    hospital.folder = folder
    if states(hospital).get("proposed", 0):
        outreach(folder, "approve", *ids, "--yes", *IDA)


EXPORT = ("export", "texts", "--person", "Grace Hopper")


def kill_export(folder: Path, step: int) -> bool:
    """None twice, none lost, and what was published stays as it is."""
    in_child(lambda: made(folder, approved=True))
    lived = in_child(lambda: killed_at(step, folder, *EXPORT))
    before = {path: path.read_bytes() for path in (folder / "texts").glob("outreach-*")}
    staged = [path.read_bytes() for path in (folder / "texts").glob(".outreach-*.staged")]
    in_child(lambda: outreach(folder, *EXPORT))
    after = {path: path.read_bytes() for path in (folder / "texts").iterdir()}
    assert all(after[path] == content for path, content in before.items())
    assert not staged or staged[0] in after.values(), "a resumed export yields the same bytes"
    assert sorted(rows(folder)) == [f"P-{number}" for number in range(1, PATIENTS + 1)], (step, rows(folder))
    assert not [path for path in after if path.name.startswith(".")]
    in_child(lambda: expect(folder, "exported", PATIENTS))
    return lived


def kill_before_stop(folder: Path, step: int) -> bool:
    """A reply between the crash and the next export is heard, unless the message had left."""
    in_child(lambda: made(folder, approved=True))
    lived = in_child(lambda: killed_at(step, folder, *EXPORT))
    left = rows(folder)
    (folder / "in.csv").write_text("kind,patient,text\nreply,P-1,Stop\n")
    in_child(lambda: outreach(folder, "inbound", folder / "in.csv"))
    in_child(lambda: outreach(folder, *EXPORT))
    expected = left or ["P-2", "P-3"]
    assert sorted(rows(folder)) == expected, (step, left, rows(folder))
    return lived


KILLS = {"approve": kill_approve, "export": kill_export, "stopped": kill_before_stop}

if __name__ == "__main__":
    what, place, every = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    steps = 0
    for number in range(1, 60):
        if number % every:
            continue
        if KILLS[what](place / str(number), number):
            break
        steps += 1
    assert steps >= 9 // every, steps
    sys.stdout.write(f"{steps}\n")
