"""Processes that end with the one that started them, also where that one is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wardround.protocol.exit_with_parent import exit_with_parent

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTS = f"""
import subprocess, sys, time
from wardround.protocol.exit_with_parent import exit_with_parent
print(subprocess.Popen(exit_with_parent({SLEEPS!r})).pid, flush=True)
time.sleep(600)
"""


def test_who_is_killed_takes_along_whom_it_started(ends: Callable[[int], bool]) -> None:
    with subprocess.Popen([sys.executable, "-P", "-c", STARTS], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.5)
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert ends(child)


def test_whose_starter_has_gone_meanwhile_begins_nothing(tmp_path: Path) -> None:
    line = exit_with_parent([sys.executable, "-c", f"open({str(tmp_path / 'began')!r}, 'w')"])
    others = [str(os.getppid()) if part == str(os.getpid()) else part for part in line]
    assert subprocess.run(others, check=False, timeout=60).returncode == 1
    assert not (tmp_path / "began").exists()
    assert subprocess.run(line, check=False, timeout=60).returncode == 0
    assert (tmp_path / "began").exists()


def test_it_is_the_command_itself_that_is_started() -> None:
    code = "import os, sys; print(os.getpid(), os.getcwd(), *sys.argv[1:]); sys.exit(3)"
    line = exit_with_parent([sys.executable, "-c", code, "a b", ""])
    with subprocess.Popen(line, cwd="/", stdout=subprocess.PIPE, text=True) as child:
        said, _ = child.communicate(timeout=60)
    assert (child.returncode, said) == (3, f"{child.pid} / a b \n")
