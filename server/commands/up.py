"""``up``: Flower's SuperLink with TLS and the nodes of the enrolled hospitals alone, until stopped."""

import logging
import os
import signal
import ssl
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.exit_with_parent import exit_with_parent
from wardround.protocol.quiet import QUIET
from wardround.protocol.retry import Backoff, LastLine
from wardround.protocol.text.log import report
from wardround.server.network.listening import OWN, check_binds
from wardround.server.network.superlink import is_listening, reconcile_nodes
from wardround.server.store.begin_home import ensure_look
from wardround.server.store.certificates import WARN_DAYS, days_left, require_begun
from wardround.server.store.enrolled import Enrolled, Roll
from wardround.server.store.operator_home import CONTROL, LOOK, OperatorHome, load_operator_home

LOOK_SECONDS, DAY_SECONDS = 1.0, 86_400.0
START_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
_SPENT = (
    "its SuperNode's key was revoked before; at the hospital, remove supernode/node.key and run join again, "
    "then enrol the new request"
)


def run(options: Namespace) -> None:
    """Serve until SIGTERM or SIGINT; ``--bind`` says at which addresses hospitals can call, too."""
    home, binds = load_operator_home(options.home), options.bind or [OWN]
    _check(home)
    check_binds(binds, home.port)
    ensure_look(home)
    # As an exception, so that `finally` below takes the SuperLink down with this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    while True:
        process = _start(home, binds)
        begun = time.monotonic()
        try:
            _keep(home, process)
        finally:
            _end(process)
        # It served for a while, so it did not die of its start: no reason to make the hospitals wait for long.
        if time.monotonic() - begun > LONGEST_PAUSE_SECONDS:
            backoff.reset()
        pause = backoff.next_pause()
        line = f"the server ended with code {process.returncode}; restarting in {pause:.0f} s"
        report(line, logging.WARNING, code=process.returncode)
        time.sleep(pause)


def _check(home: OperatorHome) -> None:
    if is_listening(home):
        raise ConfigurationError(
            f"address={home.local_address}: another process listens there already; stop it first"
        )
    left = days_left(home.tls("server.crt"))
    for name in ("root.crt", "server.crt"):
        require_begun(home.tls(name))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            home.tls("server.crt"), home.tls("server.key")
        )
    except OSError as error:  # SSLError is one
        raise ConfigurationError(
            f"tls/server.key: does not match tls/server.crt ({error.strerror}); run wardround-serve renew"
        ) from error
    if left < 0:
        raise ConfigurationError("tls/server.crt: has expired; run wardround-serve renew")
    _warn_of_expiry(left)


def _warn_of_expiry(left: int) -> None:
    if left < WARN_DAYS:
        ends = f"expires in {left} days" if left >= 0 else "has expired: nobody can connect"
        line = f"WARNING: the server's certificate {ends}; run wardround-serve renew, and restart up"
        report(line, logging.WARNING, days_left=left)


def _start(home: OperatorHome, binds: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the SuperLink in an empty folder: its own code comes from the installation alone.

    It never outlives this process: with nobody to sync its node list, a revoked hospital would stay in.
    """
    line = [
        sys.executable, "-P", "-m", "wardround.server.network.superlink_process",
        "--host", OWN, "--port", str(home.port),
        "--ssl-certfile", str(home.tls("server.crt")),
        "--ssl-keyfile", str(home.tls("server.key")),
        "--ssl-ca-certfile", str(home.tls("root.crt")),
        "--enable-supernode-auth", "--isolation", "process",  # no executor: it runs no app (superlink.py)
        "--superexec-auth-secret-file", str(home.folder / "secrets/executor"),
        "--database", str(home.folder / "superlink/state.sqlite"),
    ]  # fmt: skip
    environment = {
        **os.environ,
        **QUIET,
        "FLWR_HOME": str(home.folder / "superlink"),
        # Large bodies go back to the system when they are done with: else glibc keeps what was freed.
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_ARENA_MAX": "2",
        "WARDROUND_BIND": ",".join(binds),
        **{f"WARDROUND_{name.upper()}": str(home.folder / "secrets" / name) for name in (CONTROL, LOOK)},
    }
    return subprocess.Popen(exit_with_parent(line), cwd=home.folder / "superlink/empty", env=environment)


def _keep(home: OperatorHome, process: subprocess.Popen[bytes]) -> None:
    """Keep Flower's node list in sync with ``hospitals/`` while the server runs."""
    deadline = time.monotonic() + START_SECONDS
    while not is_listening(home) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    enrolled = sorted(path.stem for path in (home.folder / "hospitals").glob("*.json"))
    report(
        f"serving {home.address}; hospitals enrolled: {', '.join(enrolled) or 'none yet'}", hospitals=enrolled
    )
    held, warned = _Held(Enrolled(home)), time.monotonic()
    while process.poll() is None:
        held.look(home)
        if time.monotonic() - warned > DAY_SECONDS:
            _warn_of_expiry(days_left(home.tls("server.crt")))
            warned = time.monotonic()
        time.sleep(LOOK_SECONDS)


@dataclass
class _Held:
    """The hospitals that Flower's node list was last synced with, and the last trouble reported."""

    enrolled: Enrolled
    roll: Roll | None = None
    trouble: LastLine = field(default_factory=LastLine)

    def look(self, home: OperatorHome) -> None:
        """Sync the node list if a hospital changed; a failure is reported once, and the next look tries again."""
        try:
            roll = self.enrolled.look()
            if roll != self.roll:
                _reconcile(home, roll)
            # Only after success: a look that failed is repeated.
            self.roll = roll
            self.trouble.clear()
        except (ConfigurationError, OSError, httpx.HTTPError) as error:
            trouble = type(error).__name__ if isinstance(error, httpx.HTTPError) else str(error)
            if self.trouble.differs(trouble):
                line = f"the list of nodes could not be synced with hospitals/ ({trouble}); trying again"
                report(line, logging.WARNING)


def _reconcile(home: OperatorHome, roll: Roll) -> None:
    done = reconcile_nodes(home, roll)
    for name in done.came:
        report(f"{name} may connect", hospital=name)
    for node in done.went:
        report(f"node {node} can no longer connect", node=node)
    for name in done.spent:
        report(f"{name} cannot connect: {_SPENT}", logging.WARNING, hospital=name)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
