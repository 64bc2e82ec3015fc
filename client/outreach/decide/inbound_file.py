"""What senders and people at the telephone hand back: a CSV file with a header, or one JSON object a line.

    kind      reply, bounce, complaint or refusal
    patient, address, message
              whom it is from: the identifier, an address, or the ``message`` that export wrote; one is enough
    channel   sms, email, phone, letter or portal
    text      what a reply says
    consent   of a refusal: contact, learn, personalise or all
    at        when, ISO 8601

Whatever a row holds, the others are read: a row that cannot be understood is counted, by its line, and never quoted.
"""

import csv
import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from wardround.client.connectors.decoding import decoded
from wardround.protocol.characters import is_visible
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import LONGEST_LINE

REPLY, BOUNCE, COMPLAINT, REFUSAL = "reply", "bounce", "complaint", "refusal"
INBOUND_KINDS = (REPLY, BOUNCE, COMPLAINT, REFUSAL)
COLUMNS = ("kind", "patient", "address", "message", "channel", "text", "consent", "at")
LARGEST_INBOUND = 2**26  # bytes
_LARGEST_ROW, _LONGEST_TEXT = 2**16, 2000
_ALWAYS = datetime.max.replace(tzinfo=UTC)
_DAY, _MINUTE, _FAR_WEST = len("2026-12-01"), timedelta(minutes=1), timedelta(hours=12)
_MOST_LINES = 50  # of one row: a reply may have several


@dataclass(frozen=True, kw_only=True)
class InboundRow:
    """One row; every text is visible, of one line, and empty where there is none. line: of the file, from 1.

    record: what tells whether it was read before: its cells where they say when it was said, else file and line.
    latest: the last moment at which it may have been said, by what it says.
    """

    line: int
    kind: str
    patient: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    message: str = ""
    channel: str = ""
    text: str = field(default="", repr=False)
    consent: str = ""
    at: datetime
    record: str = ""
    latest: datetime = _ALWAYS


def read_inbound(content: bytes, name: str, now: datetime) -> tuple[tuple[InboundRow, ...], tuple[int, ...]]:
    """Give rows, and the lines that cannot be understood. name: the file's; now: for rows that say no time.

    ConfigurationError where the file as a whole cannot be read.
    """
    if len(content) > LARGEST_INBOUND:
        raise ConfigurationError(f"{name}: is larger than {LARGEST_INBOUND} bytes; split it")
    # Line by line: a byte that is no UTF-8 must not change how the other rows are heard.
    lines = [decoded(line, "utf-8") for line in content.removeprefix(BOM_UTF8).split(b"\n")]
    plain = _json_rows(lines) if name.endswith((".jsonl", ".ndjson", ".json")) else _csv_rows(lines, name)
    file = hashlib.sha256(content).hexdigest()
    rows, faults = [], []
    for line, cells in plain:
        row = None if cells is None else _row(line, cells, file, now)
        if row is None:
            faults.append(line)
        else:
            rows.append(row)
    return tuple(rows), tuple(faults)


def _json_rows(lines: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    for line, one in enumerate(lines, 1):
        if not one.strip():
            continue
        try:
            value = read_json(one.encode(), _LARGEST_ROW)
        except ValueError:
            value = None
        yield line, value if isinstance(value, dict) else None


def _csv_rows(lines: Sequence[str], name: str) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    head = lines[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    names = [one.strip().lower() for one in _cells(lines[:1], delimiter)[0] or ()]
    if "kind" not in names or not set(names) & {"patient", "address", "message"}:
        raise ConfigurationError(
            f"{name}: its first line must name columns: kind, and patient, address or message; also "
            f"{', '.join(COLUMNS[4:])}"
        )
    place = 1
    while place < len(lines):
        cells, used = _cells(lines[place : place + _MOST_LINES], delimiter)
        place += used
        if cells is None or len(cells) > len(names):
            yield place, None
        elif any(map(str.strip, cells)):
            yield place, dict(zip(names, cells, strict=False))


def _cells(lines: Sequence[str], delimiter: str) -> tuple[list[str] | None, int]:
    """Read one row; give its cells, None where it has none, and how many lines it took.

    A quote that nobody closes ends with its own line: it must not swallow the rows behind it.
    """
    whole = [f"{line}\n" for line in lines]
    for rows, strict in ((whole, True), (whole[:1], False)):
        reader = csv.reader(rows, delimiter=delimiter, strict=strict)
        try:
            return next(reader), reader.line_num
        except (csv.Error, StopIteration):
            continue
    return None, 1


def _row(line: int, cells: Mapping[str, object], file: str, now: datetime) -> InboundRow | None:
    texts = {name: _seen(cells.get(name)) for name in COLUMNS}
    kind = texts["kind"].lower()
    if kind not in INBOUND_KINDS or not (texts["patient"] or texts["address"] or texts["message"]):
        return None
    return InboundRow(
        line=line,
        kind=kind,
        patient=texts["patient"],
        address=texts["address"],
        message=texts["message"].lower(),
        channel=texts["channel"].lower(),
        text=str(cells.get("text") or "")[:_LONGEST_TEXT],
        consent=texts["consent"].lower(),
        at=_time(texts["at"], now),
        record=json.dumps(texts, sort_keys=True) if texts["at"] else f"{file} {line}",
        latest=_latest(texts["at"]),
    )


def _seen(value: object) -> str:
    """Keep what a person sees of a cell; identifiers are compared without the rest anyway."""
    text = "" if value is None or isinstance(value, bool | dict | list) else str(value)[: 2 * LONGEST_LINE]
    return (
        "".join(one if one != "\n" and is_visible(one) else " " for one in text)
        .strip()[:LONGEST_LINE]
        .strip()
    )


def _latest(text: str) -> datetime:
    """Give the last moment that a text may mean, in UTC: a day alone ends late in the far west, no time never does."""
    try:
        found = datetime.fromisoformat(text)
        if len(text) <= _DAY:
            return found.replace(tzinfo=UTC) + timedelta(days=1) + _FAR_WEST
        return (
            found.astimezone(UTC) + _MINUTE
            if found.tzinfo
            else found.replace(tzinfo=UTC) + _FAR_WEST + _MINUTE
        )
    except (ValueError, OverflowError):
        return _ALWAYS


def _time(text: str, now: datetime) -> datetime:
    """Read a time; now where there is none that can be read: a withdrawal counts at once, whatever its date."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return now
