"""Decisions about modules, kept for good: HOME/approvals/content.log, and its head beside it.

Each line is a signature by the hospital's key and one decision in canonical JSON, which names its number and the
hash of the line before. ``content.head`` names the last line, written after it. So a line that was changed, moved or
left out is found, and so is a log that was cut or put back: a retirement must not be forgotten. Whoever can put back
both files, and holds the hospital's key, can also sign what they like.

The file is put in its place whole: a crash leaves the log as it was, or with the new line.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wardround.client.outreach.content.approvals import APPROVED, RETIRED, ContentDecision
from wardround.client.outreach.content.deciding import LONGEST_REASON
from wardround.client.outreach.content.language import is_language
from wardround.client.outreach.content.module import is_id
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_digest, is_line
from wardround.protocol.wire.signing import Purpose, SigningKey, verifies

LOG, HEAD = "content.log", "content.head"
LARGEST_LOG, LARGEST_LINE = 2**24, 4096  # bytes
_NONE = "0" * 64  # the hash of no line
_LINE = re.compile(rb"([0-9a-f]{128}) (\{.*\})")
_FIELDS = {*ContentDecision.__dataclass_fields__, "sequence", "previous"}


class ContentApprovals:
    """The folder. Reading needs the hospital's public key alone."""

    def __init__(self, folder: Path, public: str) -> None:
        """Name the folder; it is made with the first decision."""
        self._folder, self._public = folder, public

    def read(self) -> tuple[ContentDecision, ...]:
        """Verify and give all decisions, oldest first; ConfigurationError where one was changed, moved or lost."""
        if not self._folder.is_dir():
            return ()
        with self._turn():
            return self._verified(self._lines(), self._head())

    def add(self, decision: ContentDecision, key: SigningKey) -> None:
        """Sign a decision and keep it durably; ConfigurationError where it cannot be kept, and nothing was decided."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with self._turn():
                lines = self._lines()
                self._verified(lines, self._head())
                previous = _hash(lines[-1]) if lines else _NONE
                line = _signed(decision, len(lines) + 1, previous, key)
                # By the reader's own checks: nothing is written that could not be read again.
                self._verified([*lines, line], None)
                write_durably(self._folder / LOG, b"".join(b"%b\n" % one for one in (*lines, line)), 0o600)
                head = {"hash": _hash(line), "sequence": len(lines) + 1}
                write_durably(self._folder / HEAD, canonical_json(head) + b"\n", 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"approvals={self._folder}: cannot be written ({error.strerror}); look at content list before you "
                "decide again"
            ) from error

    def _lines(self) -> list[bytes]:
        content = self._content(LOG, LARGEST_LOG)
        if content[-1:] not in (b"", b"\n"):
            raise self._altered("its last line is cut")
        return content.split(b"\n")[:-1]

    def _head(self) -> tuple[int, str]:
        content = self._content(HEAD, LARGEST_LINE)
        if not content:
            return 0, _NONE
        try:
            plain = read_json(content, LARGEST_LINE)
            sequence, digest = plain["sequence"], plain["hash"]
        except (ValueError, KeyError, TypeError):
            sequence, digest = 0, ""
        if type(sequence) is not int or sequence < 1 or not is_digest(digest):
            raise self._altered(f"{HEAD} is not what stands there")
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

    def _verified(self, lines: list[bytes], head: tuple[int, str] | None) -> tuple[ContentDecision, ...]:
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
                raise self._altered(f"decision {sequence}, which {HEAD} names, is not in it")
        return tuple(decisions)

    def _decision(self, line: bytes, number: int, previous: str) -> ContentDecision:
        found = _LINE.fullmatch(line)
        signed = found is not None and verifies(
            self._public, Purpose.CONTENT, found[2], bytes.fromhex(found[1].decode())
        )
        plain = _plain(found[2]) if found is not None and signed else None
        if plain is None or plain.pop("sequence") != number or plain.pop("previous") != previous:
            raise self._altered(f"decision {number} is not what this hospital signed there")
        return ContentDecision(**plain)

    def _altered(self, how: str) -> ConfigurationError:
        return ConfigurationError(
            f"approvals={self._folder / LOG}: was altered or put back ({how}); nothing counts as approved: restore "
            f"{LOG} and {HEAD} from the newest copy of both"
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other writers out."""
        try:
            handle = os.open(self._folder, os.O_RDONLY)
        except OSError as error:
            raise ConfigurationError(
                f"approvals={self._folder}: cannot be read ({error.strerror})"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _signed(decision: ContentDecision, sequence: int, previous: str, key: SigningKey) -> bytes:
    plain = asdict(decision) | {"sequence": sequence, "previous": previous}
    plain["time"] = decision.time.astimezone(UTC).isoformat(timespec="seconds")
    plain["until"] = "" if decision.until is None else decision.until.isoformat()
    body = canonical_json(plain)
    return key.sign(Purpose.CONTENT, body).hex().encode() + b" " + body


def _plain(body: bytes) -> dict[str, Any] | None:
    """Read a signed body in its one spelling; None where it is none that this file writes."""
    try:
        plain = read_json(body, LARGEST_LINE)
        if not isinstance(plain, dict) or plain.keys() != _FIELDS or canonical_json(plain) != body:
            return None
        until = date.fromisoformat(plain["until"]) if plain["until"] else None
        time = datetime.fromisoformat(plain["time"])
        texts = is_line(plain["person"]) and is_line(plain["reason"], LONGEST_REASON)
        module = is_id(plain["id"]) and is_language(plain["language"]) and is_digest(plain["digest"])
        others = all(plain[key] == "" or is_digest(plain[key]) for key in ("original", "guidelines"))
        kind = plain["kind"] == (RETIRED if until is None else APPROVED)
    except (ValueError, TypeError, AttributeError):
        return None
    if not (texts and module and others and kind and time.tzinfo is not None):
        return None
    return {**plain, "until": until, "time": time}


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
