"""Protocols that were signed: HOME/approvals/protocols, one signed file each, and one more where it ended early.

NAME.protocol holds protocol.yaml word for word, who signed it, and when; it never changes, and neither does what was
measured by it. NAME.end, signed too, says from when on nobody more is counted in. Whoever can remove these files, and
reads the tables, can also measure what they like: the files bind people who mean to keep to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from wardround.client.outreach.measure.protocol import OutreachProtocol
from wardround.client.outreach.measure.protocol_settings import PROTOCOL, read_protocol
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import paths_in, read_bounded, write_new
from wardround.protocol.text.plain import LARGEST_YAML
from wardround.protocol.text.text import is_line
from wardround.protocol.wire.signed_file import FileForm, load_content, read_signed, signed_content
from wardround.protocol.wire.signing import Purpose, SigningKey

FOLDER = "protocols"
_LONGEST_REASON = 500
_KEEPER = "whoever keeps this hospital's backup"
SIGNED = FileForm(
    kind="protocol",
    format="wardround-protocol-1",
    purpose=Purpose.PROTOCOL,
    signer="hospital",
    parts=("text", "person", "reason", "at"),
    giver=_KEEPER,
    most=LARGEST_YAML * 3,
)
ENDED = FileForm(
    kind="protocol's end",
    format="wardround-protocol-end-1",
    purpose=Purpose.PROTOCOL,
    signer="hospital",
    parts=("name", "day", "person", "reason", "at"),
    giver=_KEEPER,
)
_TEMPLATE = Path(__file__).parent / "templates" / PROTOCOL


@dataclass(frozen=True, kw_only=True)
class SignedProtocol:
    """A protocol that people stand by. at: when it was signed; ended: the day from which nobody is counted in."""

    protocol: OutreachProtocol
    person: str
    reason: str
    at: datetime
    ended: date | None = None

    def holds_arms(self, day: date) -> bool:
        """Whether patients stay in their arms on this day: until the last window ends."""
        last = self.protocol.last_day
        if self.ended is not None:
            last = min(last, self.ended + timedelta(days=self.protocol.outcome.days))
        return self.protocol.starts <= day <= last


class SignedProtocols:
    """The folder of one hospital, whose key signs what is in it."""

    def __init__(self, approvals: Path, public: str) -> None:
        """Name the home's folder of approvals, and the hospital's public key."""
        self._folder, self._public = approvals / FOLDER, public

    def read(self) -> tuple[SignedProtocol, ...]:
        """Verify and give all of them, the newest last; ConfigurationError names a file that this key did not sign."""
        try:
            paths = paths_in(self._folder, ".protocol")
        except OSError as error:  # not the same as none: patients would leave their arms
            raise ConfigurationError(
                f"protocols={self._folder}: cannot be read ({error.strerror}); have its files belong to the user that "
                "runs this"
            ) from error
        found = [self._read(path) for path in paths]
        return tuple(sorted(found, key=lambda one: one.protocol.starts))

    def find(self, name: str | None) -> SignedProtocol:
        """Give the one of this name, or the newest; ConfigurationError where there is none."""
        found = [one for one in self.read() if name in (None, one.protocol.name)]
        if not found:
            raise ConfigurationError(
                f"protocol={name or 'none'}: nobody signed it; first: wardround-hospital outreach protocol sign"
            )
        return found[-1]

    def running(self, day: date) -> SignedProtocol | None:
        """Give the one that puts patients into arms on this day; None where none does."""
        return next((one for one in self.read() if one.holds_arms(day)), None)

    def sign(
        self, text: bytes, person: str, reason: str, now: datetime, today: date, key: SigningKey
    ) -> None:
        """Keep a protocol for good; ConfigurationError where it began already, or another one runs meanwhile."""
        protocol = read_protocol(text)
        where = f"protocol={protocol.name}"
        if protocol.starts < today:
            raise ConfigurationError(f"{where}: starts={protocol.starts} is past; sign it before it begins")
        for other in self.read():
            # A patient who is in two arms at once shows what neither does.
            if not other.protocol.name == protocol.name and _overlap(other, protocol):
                raise ConfigurationError(
                    f"{where}: {other.protocol.name} keeps patients in its arms until {other.protocol.last_day}; "
                    "begin after it, or end it first"
                )
        plain = {"text": text.decode(), **_who(person, reason, now)}
        self._write(f"{protocol.name}.protocol", signed_content(SIGNED, plain, key))

    def end(self, name: str, person: str, reason: str, now: datetime, today: date, key: SigningKey) -> None:
        """Count nobody more in from today on; ConfigurationError where there is no such protocol, or it has ended."""
        self.find(name)
        plain = {"name": name, "day": str(today), **_who(person, reason, now)}
        self._write(f"{name}.end", signed_content(ENDED, plain, key))

    def _write(self, name: str, content: bytes) -> None:
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_new(self._folder / name, content, 0o600)

    def _read(self, path: Path) -> SignedProtocol:
        plain = self._verified(SIGNED, path)
        protocol = read_protocol(str(plain["text"]).encode(), f"{path.name}")
        if f"{protocol.name}.protocol" != path.name:
            raise ConfigurationError(
                f"protocol={path}: is of {protocol.name}; give the file its own name back"
            )
        signed = SignedProtocol(
            protocol=protocol, person=plain["person"], reason=plain["reason"], at=_time(plain, path)
        )
        end = path.with_suffix(".end")
        if not end.exists():
            return signed
        ended = self._verified(ENDED, end)
        if ended["name"] != protocol.name:
            raise ConfigurationError(
                f"protocol={end}: is of {ended['name']}; give the file its own name back"
            )
        return replace(signed, ended=_time(ended, end, "day").date())

    def _verified(self, form: FileForm, path: Path) -> Mapping[str, Any]:
        plain = read_signed(form, load_content(form, path), path)
        if plain[form.signer] != self._public:
            raise ConfigurationError(f"{form.kind}={path}: another hospital signed it; remove it")
        return plain


def load_protocol_text(path: Path) -> bytes:
    """Read protocol.yaml; ConfigurationError says how to begin one."""
    try:
        return read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(
            f"protocol={path}: cannot be read ({error.strerror}); first: wardround-hospital outreach protocol begin"
        ) from error


def begin_protocol(path: Path, today: date) -> None:
    """Write a first protocol.yaml to edit; ConfigurationError where there is one."""
    starts = today + timedelta(days=14)
    names = {"$name": f"attendance-{starts.year}", "$starts": starts, "$ends": starts + timedelta(days=59)}
    text = _TEMPLATE.read_text(encoding="utf-8")
    for mark, value in names.items():
        text = text.replace(mark, str(value))
    write_new(path, text.encode(), 0o600)


def _overlap(one: SignedProtocol, other: OutreachProtocol) -> bool:
    return one.holds_arms(other.starts) or other.starts <= one.protocol.starts <= other.last_day


def _who(person: str, reason: str, now: datetime) -> dict[str, str]:
    for key, text in (("person", person), ("reason", reason)):
        if not is_line(text, _LONGEST_REASON):
            raise ConfigurationError(
                f"{key}: must be one line of at most {_LONGEST_REASON} visible characters"
            )
    return {"person": person, "reason": reason, "at": now.astimezone(UTC).isoformat(timespec="seconds")}


def _time(plain: Mapping[str, Any], path: Path, key: str = "at") -> datetime:
    try:
        return datetime.fromisoformat(plain[key])
    except (TypeError, ValueError):
        raise ConfigurationError(f"protocol={path}: says no time that can be read") from None
