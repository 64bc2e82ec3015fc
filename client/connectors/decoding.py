"""Bytes to text without ever failing: what a byte becomes depends on its own line alone."""


def decoded(line: bytes, encoding: str) -> str:
    """Decode a line; as cp1252 where it is not the UTF-8 that it should be. Never raises."""
    if encoding == "utf-8":
        try:
            return line.decode()
        except UnicodeDecodeError:
            encoding = "cp1252"
    if encoding == "cp1252":
        return line.decode("latin-1").translate(_CP1252)
    return line.decode(encoding, errors="replace")


def _cp1252() -> dict[int, str]:
    """Windows' Western letters where Latin-1 has others; its five gaps stay Latin-1, so that no byte is nothing."""
    table = {number: bytes([number]).decode("cp1252", errors="ignore") for number in range(0x80, 0xA0)}
    return {number: letter for number, letter in table.items() if letter}


_CP1252 = _cp1252()
