"""Parts of Flower's messages that come again and again, fetched from the server once.

Flower cuts a message into parts, fetches each by a request of its own, and names it by the digest of its bytes. Two of
the five parts of a small request of a secure sum are the same in every one (``server.network.messages.sum_message``):
of the server's work for trip 2 that is a tenth.
"""

from collections.abc import Callable, Sequence
from functools import partial

LARGEST_KEPT = 1024  # bytes of a part
MOST_KEPT = 256


class RepeatedParts:
    """Fetches the parts of one message after the other, and remembers small ones by their names."""

    def __init__(self, pull_objects: Callable[..., dict[str, bytes]]) -> None:
        """pull_objects: Flower's, which takes names and a function that fetches one part."""
        self._pull_objects = pull_objects
        self._kept: dict[str, bytes] = {}

    def __call__(self, object_ids: Sequence[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, bytes]:
        """Give the content of each part, as Flower's ``pull_objects`` does; raises as it does."""
        return self._pull_objects(object_ids, partial(self._fetched, pull_object_fn))

    def _fetched(self, fetch: Callable[[str], bytes], name: str) -> bytes:
        found = self._kept.get(name)
        if found is None:
            found = fetch(name)
            # Flower holds what it stores to its name, so that no wrong bytes go on from here.
            if len(found) <= LARGEST_KEPT:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[name] = found
        return found
