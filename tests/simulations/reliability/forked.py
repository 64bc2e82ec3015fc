"""Parts and commands of a federation as forks of one process (``forks.py``), seen from the tests' own."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from tests.builders import ROOT
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.exit_with_parent import exit_with_parent
from wardround.protocol.quiet import QUIET
from wardround.simulations.loopback.federation import Loopback

COMMAND_SECONDS = 120


class Part:
    """A forked process, as ``subprocess.Popen`` would show it."""

    def __init__(self, pid, code):
        """code: the file into which it writes the code that it ends with."""
        self.pid, self._code = pid, code
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._handle = None

    def __del__(self):
        if self._handle is not None:
            os.close(self._handle)

    def _ended(self, seconds):
        return self._handle is None or bool(select.select([self._handle], [], [], seconds)[0])

    def _signal(self, number):
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def poll(self):
        if not self._ended(0):
            return None
        return int(self._code.read_text()) if self._code.exists() else -signal.SIGKILL

    def wait(self, timeout=COMMAND_SECONDS):
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired("part", timeout)
        return self.poll()

    def kill(self):
        self._signal(signal.SIGKILL)

    def terminate(self):
        self._signal(signal.SIGTERM)


class Forks:
    """The process that has imported everything, and forks."""

    def __init__(self, folder):
        """folder: for what it notes of each fork."""
        self._folder, self._lock, self._count = folder, Lock(), 0
        folder.mkdir(parents=True)
        self._process = subprocess.Popen(
            exit_with_parent([sys.executable, "-P", str(Path(__file__).with_name("forks.py"))]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def start(self, arguments, environment, folder, log, out=None):
        """Start a module's command; out: for what it prints, if that is not to be in the log."""
        with self._lock:
            self._count += 1
            code = self._folder / str(self._count)
            asked = {
                "arguments": [str(word) for word in arguments],
                "environment": environment,
                "folder": str(folder),
                "log": str(log),
                "out": str(out or log),
                "code": str(code),
            }
            self._process.stdin.write(f"{json.dumps(asked)}\n")
            self._process.stdin.flush()
            return Part(int(self._process.stdout.readline()), code)

    def close(self):
        """End it, and whatever still runs with it."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class ForkedLoopback(Loopback):
    """A loopback whose people's commands are forks too."""

    def __init__(self, folder, *arguments):
        super().__init__(folder, *arguments)
        self.forks, self._commands = Forks(self.folder / "forks"), Lock()
        self._command = 0

    def __exit__(self, *_):
        for part in self.processes.values():
            part.kill()
        self.processes.clear()
        self.forks.close()

    def _run(self, arguments):
        with self._commands:
            self._command += 1
            out, log = (self.folder / f"forks/command-{self._command}.{end}" for end in ("out", "log"))
        code = self.forks.start(arguments, {}, self.folder, log, out).wait(COMMAND_SECONDS)
        if code:
            raise ConfigurationError(f"{' '.join(arguments[:2])} ended with {code}: {log.read_text()}")
        return out.read_text()
