"""Whose choices lie in the spool at this moment: looked at right before a message leaves, and nothing is written."""

from collections.abc import Mapping
from pathlib import Path

from wardround.client.outreach.by_page.arrived import read_spool
from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.outreach.by_page.links import patient_meant


class Unheard:
    """The spool, whose files are opened once each. A choice that somebody else heard since is remembered here."""

    def __init__(self, folder: Path, keys: Mapping[int, PageKey]) -> None:
        """Name the spool; nothing is read yet."""
        self._folder, self._keys = folder, keys
        self._opened: set[str] = set()
        self._tokens: set[str] = set()

    def tokens(self) -> frozenset[str]:
        """Give the journal's tokens of whom choices mean; ConfigurationError where the folder cannot be read."""
        arrived = read_spool(self._folder, self._keys, but=self._opened)
        meant = (patient_meant(one.token, self._keys) for one in arrived.choices.values())
        self._tokens |= {one[0] for one in meant if one is not None}
        self._opened |= {*arrived.choices, *arrived.strange}
        return frozenset(self._tokens)
