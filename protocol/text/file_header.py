"""The texts in a safetensors file's header, read within a bound before anything else of the file is."""

from wardround.protocol.text.plain import read_json

LARGEST_METADATA = 2**24  # bytes
_LENGTH_BYTES = 8


def metadata_of(content: bytes, largest: int = LARGEST_METADATA) -> dict[str, str]:
    """Give the texts that a safetensors file states beside its arrays; ValueError where it is no such file.

    safetensors itself reads them from files on disk only: eight bytes of length, then JSON.
    """
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES or length > min(largest, len(content) - _LENGTH_BYTES):
        raise ValueError("not a safetensors file")
    plain = read_json(content[_LENGTH_BYTES : _LENGTH_BYTES + length], largest)
    found = plain.get("__metadata__", {}) if isinstance(plain, dict) else None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError("states something other than texts")
    return found
