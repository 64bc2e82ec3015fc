"""The pages' end of the desk's socket: one question, one answer, one connection."""

import socket
from pathlib import Path

from wardround.client.agent.connection import LENGTH
from wardround.client.console.wire import LARGEST_ANSWER, answer_from_bytes, question_to_bytes
from wardround.pages import desk as at_desk
from wardround.pages.desk import Answer, Question
from wardround.protocol.errors import WardroundError

PATIENCE_SECONDS = 300.0
"""A study's tables may take minutes to look at."""


class DeskLine:
    """A desk that answers at a Unix socket."""

    def __init__(self, path: Path) -> None:
        """Name the socket; it is opened for each question."""
        self._path = path

    def ask(self, question: Question) -> Answer:
        """Ask; where nobody answers, say so. Never raises."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(PATIENCE_SECONDS)
                line.connect(str(self._path))
                payload = question_to_bytes(question)
                line.sendall(LENGTH.pack(len(payload)) + payload)
                (length,) = LENGTH.unpack(_exactly(line, LENGTH.size))
                if length > LARGEST_ANSWER:
                    raise EOFError
                return answer_from_bytes(_exactly(line, length))
        except (OSError, EOFError, WardroundError):
            return Answer(outcome=at_desk.AWAY)


def _exactly(line: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = line.recv(min(count - len(received), 2**18))
        if not part:
            raise EOFError
        received += part
    return bytes(received)
