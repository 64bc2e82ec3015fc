"""All faults of a file, and not the first alone: each part is read by itself, and what is wrong with it is noted."""

from collections.abc import Callable
from typing import TypeVar

from wardround.protocol.errors import WardroundError

T = TypeVar("T")


class Faults:
    """Lines that a person can act on, in the order in which they were found."""

    def __init__(self) -> None:
        """Begin without any."""
        self.lines: list[str] = []

    def take(self, read: Callable[[], T], instead: T) -> T:
        """Read one part; note its error, and go on with ``instead``."""
        try:
            return read()
        except WardroundError as error:
            self.lines.append(str(error))
            return instead

    def note(self, holds: bool, line: str) -> None:
        """Note a line unless something holds."""
        if not holds:
            self.lines.append(line)
