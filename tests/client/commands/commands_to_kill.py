"""A command killed at each place where it had just changed a file or is about to, for ``test_killed_command.py``.

``python -m tests.client.commands.commands_to_kill HOME SCRATCH COMMAND…``: runs the command in children, each on a copy
of HOME. The first is killed once it has a release, the n-th of the others at its n-th change. Prints, as JSON, what
each killed child left in its copy and its folder of temporary files.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 (what the first optimiser would import, in every child)

import wardround.client.agent.rehearse
import wardround.client.commands.doctor
import wardround.client.commands.forecast
import wardround.client.commands.rehearse
import wardround.client.train.check_training
from wardround.client.main import main

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "sqlite3.connect")
MOST = 200


def die_with_release() -> None:
    """Kill this process when a rehearsal has its answer; what rehearses nothing runs on."""
    answer_request = wardround.client.agent.rehearse.answer_request

    def deadly(*arguments: Any) -> None:
        answer_request(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    wardround.client.agent.rehearse.answer_request = deadly  # type: ignore[attr-defined, assignment]


def die_at(number: int) -> None:
    """Kill this process at its ``number``-th change of a file, counted from 1."""
    left = number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES or (event == "open" and _writes(arguments)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else any(one in mode for one in "wax+")


def files(folder: Path) -> dict[str, str]:
    """Give each file's content in digits, by its name within a folder; not what SQLite opens beside a database."""
    found = {
        str(one.relative_to(folder)): one.read_bytes().hex() for one in folder.rglob("*") if one.is_file()
    }
    opened = {
        name for name, text in found.items() if name.endswith("-shm") or (name.endswith("-wal") and not text)
    }
    return {name: text for name, text in found.items() if name not in opened}


def left_behind(home: Path, scratch: Path, words: list[str]) -> Iterator[dict[str, str]]:
    """Give what each killed child left that HOME does not hold; ends with the first child that ran to its end."""
    before = files(home)
    for number in range(MOST):
        place, temporary = scratch / f"{number}", scratch / f"{number}-tmp"
        shutil.copytree(home, place, copy_function=shutil.copy)
        temporary.mkdir()
        child = os.fork()
        if child == 0:
            os.environ["TMPDIR"] = str(temporary)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            die_at(number) if number else die_with_release()
            os._exit(main([*(word.replace("{tmp}", str(temporary)) for word in words), "--home", str(place)]))
        status = os.waitpid(child, 0)[1]
        there = {name: text for name, text in files(place).items() if before.get(name) != text}
        yield there | {f"tmp/{name}": text for name, text in files(temporary).items()}
        if number and not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0, words
            return
    raise AssertionError(f"{words}: changes files more than {MOST} times")


if __name__ == "__main__":
    wardround.client.train.check_training.check_closed_form = lambda *arguments: 0.0
    print(json.dumps(list(left_behind(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))))
