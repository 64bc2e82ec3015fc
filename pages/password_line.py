"""A password from a file, or from a descriptor that a script opened (``/dev/fd/3``); never from a command line."""

from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_private

LARGEST_PASSWORD_FILE = 4096


def password_line(path: Path) -> str:
    """Read the first line; ConfigurationError, which never quotes it, where others may read the file."""
    try:
        text = read_private(path, "--password-file", LARGEST_PASSWORD_FILE).decode()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--password-file={path}: cannot be read as text") from error
    return text.split("\n")[0].rstrip("\r")
