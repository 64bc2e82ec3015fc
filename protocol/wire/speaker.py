"""Which protocol the writer of a message speaks, and which release of Wardround it is.

    speaker: what the message is, 8 bytes | protocol, uint16 | program's version, 30 bytes, ASCII, padded with zeros

All numbers are little-endian. Every request and answer begins with these 40 bytes, whatever its protocol, so that two
releases that understand nothing else of each other still say which of them is to be upgraded. **No protocol may
change them.** The same two facts stand in kits and requests to join, as ``protocol`` and ``program``.

Both depend on what is installed and on nothing else, so that either side may tell the other (rule 2). The version
is for people: programs decide by the protocol's number alone.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.errors import MessageError
from wardround.protocol.installed import installed_version

PROTOCOL = 2
"""The protocol that this program speaks. An agent and a server of other numbers refuse each other, and charge nothing.

Raise it by one with every change after which an agent and a server of two releases would misunderstand each other:

- other bytes of a request, an answer, signed terms, kit, request to join or signed model, or another bound on them;
- another meaning of the same bytes: what is clipped, summed, noised or charged, how terms are read;
- another shim (``client.network.known_app.SHIM_DIGEST``): a SuperNode runs none but its own release's.

Not for what one side alone does. ``tests/protocol/wire/test_protocol_number.py`` fails where bytes change and the
number does not; meaning it cannot see. Stored releases have a form of their own (``protocol.wire.wire``) and outlive
the number; a change of that form must say in the changelog what becomes of studies that run.
"""

ASK, ANSWER = b"ward-ask", b"ward-ans"
"""What a message is."""

_SPEAKER = struct.Struct("<8sH30s")
_OF_0_1_0 = (b"wardask1", b"wardans1")  # how its requests and answers began: it had no number for a protocol
SPEAKER_BYTES = _SPEAKER.size
LONGEST_PROGRAM, LARGEST_PROTOCOL = 30, 2**16 - 1
_PROGRAM = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,29}")


@dataclass(frozen=True)
class Speaker:
    """One side of the wire: the protocol's number and the program's version."""

    protocol: int
    program: str

    def __str__(self) -> str:
        """Say it for a person; ``program`` was checked where it was read."""
        return f"protocol {self.protocol} (wardround {self.program})"


class FirstRelease(MessageError):
    """A message is of release 0.1.0, or of somebody who says so: nothing of it can be verified."""


def this_speaker() -> Speaker:
    """Say what is installed here."""
    return Speaker(PROTOCOL, installed_version()[:LONGEST_PROGRAM])


def speaker_to_bytes(kind: bytes, speaker: Speaker) -> bytes:
    """Write a message's first ``SPEAKER_BYTES``. kind: ``ASK`` or ``ANSWER``."""
    return _SPEAKER.pack(kind, speaker.protocol, speaker.program.encode("ascii"))


def speaker_from_bytes(kind: bytes, payload: bytes) -> Speaker:
    """Read who wrote a message, of whatever protocol, in constant time; MessageError where it is none of this kind.

    FirstRelease where it begins as those of 0.1.0 did.
    """
    if payload[:8] in _OF_0_1_0:
        raise FirstRelease(f"a message of release 0.1.0, too old for {this_speaker()}: upgrade who sent it")
    if len(payload) < SPEAKER_BYTES:
        raise MessageError(f"message: {len(payload)} bytes, must be at least {SPEAKER_BYTES}")
    found, protocol, program = _SPEAKER.unpack_from(payload)
    text = program.rstrip(b"\0").decode("ascii", "replace")
    if found != kind or not _is_speaker(protocol, text):
        raise MessageError(f"message: must begin with {kind.decode()}, a protocol's number and a version")
    return Speaker(protocol, text)


def speaker_to_mapping(speaker: Speaker) -> dict[str, object]:
    """Give the parts of a signed file that say who wrote it."""
    return {"protocol": speaker.protocol, "program": speaker.program}


def speaker_from_mapping(plain: Mapping[str, object]) -> Speaker:
    """Read those parts; ValueError where they say no protocol's number and version."""
    protocol, program = plain["protocol"], plain["program"]
    if not _is_speaker(protocol, program):
        raise ValueError("protocol must be a whole number from 1, and program a version of Wardround")
    return Speaker(int(str(protocol)), str(program))


def _is_speaker(protocol: object, program: object) -> bool:
    number = type(protocol) is int and 1 <= protocol <= LARGEST_PROTOCOL
    return number and isinstance(program, str) and _PROGRAM.fullmatch(program) is not None


def understands(other: Speaker) -> bool:
    """Whether the other side speaks this program's protocol."""
    return other.protocol == PROTOCOL


def disagreement(who: str, theirs: Speaker, here: str) -> str:
    """Say in one line that two sides speak two protocols, and which of them is to be upgraded."""
    older = here if theirs.protocol > PROTOCOL else who
    return f"{who} speaks {theirs}, {here} {this_speaker()}; upgrade {older}"


def difference(who: str, theirs: Speaker, here: str) -> str:
    """Say in one line how two sides go together; empty where they are of one release."""
    if theirs == this_speaker():
        return ""
    return (other_release if understands(theirs) else disagreement)(who, theirs, here)


def other_release(who: str, theirs: Speaker, here: str) -> str:
    """Say in one line that two sides are of two releases and understand each other."""
    mine = this_speaker()
    return (
        f"{who} runs wardround {theirs.program}, {here} {mine.program}; both speak protocol {mine.protocol}"
    )
