"""Start the parts of a federation as forks of one process that has imported them all: ``forks.py`` alone.

A part that was killed is back after milliseconds, where a new interpreter takes seconds to import torch and Flower:
a walk through a hundred kills would mostly wait for imports. Nothing else is other than in a deployment: each part is
a process of its own, with its own command line, session, environment and files.

Reads a line of JSON for each part (``arguments``, ``environment``, ``folder``, ``out``, ``log``, ``code``), and writes
the number of its process. A part writes the code that it ended with into ``code``; one that was killed writes none.
"""

import json
import logging
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import flwr.superlink.main  # noqa: F401 (what a SuperLink imports when it starts)
import torch._dynamo  # noqa: F401 (what the first optimiser would import, in every agent)

import wardround.client.network.supernode
import wardround.client.network.supernode_process
import wardround.client.train.with_opacus
import wardround.server.commands.up
import wardround.server.network.superlink_process
import wardround.server.study.serve
from wardround.protocol.exit_with_parent import exit_when_parent_exits

HERE = Path(__file__).parent
BEAT_SECONDS, CALL_SECONDS, LEAST_BEAT_SECONDS = 3, 1, 1
"""Heartbeats of SuperNodes here: who was killed is let in again after 6 s, and not after Flower's 20 at least."""


class Forked:
    """Stands where ``wardround-serve up`` expects ``subprocess.Popen``, and forks the SuperLink that it starts."""

    def __init__(self, line: list[str], cwd: Path, env: dict[str, str]) -> None:
        """line: of ``exit_with_parent``, whose last part is the module's own."""
        self.returncode: int | None = None
        arguments = line[line.index("wardround.server.network.superlink_process") + 1 :]
        self.pid = fork(lambda: self._serve(arguments, cwd, env))
        Path(os.environ["WARDROUND_PLACES"], "superlink.pid").write_text(str(self.pid), encoding="ascii")

    @staticmethod
    def _serve(arguments: list[str], cwd: Path, env: dict[str, str]) -> None:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        from flwr.superlink.servicer.fleet import fleet_handlers

        fleet_handlers.HEARTBEAT_MIN_INTERVAL = LEAST_BEAT_SECONDS  # type: ignore[attr-defined]
        sys.argv = ["superlink_process", *arguments]
        wardround.server.network.superlink_process.main()

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("superlink", timeout)
            time.sleep(0.02)
        return self.returncode or 0

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork(act: Callable[[], object], code_file: Path | None = None) -> int:
    """Run ``act`` in a fork that ends with this process; gives the fork's number."""
    parent, child = os.getpid(), os.fork()
    if child:
        return child
    code: object = 1
    try:
        exit_when_parent_exits(parent)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = act()
    except SystemExit as end:
        code = end.code
    except BaseException:
        logging.exception("this part ended")
    finally:
        _leave(code, code_file)


def _leave(code: object, code_file: Path | None) -> NoReturn:
    ended = code if isinstance(code, int) else 0
    if code_file is not None:
        code_file.write_text(str(ended), encoding="ascii")
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, OSError):
            stream.flush()
    os._exit(ended)


def be(part: dict[str, Any]) -> object:
    """Be a part: its own session, log, folder and environment, and the places at which a test may hold it."""
    os.setsid()
    with (
        Path(os.devnull).open("rb") as nothing,
        Path(part["out"]).open("ab") as out,
        Path(part["log"]).open("ab") as log,
    ):
        for stream, file in enumerate((nothing, out, log)):
            os.dup2(file.fileno(), stream)
    os.chdir(part["folder"])
    os.environ.update(part["environment"])
    module, *arguments = part["arguments"]
    sys.argv = [module, *arguments]
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
        return 0
    # At the start of each part, since it reads the environment that has just been set.
    sys.path.insert(0, str(HERE))
    for places in ("places", "sum_places") if "WARDROUND_PLACES" in os.environ else ():
        patches: dict[str, Callable[[], None]] = import_module(places).PATCHES
        patches.get(arguments[0], lambda: None)()
    if arguments[0] == "up":
        wardround.server.commands.up.subprocess.Popen = Forked  # type: ignore[assignment, misc]
        wardround.server.commands.up.LONGEST_PAUSE_SECONDS = 1.0  # a walk kills it often within the hour
    if arguments[0] == "supernode":
        os.execve = be_supernode  # type: ignore[assignment]
    return import_module(module).main()


def be_supernode(_: str, line: list[str], environment: dict[str, str]) -> NoReturn:
    """Stand where ``wardround-hospital supernode`` becomes Flower's SuperNode by exec."""
    process = wardround.client.network.supernode_process
    os.environ.clear()
    os.environ.update(environment)
    process.HEARTBEAT_SECONDS = BEAT_SECONDS
    process.heartbeat.HEARTBEAT_CALL_TIMEOUT = CALL_SECONDS  # type: ignore[attr-defined]
    sys.argv = ["supernode_process", *line[line.index("-m") + 2 :]]
    process.main()
    os._exit(0)


def main() -> None:
    """Fork a part for each line, until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the forks are reaped by nobody's waiting
    for line in sys.stdin:
        part = json.loads(line)
        number = fork(lambda part=part: be(part), Path(part["code"]))  # type: ignore[misc]
        print(number, flush=True)


if __name__ == "__main__":
    main()
