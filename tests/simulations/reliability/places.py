"""Run one of Wardround's commands with places at which a test may hold it: ``places.py MODULE ARGUMENT...``.

A place is held by a file NAME.PLACE.armed in the folder that WARDROUND_PLACES names, where NAME is
WARDROUND_PART. Whoever comes by renames it to .reached, with its own process number in it and that of who
waits for its answer, and goes on when the file is gone. The places are patched in from outside: the installed
code knows nothing of them.
"""

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER, PART = Path(os.environ["WARDROUND_PLACES"]), os.environ["WARDROUND_PART"]
asked_by = 0


def come_by(place: str) -> None:
    """Wait here as long as a test wants it."""
    armed, reached = (FOLDER / f"{PART}.{place}.{state}" for state in ("armed", "reached"))
    part = armed.with_suffix(f".{os.getpid()}")
    try:
        # Taken away in one step: written into, it would be there again after a test that disarmed it in between.
        armed.rename(part)
    except FileNotFoundError:
        return
    part.write_text(json.dumps({"pid": os.getpid(), "asked_by": asked_by}), encoding="ascii")
    part.rename(reached)
    while reached.exists():
        time.sleep(0.02)


def before(holder: Any, name: str, place: str) -> None:
    function = getattr(holder, name)

    def held(*arguments: Any, **settings: Any) -> Any:
        come_by(place)
        return function(*arguments, **settings)

    setattr(holder, name, held)


def after(holder: Any, name: str, place: str) -> None:
    function = getattr(holder, name)

    def held(*arguments: Any, **settings: Any) -> Any:
        value = function(*arguments, **settings)
        come_by(place)
        return value

    setattr(holder, name, held)


def note_who_asks(door: Any) -> None:
    """Know the process at the other end of the socket: the shim."""
    serve_one = door.SocketDoor._serve_one

    async def noting(self: Any, connected: socket.socket) -> None:
        global asked_by
        peer = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        asked_by = struct.unpack("3i", peer)[0]
        await serve_one(self, connected)

    door.SocketDoor._serve_one = noting


def at_the_agent() -> None:
    import wardround.client.agent.agent
    import wardround.client.agent.socket_door
    import wardround.client.ledger.sqlite
    import wardround.client.round.participate

    note_who_asks(wardround.client.agent.socket_door)
    before(wardround.client.agent.agent.Agent, "answer", "plan received")
    after(wardround.client.ledger.sqlite.SqliteLedger, "charge", "charged")
    after(wardround.client.round.participate, "private_update", "computed")
    before(wardround.client.agent.socket_door, "write", "release stored")


def at_the_study() -> None:
    import wardround.server.network.signed_codec
    import wardround.server.network.superlink
    import wardround.server.study.serve

    run_round, closing = wardround.server.study.serve.run_round, []

    def gated(grid: Any, nodes: Any, terms: Any, state: Any, *rest: Any, **settings: Any) -> Any:
        """A round begins when the test lets it: its number is in the file ``gate``."""
        (FOLDER / "waiting").write_text(str(state.round), encoding="ascii")
        while state.round > int((FOLDER / "gate").read_text(encoding="ascii") or 0):
            time.sleep(0.02)
        come_by("before the announcement")
        answer = run_round(grid, nodes, terms, state, *rest, **settings)
        come_by("aggregated")
        closing.append(state.round)
        return answer

    wardround.server.study.serve.run_round = gated
    after(wardround.server.network.signed_codec.SignedCodec, "read", "release arrived")
    save_state = wardround.server.study.serve.save_state

    def saved(folder: Any, state: Any) -> Any:
        path = save_state(folder, state)
        if closing:
            closing.clear()
            come_by("checkpoint written")
        return path

    wardround.server.study.serve.save_state = saved
    shipped = os.environ.get("WARDROUND_SHIPPED_APP")
    if shipped:
        build = wardround.server.network.superlink.build_fab_from_disk
        wardround.server.network.superlink.build_fab_from_disk = lambda folder: build(Path(shipped))  # type: ignore[attr-defined]


PATCHES: dict[str, Callable[[], None]] = {
    "agent": at_the_agent,
    "train": at_the_study,
    "resume": at_the_study,
}


def main() -> int:
    """Patch what this command comes by, and run it."""
    module, word = sys.argv[1], sys.argv[2]
    PATCHES[word]()
    sys.argv = sys.argv[1:]
    code: int = import_module(module).main()
    return code


if __name__ == "__main__":
    sys.exit(main())
