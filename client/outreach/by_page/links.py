"""The link of one message: whom it means is sealed for the hospital itself. Pure.

AES-SIV (RFC 5297) needs no nonce: the same message always has the same link, so that an export that is done again after
a crash is the same bytes. Two messages to one patient have links that share nothing
(``test_two_links_of_one_patient_have_nothing_in_common``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.outreach.decide.acts import leaf
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.preferences.link_token import (
    BY_LINK,
    SEALED_BYTES,
    LinkToken,
    head_of,
    read_token,
    spell_token,
)

_TOKEN_BYTES, _TAG_BYTES = 16, 16
_MESSAGE_BYTES = SEALED_BYTES - _TOKEN_BYTES - _TAG_BYTES


@dataclass(frozen=True, kw_only=True)
class PageLinks:
    """Makes links. key: the newest; lasts: how long a link is good after the last moment at which it may leave."""

    url: str
    key: PageKey = field(repr=False)
    lasts: timedelta

    def link(self, proposal: OutreachProposal) -> str:
        """Give a message's link; empty for one that goes to a professional."""
        if proposal.recipient != "patient":
            return ""
        head = head_of(self.key.number, (proposal.send_before + self.lasts).date())
        meant = bytes.fromhex(proposal.token) + bytes.fromhex(leaf(proposal))[:_MESSAGE_BYTES]
        sealed = AESSIV(self.key.seal).encrypt(meant, [head])
        return f"{self.url}{BY_LINK}{spell_token(head, sealed, self.key.mark)}"


def patient_meant(spelled: str, keys: Mapping[int, PageKey]) -> tuple[str, LinkToken] | None:
    """Give the journal's token of the patient whom a link means; None for what this hospital did not seal."""
    link = read_token(spelled, {number: key.mark for number, key in keys.items()})
    if link is None:
        return None
    try:
        meant = AESSIV(keys[link.key].seal).decrypt(link.sealed, [link.head])
    except InvalidTag:
        return None
    return meant[:_TOKEN_BYTES].hex(), link
