"""A socket file: who may open it, how its callers are let in, and how they are sent away at the end."""

import asyncio
import os
import select
import socket
import stat
from collections.abc import Collection
from pathlib import Path

from wardround.protocol.errors import ConfigurationError

SOCKET_MODE, FOLDER_MODE = 0o660, 0o750
BACKLOG = 512
"""Callers who wait to be let in; further ones wait in their own ``connect``."""
_CLOSING_TURNS = 20  # of the loop; a connection takes several to be accepted and closed


def listening_socket(path: Path) -> socket.socket:
    """Bind the socket, 0660 in a folder that others cannot enter; a dead agent's socket is replaced."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        path.parent.chmod(FOLDER_MODE)  # whatever the umask is, the group may enter
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o007:
        raise ConfigurationError(
            f"socket={path}: other users may enter its folder (mode {mode:o}); chmod 750 {path.parent}"
        )
    _remove_dead(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # By the umask, not by chmod afterwards: in between anybody could connect.
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"socket={path}: cannot be made ({error.strerror})") from error
    finally:
        os.umask(before)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


def _remove_dead(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise ConfigurationError(
            f"socket={path}: exists and is not a socket; remove it, or choose another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.setblocking(False)  # Linux connects at once, or says that the queue is full
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            # Nobody listens: a dead agent's file, over which bind would fail.
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # somebody does, who is stopped or has more callers than it lets in
        except OSError as error:
            # Another user's, say: whether that agent lives cannot be told, and its socket must not be taken from it.
            raise ConfigurationError(
                f"socket={path}: cannot be looked at ({error.strerror}); stop the agent that made it, or remove it"
            ) from error
    raise ConfigurationError(f"socket={path}: another agent is running here; stop it first")


def let_in(listening: socket.socket, most: int) -> tuple[list[socket.socket], int]:
    """Accept callers who wait, without waiting; also how many of them were gone already."""
    here: list[socket.socket] = []
    gone = 0
    while len(here) + gone < most:
        try:
            caller, _ = listening.accept()
        except BlockingIOError:
            break
        if hung_up(caller):
            caller.close()
            gone += 1
        else:
            caller.setblocking(False)
            here.append(caller)
    return here, gone


def hung_up(caller: socket.socket) -> bool:
    """Whether a caller is gone, also behind bytes that it left; looks without reading or waiting."""
    if caller.fileno() < 0:  # closed on this side since
        return True
    looking = select.poll()
    looking.register(caller, select.POLLRDHUP)
    return bool(looking.poll(0))


async def end_connections(connections: Collection[asyncio.Task[None]]) -> None:
    """End every connection, also those that come meanwhile, and let the loop close what they abort.

    connections: the door's own; each leaves it when it has ended.
    """
    for _ in range(_CLOSING_TURNS):
        here = list(connections)
        for connection in here:
            connection.cancel()
        await asyncio.gather(*here, return_exceptions=True)
        await asyncio.sleep(0)
