"""A hospital's, the operator's or a stranger's line to the server's port: how many lines each may have."""

from collections.abc import Callable
from typing import ClassVar

from wardround.pages.line import BoundedLine
from wardround.server.network.give_back import give_back_soon

OPERATOR = b"operator"  # as a line's caller; enrolled keys are longer
MOST_LINES = 512  # of strangers; beyond it the oldest one's gives way
_SHARE_OF_STRANGERS = 4  # a quarter of the files that this process may open
MOST_OF_ONE = 16  # lines of one enrolled key; a SuperNode has at most six


class Line(BoundedLine):
    """A line to the port.

    most_of_strangers: lines of all of them together (``leave_room``).
    caller: who has asked something by this line, an enrolled key or the operator; None for a stranger.
    when_server_stops: called then, where a request of this line is held (``held_looks``).
    """

    most_of_strangers: ClassVar[int] = MOST_LINES
    caller: bytes | None = None
    when_server_stops: Callable[[], None] | None = None

    def make_room(self) -> None:
        """Among too many lines the oldest stranger's goes."""
        self.drop_oldest(self.lines(lambda line: line.caller is None), self.most_of_strangers)

    def known_as(self, caller: bytes) -> None:
        """Note whose line this is; among too many of one hospital's the oldest goes, and nobody else's."""
        self.caller = caller
        if caller != OPERATOR:
            self.drop_oldest(self.lines(lambda line: line.caller == caller), MOST_OF_ONE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back soon what the line's requests took: their bodies may be large, which a browser's are not."""
        super().connection_lost(exc)
        give_back_soon(self.loop)

    def shutdown(self) -> None:
        """Answer what is under way, and hang up; who is held is answered now, not when the time is over."""
        super().shutdown()
        if self.when_server_stops is not None:
            self.when_server_stops()


def leave_room(files: int) -> None:
    """Bound strangers' lines by the files that this process may open: hospitals' lines need most of them."""
    Line.most_of_strangers = min(MOST_LINES, files // _SHARE_OF_STRANGERS)
