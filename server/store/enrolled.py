"""Who is enrolled now, looked up again and again by a process that runs for weeks while people change the files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.retry import LastLine
from wardround.protocol.text.say import complain
from wardround.protocol.wire.kit import JoinRequest
from wardround.server.store.operator_home import OperatorHome, read_enrolled

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Roll:
    """The hospitals that are let in, by name. unknown: names whose files could not be read, neither now nor before."""

    hospitals: dict[str, JoinRequest]
    unknown: tuple[str, ...] = ()


class Enrolled:
    """Reads ``hospitals/`` at each look. A file that cannot be read counts as it last did; one that is gone does not.

    So a file that somebody is just copying there ends no study, and revoking works at once whatever else lies there.
    Where the folder itself cannot be read, or is away, all count as they last did: who is shut out is so for good.
    """

    def __init__(self, home: OperatorHome, tell: Callable[[str], object] = complain) -> None:
        """tell: takes a line about files that cannot be read, when it is new."""
        self._folder, self._tell, self._last = home.folder / "hospitals", tell, LastLine()
        self._read: dict[str, tuple[_Stamp, JoinRequest]] = {}
        self._roll: Roll | None = None

    def look(self) -> Roll:
        """Give who is enrolled now; a file that has not changed is not read again.

        ConfigurationError where the folder cannot be read, and never could be before.
        """
        try:
            # Not `glob`, which finds nothing in a folder that is away or may not be read.
            paths = sorted(path for path in self._folder.iterdir() if path.suffix == ".json")
        except OSError as error:
            line = f"hospitals={self._folder}: cannot be read ({error.strerror})"
            if self._roll is None:
                raise ConfigurationError(
                    f"{line}; put it right: nobody is let in, and nobody shut out"
                ) from error
            self._say(f"{line}; until it can, all hospitals count as before")
            return self._roll
        self._roll = self._looked_at(paths)
        return self._roll

    def _looked_at(self, paths: Sequence[Path]) -> Roll:
        there, unknown, troubles = dict[str, tuple[_Stamp, JoinRequest]](), list[str](), list[str]()
        for path in paths:
            before = self._read.get(path.stem)
            try:
                there[path.stem] = _newest(path, before)
            except FileNotFoundError:
                continue  # revoked between two lines of this function
            except (ConfigurationError, OSError) as error:
                troubles.append(f"{error}; until then it counts as {'before' if before else 'not enrolled'}")
                if before is None:
                    unknown.append(path.stem)
                else:
                    there[path.stem] = before
        self._read = there
        self._say("; ".join(troubles))
        return Roll({name: asked for name, (_, asked) in there.items()}, tuple(unknown))

    def _say(self, line: str) -> None:
        """Tell what is wrong where it is new; empty for nothing."""
        if self._last.differs(line) and line:
            self._tell(line)

    def signing_key(self, hospital: str) -> str | None:
        """Give the key that signs a hospital's releases now; None where it is not enrolled."""
        # Looked up for every answer: it may be let in, or get another key, while a study runs.
        asked = self.look().hospitals.get(hospital)
        return None if asked is None else asked.signing_key


def _newest(path: Path, before: tuple[_Stamp, JoinRequest] | None) -> tuple[_Stamp, JoinRequest]:
    found = path.stat()
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    return before if before is not None and before[0] == stamp else (stamp, read_enrolled(path))
