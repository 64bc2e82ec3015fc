"""The peers of policy.yaml, rewritten by a serialiser: the rest of the file stays as a person wrote it.

Only the block ``peers:`` is replaced. The whole text is read back before it is written: unless it says exactly what it
said before, with these peers, nothing is written.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from wardround.client.home.settings_text import spelled
from wardround.client.policy.peers import Peer
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml

# The key's own line, then what is indented, and blank lines between: YAML's block of one top-level key.
_BLOCK = re.compile(r"^peers:[^\n]*(\n[ \t]*(?=\n)|\n[ \t]+\S[^\n]*)*", re.MULTILINE)


def write_peers(path: Path, peers: Mapping[str, Peer]) -> None:
    """Put these peers into a policy's file, durably; ConfigurationError, and nothing written, where that fails."""
    try:
        content = read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(f"policy={path}: cannot be read ({error.strerror})") from error
    changed = with_peers(content, peers)
    try:
        write_durably(path, changed, path.stat().st_mode & 0o777)
    except OSError as error:
        raise ConfigurationError(f"policy={path}: cannot be written ({error.strerror})") from error


def with_peers(content: bytes, peers: Mapping[str, Peer]) -> bytes:
    """Give a policy's text with other peers; ConfigurationError unless it reads back so, and is a policy."""
    before = read_yaml(content, "policy")
    plain = {name: {"key": peer.key, "since": peer.since} for name, peer in sorted(peers.items())}
    block = f"peers:{spelled(plain) if plain else ' {}'}"
    text = content.decode()
    found = _BLOCK.search(text)
    around = (f"{text.rstrip()}\n", "\n") if found is None else (text[: found.start()], text[found.end() :])
    changed = block.join(around).encode()
    try:
        holds = read_yaml(changed, "policy") == {**before, "peers": plain}
    except ConfigurationError:
        holds = False
    if not holds:
        raise ConfigurationError(
            "policy.yaml: its peers cannot be rewritten as they stand there; nothing was written: put the word "
            "peers: and each peer's name on lines of their own"
        )
    policy_from_yaml(changed)
    return changed
