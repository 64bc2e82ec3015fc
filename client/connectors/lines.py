"""A text file as blocks of whole lines: UTF-8 whatever it was, each line ending in one line feed.

A row is a line. What stands in one line never changes where another begins, so that a fault stays where it is.
"""

from collections.abc import Iterator
from typing import BinaryIO

from wardround.client.connectors.decoding import decoded
from wardround.client.connectors.line_format import LONGEST_LINE, LineFormat

_BLOCK = 2**22  # bytes; larger than the longest line


def blocks_of_lines(stream: BinaryIO, written: LineFormat) -> Iterator[tuple[bytes, bool]]:
    """Yield blocks of whole lines in the file's order, and whether a block is the start of one overlong line.

    stream: stands at the first row. Guarantee: whether a line is overlong depends on its own length alone.
    """
    end = written.end.encode(written.encoding)
    rest, skipping = b"", False
    while block := stream.read(_BLOCK):
        data = rest + block
        if skipping:
            place = data.find(end)
            if place < 0:
                rest = data[len(data) - len(end) + 1 :]  # an end may be cut in two
                continue
            data, skipping = data[place + len(end) :], False
        stop = data.rfind(end)
        whole, rest = (data[: stop + len(end)], data[stop + len(end) :]) if stop >= 0 else (b"", data)
        if whole:
            yield _as_utf8(whole, end, written), False
        if len(rest) > LONGEST_LINE * len(end):
            yield _as_utf8(rest[: LONGEST_LINE * len(end)] + end, end, written), True
            rest, skipping = b"", True
    if rest and not skipping:
        yield _as_utf8(rest + end, end, written), False


def _as_utf8(data: bytes, end: bytes, written: LineFormat) -> bytes:
    text = data if written.encoding == "utf-8" and _is_utf8(data) else _decoded(data, end, written)
    if written.end == "\r":
        # First: a line feed within such a line would pass for its end afterwards.
        return text.replace(b"\n", b" ").replace(b"\r", b"\n")
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes, end: bytes, written: LineFormat) -> bytes:
    """Decode line by line where a line could spoil the next; a byte too many shifts all UTF-16 that follows."""
    if written.encoding in ("cp1252", "latin-1"):
        return decoded(data, written.encoding).encode()
    lines = data.split(end)[:-1]
    mark = written.end.encode()
    return b"".join(
        decoded(line, written.encoding).encode("utf-8", errors="replace") + mark for line in lines
    )
