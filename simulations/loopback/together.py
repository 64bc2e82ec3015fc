"""A loopback federation whose hospitals share one process (``nodes``), and whose people share another: this one."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from wardround.client.home.home import POLICY, load_home
from wardround.client.home.policy_peers import write_peers
from wardround.client.policy.peers import Peer
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.loopback.federation import Loopback

HOSPITALS, LEAVING = "hospitals", "leaving"


class Together(Loopback):
    """As ``Loopback``, for a hundred hospitals: no process is started for a command, nor for each hospital.

    The operator's server and study are processes of their own, as anywhere.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take what ``Loopback`` takes."""
        super().__init__(*arguments, **named)
        self.leaving = 0
        self.pythons["simulations"] = sys.executable

    def start_hospitals(self) -> None:
        """Start all agents, and their lines to the server; the last ``leaving`` of them in a process of their own."""
        homes = [str(self.home(name)) for name in self.hospitals]
        stay = len(homes) - self.leaving
        for part, of in ((HOSPITALS, homes[:stay]), (LEAVING, homes[stay:])):
            if of:
                self._start(part, ["wardround.simulations.loopback.nodes", *of])

    def leave(self) -> None:
        """SIGKILL those that leave, at once; there are none where they have left."""
        if LEAVING in self.processes:
            self.kill(LEAVING)

    def introduce(self) -> None:
        """Make every hospital a peer of every other: what ``peers add`` writes, each policy once."""
        since = datetime.now(UTC).date().isoformat()
        keys = {name: load_home(self.home(name)).key.public for name in self.hospitals}
        for name in self.hospitals:
            others = {other: Peer(key, since) for other, key in keys.items() if other != name}
            write_peers(self.home(name) / POLICY, others)

    def _at_each(self, act: Callable[[str], object]) -> None:
        for name in self.hospitals:
            act(name)

    def _run(self, arguments: list[str]) -> str:
        module, *words = arguments
        told, complained = io.StringIO(), io.StringIO()
        with redirect_stdout(told), redirect_stderr(complained):
            code = import_module(module).main(words)
        if code:
            raise ConfigurationError(f"{' '.join(arguments[:2])} ended with {code}: {complained.getvalue()}")
        return told.getvalue()
