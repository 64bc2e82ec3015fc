"""A SuperNode without the check of client/known_app.py, to see what still holds: ``any_app.py HOME``."""

import sys
from pathlib import Path

import client.supernode
from client import supernode_process


def main() -> None:
    if not sys.argv[1].startswith("--"):
        line = client.supernode.command
        client.supernode.command = lambda settings: [sys.executable, "-P", __file__, *line(settings)[4:]]
        client.supernode.become_supernode(Path(sys.argv[1]) / client.supernode.FOLDER)
    supernode_process.run_the_shim_alone = lambda flowers: None  # type: ignore[assignment]
    supernode_process.main()


if __name__ == "__main__":
    main()
