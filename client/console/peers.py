"""Which hospitals are known here, and by whom, as ``peers list`` has them."""

from typing import Any

from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.peers import contradictions_of_peers, peer_rows
from wardround.protocol.wire.signing import key_fingerprint


def known_hospitals(opened: OpenHome) -> dict[str, Any]:
    """List them; a fingerprint is what people compare by telephone."""
    rows, unreadable = peer_rows(opened)
    return {
        "hospital": opened.home.hospital,
        "fingerprint": key_fingerprint(opened.home.key.public),
        "peers": [{**vars(row), "fingerprint": key_fingerprint(row.key)} for row in rows],
        "against": [*contradictions_of_peers(opened), *unreadable],
    }
