"""``up``: agent and SuperNode together, as one user. For demonstrations: the isolation between them is lost."""

import logging
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from wardround.client.network.supernode import FOLDER, load_node_settings
from wardround.protocol.exit_with_parent import exit_with_parent
from wardround.protocol.retry import Backoff
from wardround.protocol.text.log import FACTS, report

logger = logging.getLogger("wardround.hospital")

# Flower lets a killed SuperNode's key in again only when its last heartbeat is 20 s old and more (two beats).
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
STEADY_SECONDS = 120.0  # whoever ran so long is started again at once
_STOP_SECONDS = 20.0


@dataclass(eq=False)
class Kept:
    """One child process that is started again when it ends, after a pause that doubles."""

    word: str
    home: Path
    process: subprocess.Popen[bytes] | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))
    due: float = 0.0
    started: float = field(default=0.0)

    def look(self, now: float) -> None:
        """Start the process when it is due; note when it ended."""
        if self.process is None:
            if now >= self.due:
                self._start(now)
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        if now - self.started > STEADY_SECONDS:
            self.backoff.reset()
        pause = self.backoff.next_pause()
        self.due = now + pause
        facts = {FACTS: {"part": self.word, "code": code}}
        logger.warning("%s ended with code %d; restarting in %.0f s", self.word, code, pause, extra=facts)

    def stop(self) -> None:
        """End the process, kindly first."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _start(self, now: float) -> None:
        self.started = now
        # -P: a user's own client.py in the current folder must not be imported in the place of ours.
        line = [sys.executable, "-P", "-m", "wardround.client.main", self.word, "--home", str(self.home)]
        self.process = subprocess.Popen(exit_with_parent(line))


def run(options: Namespace) -> None:
    """Keep both running until SIGTERM or SIGINT."""
    home = options.home.absolute()
    settings = load_node_settings(home / FOLDER)
    report(
        "WARNING: agent and SuperNode run as one user, so that code which the server ships could read tables; "
        "for patients' data use the two systemd units (deploy/)",
        logging.WARNING,
    )
    report(f"{settings.hospital}: waiting for plans from {settings.address}", hospital=settings.hospital)
    both = [Kept("agent", home), Kept("supernode", home)]
    # SIGTERM as Ctrl-C: it raises, and both children are stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            for one in both:
                one.look(time.monotonic())
            time.sleep(0.2)
    finally:
        for one in both:
            one.stop()
