"""The head of the list of withdrawals, outside it: how long it was, and what it began with. ``withdrawals.head``.

The list only grows. A list that does not begin with what the head names was put back from an older copy, or lost, and
whoever withdrew since would not be heard: it is no list then, as a cut one is none.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from wardround.protocol.errors import TableError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_digest

_LARGEST, _NEWEST = 1000, "restore the newest copy"


@dataclass(frozen=True)
class ListHead:
    """The first ``size`` bytes of a list, and their SHA-256."""

    size: int
    sha256: str

    def begins(self, content: bytes) -> bool:
        """Whether a list begins with these bytes."""
        return len(content) >= self.size and _digest(content[: self.size]) == self.sha256


def head_of(content: bytes) -> ListHead:
    """Give the head of a whole list."""
    return ListHead(len(content), _digest(content))


def head_beside(path: Path) -> Path:
    """Name the file of a list's head."""
    return path.with_suffix(".head")


def read_list_head(path: Path) -> ListHead | None:
    """Read the head beside a list; None where there is none, as in homes of before. TableError for one that is none."""
    beside = head_beside(path)
    try:
        content = read_bounded(beside, _LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TableError(f"head={beside}: cannot be read ({error.strerror})") from error
    try:
        plain = read_json(content, _LARGEST)
        size, sha256 = plain["size"], plain["sha256"]
    except (ValueError, TypeError, KeyError):
        size, sha256 = -1, ""
    if type(size) is not int or size < 0 or not is_digest(sha256):
        raise TableError(f"head={beside}: is not what inbound writes; {_NEWEST}")
    return ListHead(size, sha256)


def require_grown(path: Path, content: bytes, head: ListHead | None) -> None:
    """TableError unless a list holds all that it once held. head: as it was read before the list was."""
    if head is None or head.begins(content):
        return
    raise TableError(
        f"withdrawals={path}: lacks lines that it had, by {head_beside(path).name}: an older copy was put back, or it "
        f"was lost; {_NEWEST}, or, where there is none, remove {head_beside(path).name} and read in again what came "
        "since (outreach inbound)"
    )


def keep_list_head(path: Path, content: bytes) -> None:
    """Write the head of what a list holds now, after the list. OSError where it cannot be written."""
    head = head_of(content)
    write_durably(head_beside(path), canonical_json({"size": head.size, "sha256": head.sha256}), 0o600)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
