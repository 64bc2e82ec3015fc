"""Which release of Wardround each operator's server is, as its last signed request stated, for the hospital's people.

    HOME/servers.json   by the operator's public key: protocol, program, since

Written where it changes, from what an operator signed alone; no table has a part in it. ``status`` and ``doctor``
read it.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.wire.speaker import (
    Speaker,
    difference,
    other_release,
    speaker_from_mapping,
    speaker_to_mapping,
    this_speaker,
    understands,
)

logger = logging.getLogger("wardround.hospital")

THEIRS, HERE = "the operator's server", "this agent"
"""What the two sides are called in a line about their releases."""
MOST_OPERATORS, LARGEST = 100, 2**16


@dataclass(frozen=True)
class ServerRelease:
    """What one operator's server is, and since when its requests state so."""

    speaker: Speaker
    since: datetime


class ServerReleases:
    """The file. Safe for threads of one process; the agent alone writes it."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first request."""
        self._path = path
        self._lock = Lock()
        self._found: dict[str, ServerRelease] | None = None

    def note(self, operator: str, speaker: Speaker, now: datetime) -> None:
        """Take in what a signed request states; a disk that takes no file changes no answer, and is logged."""
        with self._lock:
            found = self.read() if self._found is None else self._found
            if operator in found and found[operator].speaker == speaker:
                self._found = found
                return
            # The oldest go: dictionaries keep their order, and who speaks now is put last.
            others = [(key, one) for key, one in found.items() if key != operator][-(MOST_OPERATORS - 1) :]
            self._found = dict(others) | {operator: ServerRelease(speaker, now)}
            if understands(speaker) and speaker != this_speaker():
                logger.info("%s", other_release(THEIRS, speaker, HERE))
            try:
                write_durably(self._path, canonical_json(_plain(self._found)) + b"\n", 0o600)
            except OSError as error:
                logger.warning("%s cannot be written (%s)", self._path.name, type(error).__name__)

    def read(self) -> dict[str, ServerRelease]:
        """Give what stands in the file, by operator; what a crash or another hand left unreadable is left out."""
        try:
            plain = read_json(read_bounded(self._path, LARGEST), LARGEST)
        except (OSError, ValueError):
            return {}
        return dict(_parsed(plain)) if isinstance(plain, dict) else {}


def _plain(found: Mapping[str, ServerRelease]) -> dict[str, object]:
    return {
        key: {
            **speaker_to_mapping(one.speaker),
            "since": one.since.astimezone(UTC).isoformat(timespec="seconds"),
        }
        for key, one in found.items()
    }


def _parsed(plain: Mapping[str, object]) -> Iterator[tuple[str, ServerRelease]]:
    for key, one in plain.items():
        try:
            since = datetime.fromisoformat(one["since"])  # type: ignore[index]
            if since.tzinfo is not None:
                yield key, ServerRelease(speaker_from_mapping(one), since)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            continue


def describe_release(operator: str, one: ServerRelease) -> str:
    """Say in a line how an operator's server and this agent go together; empty where they are of one release.

    operator: its name in policy.yaml.
    """
    line = difference(THEIRS, one.speaker, HERE)
    return f"{operator}: {line} (since {one.since:%Y-%m-%d %H:%M} UTC)" if line else ""
