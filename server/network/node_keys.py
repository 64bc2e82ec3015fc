"""Who is calling the server's port, read from a request's headers alone, before a byte of its body is taken in.

Flower 1.42 reads and parses a whole request before it looks at the key that signed it, so anybody could have the
SuperLink hold megabytes. Here the same headers are checked first, by the same rule
(``flwr.superlink.routers.fleet.node_auth``); Flower checks them again afterwards.
"""

import time
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature

from wardround.server.network.clocks import Clocks

_KEY, _SIGNATURE, _SIGNED_AT = (
    name.encode("ascii")
    for name in (FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER)
)
FRESH_SECONDS, LOOK_AGAIN_SECONDS = 1.0, 0.2


class NodeKeys:
    """The enrolled nodes' public keys, read from the SuperLink's list at most every ``LOOK_AGAIN_SECONDS``.

    So a crowd of strangers costs a look-up in memory each, and no query of the database.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[bytes]],
        clock: Callable[[], float] = time.monotonic,
        clocks: Clocks | None = None,
    ) -> None:
        """read: give the keys that are enrolled now. clocks: takes the times that they sign."""
        self._read, self._clock, self._clocks = read, clock, clocks
        self._keys: frozenset[bytes] = frozenset()
        self._looked = float("-inf")

    def caller(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """Give the enrolled key that signed these headers just now; None for everybody else."""
        try:
            key = b64decode(headers[_KEY], validate=True)
            # Before the signature is checked: a stranger costs a look-up, not a verification.
            if not self._enrolled(key):
                return None
            signed_at, now = headers[_SIGNED_AT], datetime.now(UTC)
            signature = b64decode(headers[_SIGNATURE], validate=True)
            at = datetime.fromisoformat(signed_at.decode("ascii"))
            fresh = is_fresh(at, now)
            if not fresh and (self._clocks is None or not self._clocks.wants(key)):
                return None
            if not verify_signature(bytes_to_public_key(key), signed_at, signature):
                return None
            if self._clocks is not None:
                self._clocks.note(key, at, now)
            return key if fresh else None
        except (KeyError, ValueError, TypeError, Error):
            return None

    def _enrolled(self, key: bytes) -> bool:
        age = self._clock() - self._looked
        # A hospital that was enrolled just now must not be turned away: its SuperNode would give up.
        if age > FRESH_SECONDS or (key not in self._keys and age > LOOK_AGAIN_SECONDS):
            self._keys, self._looked = frozenset(self._read()), self._clock()
        return key in self._keys


def is_fresh(signed_at: datetime, now: datetime) -> bool:
    """Return True if a time is one that Flower would take now. TypeError where it has no zone."""
    age = (now - signed_at).total_seconds()
    return -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE
