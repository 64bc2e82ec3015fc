"""One hospital's agent as a process, by whichever installation; and what its ledger was charged."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround.client.agent.door_state import is_listening
from wardround.client.home.home import Home
from wardround.protocol.exit_with_parent import exit_with_parent


@contextmanager
def agent_running(python: str, module: str, home: Home, log: Path) -> Iterator[None]:
    """Run the agent of a home within the block, from when it listens; what it logs is put behind the log's end."""
    line = [python, "-P", "-m", module, "agent", "--home", str(home.folder)]
    with log.open("ab") as out, subprocess.Popen(exit_with_parent(line), stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + 240
            while not is_listening(home.socket):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(120)


def charged_rounds(home: Home) -> Counter[object]:
    """How often each round was charged."""
    ledger = home.open_ledger()
    try:
        return Counter(entry.fields["round"] for entry in ledger.entries() if entry.kind == "charged")
    finally:
        ledger.close()
