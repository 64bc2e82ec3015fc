"""A proposal written out for its patient: what a sender gets. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.placeholders import PREFERENCES
from wardround.client.outreach.content.written import written
from wardround.client.outreach.decide.acts import leaf
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.text import is_line

TELEPHONES = ("sms", "phone")
_TELEPHONE = re.compile(r"\+?[0-9]{5,20}")
_BETWEEN_DIGITS = re.compile(r"[ ()./\u00a0\u2010-\u2015-]")
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_FORMS = {"phone": "voice", "email": "plain"}


@dataclass(frozen=True, kw_only=True)
class OutgoingMessage:
    """One message. id: its name for the sender and for replies; the same proposal always has the same one.

    patient: the identifier. subject: empty where there is none. page: the text as HTML, of an e-mail or a portal.
    preferences: this message's link to the patients' page; empty where there is none.
    """

    id: str
    proposal: int
    patient: str = field(repr=False)
    channel: str
    address: str = field(repr=False)
    language: str
    topic: str
    module: str
    subject: str
    text: str = field(repr=False)
    page: str = field(default="", repr=False)
    preferences: str = field(default="", repr=False)
    send_after: datetime
    send_before: datetime


def written_out(
    proposal: OutreachProposal,
    module: Module,
    guidelines: Guidelines,
    patient: str,
    address: str,
    values: Mapping[str, str],
    preferences: str = "",
) -> OutgoingMessage | Held:
    """Fill a module in for a patient, or say why it cannot be sent: an address, or a value, that is none.

    values: of the hospital's tables, which cannot name the link to the patients' page.
    """
    where = usable_address(proposal.channel, address)
    if where is None or not is_line(patient):
        return Held("address", f"this is no address of the channel {proposal.channel}")
    values = {**values, PREFERENCES: preferences}
    try:
        text = written(module, values, guidelines, _FORMS.get(proposal.channel, "plain"))
        page = written(module, values, guidelines, "html") if proposal.channel in ("email", "portal") else ""
    except ConfigurationError as error:
        return Held("placeholder", str(error))
    return OutgoingMessage(
        id=leaf(proposal),
        proposal=proposal.id,
        patient=patient,
        channel=proposal.channel,
        address=where,
        language=module.language,
        topic=proposal.topic,
        module=module.name,
        subject=module.subject,
        text=text,
        page=page,
        preferences=preferences,
        send_after=proposal.send_after,
        send_before=proposal.send_before,
    )


def usable_address(channel: str, address: str) -> str | None:
    """Give an address as it goes out, None where it is none: digits of a telephone, a plain e-mail address, a line.

    >>> usable_address("sms", "+1 (555) 010-0199"), usable_address("email", "=cmd@north.example")
    ('+15550100199', None)
    """
    if channel in TELEPHONES:
        bare = _BETWEEN_DIGITS.sub("", address)
        return bare if bare.isascii() and _TELEPHONE.fullmatch(bare) else None
    if channel == "email":
        return address if _EMAIL.fullmatch(address) and ".." not in address else None
    return address if is_line(address) else None
