"""A SuperNode without the check of client/network/known_app.py, to see what still holds: ``any_app.py HOME``."""

import sys
from pathlib import Path

import wardround.client.network.supernode
from wardround.client.network import supernode_process


def main() -> None:
    if not sys.argv[1].startswith("--"):
        line = wardround.client.network.supernode.command
        wardround.client.network.supernode.command = lambda settings: [
            sys.executable,
            "-P",
            __file__,
            *line(settings)[4:],
        ]
        wardround.client.network.supernode.become_supernode(
            Path(sys.argv[1]) / wardround.client.network.supernode.FOLDER
        )
    supernode_process.run_the_shim_alone = lambda flowers: None  # type: ignore[assignment]
    supernode_process.main()


if __name__ == "__main__":
    main()
