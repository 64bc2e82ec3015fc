"""The one app that a SuperNode runs: the shim, as this installation knows it.

Flower's SuperNode would run whatever its server ships. Here what is shipped is compared with SHIM_DIGEST before a
line of it is unpacked: no code travels to a hospital. The systemd unit is the second wall, for faults of this one.
"""

import hashlib
import tomllib
import zlib
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.canonical import fingerprint
from wardround.protocol.text.text import visible

# Of server/network/shim; test_known_app.py fails, and says the new one, where the shim has changed.
SHIM_DIGEST = "6a20448b7edacc7cb4ff9e252eea1e56fbfc13ad36038c202d99e3d3cdc7d222"
# The shim's own version, not Wardround's: releases that ship the same shim work together. Whoever changes the shim
# raises ``protocol.wire.speaker.PROTOCOL`` too.
SHIM_NAME, SHIM_VERSION = "wardround/wardround-shim", "0.1.0"
MOST_BYTES, MOST_FILES = 100_000, 10
_MANIFEST, _PROJECT = ".info/CONTENT", "pyproject.toml"


def digest(bundle: bytes) -> str:
    """Hash names and contents of an app's files, however they are packed. ValueError where it is no app's bundle.

    The project's file counts by its meaning: another release of Flower writes it with other spaces.
    """
    try:
        with ZipFile(BytesIO(bundle)) as packed:
            parts = packed.infolist()
            if len(parts) > MOST_FILES or sum(part.file_size for part in parts) > MOST_BYTES:
                raise ValueError(f"larger than {MOST_FILES} files of together {MOST_BYTES} bytes")
            contents = {part.filename: packed.read(part) for part in parts}
    except (BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError("not packed as a Flower app") from error
    # Of two entries of one name the last alone would be in the digest, and an unpacker may take the first.
    if len(contents) < len(parts) or _PROJECT not in contents:
        raise ValueError("the same file twice, or no pyproject.toml")
    contents.pop(_MANIFEST, None)  # follows from the others; Flower holds them to it
    project = tomllib.loads(contents.pop(_PROJECT).decode("utf-8"))
    return fingerprint([project, {name: hashlib.sha256(one).hexdigest() for name, one in contents.items()}])


def check_app(bundle: bytes, name: str, version: str, stated_hash: str) -> None:
    """ConfigurationError unless this is the shim, and all by which Flower finds it on disk are the shim's too."""
    try:
        found = digest(bundle)
    except ValueError as error:
        found = str(error)
    true_hash = hashlib.sha256(bundle).hexdigest()
    if (found, name, version, stated_hash) != (SHIM_DIGEST, SHIM_NAME, SHIM_VERSION, true_hash):
        raise ConfigurationError(
            f"app={visible(name, 80)} {visible(version, 20)} ({visible(found, 80)}): not run, since it is not the shim "
            "that is installed here; ask the operator which release of Wardround ships it, and what else was shipped"
        )


def run_the_shim_alone(flowers: Any) -> None:
    """Let Flower's module ``run_clientapp`` unpack and load the shim alone; another app is answered with an error."""
    pull, install = flowers.pull_task_input, flowers.install_from_fab
    asked: list[tuple[str, str, str]] = []

    def pulled(client: Any) -> Any:
        message, context, run, fab = pull(client)
        asked.append((run.fab_id, run.fab_version, fab.hash_str))
        return message, context, run, fab

    def installed(content: bytes, **options: Any) -> Any:
        # Here and not above: Flower has the message by now, and tells the server that it failed.
        try:
            check_app(content, *asked[-1])
        except ConfigurationError as error:
            # The one error by which the server can tell that the shim was not run from that it failed.
            raise flowers.LoadClientAppError(str(error)) from error
        return install(content, **options)

    flowers.pull_task_input, flowers.install_from_fab = pulled, installed
