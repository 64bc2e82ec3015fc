"""The hospital's own program that drafts variants of a text: one JSON in, one JSON out, and nothing else of this home.

It is started without a shell, in an empty folder of its own, with an environment of four words. It gets a bounded time
and a bounded output; at the end its whole process group is killed, whatever it started meanwhile.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.exit_with_parent import exit_with_parent
from wardround.protocol.text.section import shown

LARGEST_OUTPUT = 2**20  # bytes
MOST_SECONDS = 600
_PATH = "/usr/local/bin:/usr/bin:/bin"
_BETWEEN_LOOKS_SECONDS = 0.02


def find_program(name: str) -> Path:
    """Find a program by its path, or by its name on this machine; ConfigurationError where there is none."""
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"with={shown(name)}: is no program that can be run; give its path, and chmod +x it"
        )
    return Path(found).absolute()


def run_generator(program: Path, request: bytes, seconds: float, most: int = LARGEST_OUTPUT) -> bytes:
    """Run the program with ``request`` on its standard input; give what it writes to its standard output.

    ConfigurationError where it takes longer, writes more, or ends with another code than 0. What it writes to
    standard error is not read: a program's words go to no log of ours. seconds: from 1 to ``MOST_SECONDS``.
    """
    require(1 <= seconds <= MOST_SECONDS, "seconds", f"{seconds:g}", f"must be from 1 to {MOST_SECONDS}")
    with TemporaryDirectory() as folder, TemporaryFile() as given:
        given.write(request)
        given.seek(0)
        process = _started(program, given, folder)
        deadline = time.monotonic() + seconds
        try:
            output = _read(process, deadline, most)
            ended = len(output) <= most and _ended(process, deadline)
        finally:
            _end(process)
    if len(output) > most:
        raise ConfigurationError(f"with={program}: wrote more than {most} bytes; it was ended")
    if not ended:
        raise ConfigurationError(f"with={program}: took more than {seconds:g} s; it was ended")
    if process.returncode != 0:
        raise ConfigurationError(f"with={program}: ended with code {process.returncode}; nothing was drafted")
    return output


def _started(program: Path, given: IO[bytes], folder: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            exit_with_parent([str(program)]),
            stdin=given,  # a file: a program that reads nothing blocks nobody
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder},
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"with={program}: cannot be started ({error.strerror})") from error


def _read(process: subprocess.Popen[bytes], deadline: float, most: int) -> bytes:
    """Read until the program closes its output, the time is over, or more than ``most`` bytes came."""
    found = bytearray()
    if process.stdout is None:
        return b""
    while len(found) <= most:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            break
        block = os.read(process.stdout.fileno(), 2**16)
        if not block:
            break
        found += block
    return bytes(found)


def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait for the program's end, and leave its number taken: its group is killed by that number."""
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
