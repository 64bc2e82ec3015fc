"""Decisions of people, kept for good: a log in HOME/approvals, and its head beside it.

Each line is a signature by the hospital's key and one decision in canonical JSON, which names its number, the hash of
the line before, and the release that wrote it: a line that this hospital did sign there, and that this release cannot
read, is a newer one's. The head names the last line, written after it. So a line that was changed, moved or left out
is found, and so is a log that was cut or put back: a retirement must not be forgotten. Whoever can put back both
files, and holds the hospital's key, can also sign what they like.

The file is put in its place whole: a crash leaves the log as it was, or with the new line.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.installed import installed_version
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_digest, is_line
from wardround.protocol.turns import turn_in
from wardround.protocol.wire.signing import Purpose, SigningKey, verifies

_LARGEST_HEAD = 4096  # bytes
_NONE = "0" * 64  # the hash of no line
_LINE = re.compile(rb"([0-9a-f]{128}) (\{.*\})")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LogForm(Generic[T]):
    """What a log holds. name: its file is NAME.log. purpose: what its signatures are for. listing: what shows it.

    to_plain: spells a decision as plain data; from_plain: reads that, None where it is no decision in its one spelling.
    largest, longest: bytes of the whole log, and of one line.
    """

    name: str
    purpose: Purpose
    listing: str
    to_plain: Callable[[T], dict[str, Any]]
    from_plain: Callable[[Mapping[str, Any]], T | None]
    largest: int = 2**24
    longest: int = 4096


class SignedLog(Generic[T]):
    """The log. Reading needs the hospital's public key alone."""

    def __init__(self, folder: Path, public: str, form: LogForm[T]) -> None:
        """Name the folder; it is made with the first decision."""
        self._folder, self._public, self._form = folder, public, form
        self._log, self._head_name = f"{form.name}.log", f"{form.name}.head"

    def read(self) -> tuple[T, ...]:
        """Verify and give all decisions, oldest first; ConfigurationError where one was changed, moved or lost."""
        if not self._folder.is_dir():
            return ()
        with turn_in(self._folder, self._unread):
            return self._verified(self._lines(), self._head())

    def add(self, decision: T, key: SigningKey) -> None:
        """Sign a decision and keep it durably; ConfigurationError where it cannot be kept, and nothing was decided."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with turn_in(self._folder, self._unread):
                lines = self._lines()
                self._verified(lines, self._head())
                previous = _hash(lines[-1]) if lines else _NONE
                line = self._signed(decision, len(lines) + 1, previous, key)
                # By the reader's own checks: nothing is written that could not be read again.
                self._verified([*lines, line], None)
                whole = b"".join(b"%b\n" % one for one in (*lines, line))
                write_durably(self._folder / self._log, whole, 0o600)
                head = {"hash": _hash(line), "sequence": len(lines) + 1}
                write_durably(self._folder / self._head_name, canonical_json(head) + b"\n", 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"approvals={self._folder}: cannot be written ({error.strerror}); look at {self._form.listing} before "
                "you decide again"
            ) from error

    def _lines(self) -> list[bytes]:
        content = self._content(self._log, self._form.largest)
        if content[-1:] not in (b"", b"\n"):
            raise self._altered("its last line is cut")
        return content.split(b"\n")[:-1]

    def _head(self) -> tuple[int, str]:
        content = self._content(self._head_name, _LARGEST_HEAD)
        if not content:
            return 0, _NONE
        try:
            plain = read_json(content, _LARGEST_HEAD)
            sequence, digest = plain["sequence"], plain["hash"]
        except (ValueError, KeyError, TypeError):
            sequence, digest = 0, ""
        if type(sequence) is not int or sequence < 1 or not is_digest(digest):
            raise self._altered(f"{self._head_name} is not what stands there")
        return sequence, digest

    def _content(self, name: str, most: int) -> bytes:
        try:
            content = read_bounded(self._folder / name, most)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ConfigurationError(
                f"approvals={self._folder / name}: cannot be read ({error.strerror})"
            ) from error
        if len(content) > most:
            raise ConfigurationError(f"approvals={self._folder / name}: is larger than {most} bytes")
        return content

    def _verified(self, lines: list[bytes], head: tuple[int, str] | None) -> tuple[T, ...]:
        """Read all lines. head: which line must be among them; None where that was looked at."""
        decisions, previous, hashes = [], _NONE, [_NONE]
        for number, line in enumerate(lines, 1):
            decisions.append(self._decision(line, number, previous))
            previous = _hash(line)
            hashes.append(previous)
        if head is not None:
            sequence, digest = head
            # One line more than the head names is what a crash between the two files leaves.
            if not sequence <= len(lines) <= sequence + 1 or hashes[sequence] != digest:
                raise self._altered(f"decision {sequence}, which {self._head_name} names, is not in it")
        return tuple(decisions)

    def _decision(self, line: bytes, number: int, previous: str) -> T:
        found = _LINE.fullmatch(line)
        signed = found is not None and verifies(
            self._public, self._form.purpose, found[2], bytes.fromhex(found[1].decode())
        )
        plain = _plain(found[2], self._form.longest) if found is not None and signed else {}
        if plain.pop("sequence", None) != number or plain.pop("previous", None) != previous:
            raise self._altered(f"decision {number} is not what this hospital signed there")
        release = plain.pop("release", None)
        decision = self._form.from_plain(plain)
        if decision is None:
            raise self._of_another_release(number, release)
        return decision

    def _signed(self, decision: T, sequence: int, previous: str, key: SigningKey) -> bytes:
        plain = self._form.to_plain(decision) | {
            "sequence": sequence,
            "previous": previous,
            "release": installed_version(),
        }
        body = canonical_json(plain)
        return key.sign(self._form.purpose, body).hex().encode() + b" " + body

    def _of_another_release(self, number: int, release: object) -> ConfigurationError:
        wrote = release if is_line(release) else "another release"
        return ConfigurationError(
            f"approvals={self._folder / self._log}: decision {number} was signed here by Wardround {wrote}, and this "
            f"release ({installed_version()}) does not know what it says; nothing counts as approved until the newest "
            "release that was ever used in this home is installed again"
        )

    def _altered(self, how: str) -> ConfigurationError:
        return ConfigurationError(
            f"approvals={self._folder / self._log}: was altered or put back ({how}); nothing counts as approved: "
            f"restore {self._log} and {self._head_name} from the newest copy of both"
        )

    def _unread(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"approvals={self._folder}: cannot be read ({error.strerror})")


def _plain(body: bytes, longest: int) -> dict[str, Any]:
    """Read a signed body in its one spelling; empty where it is none."""
    try:
        plain = read_json(body, longest)
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) and canonical_json(plain) == body else {}


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
