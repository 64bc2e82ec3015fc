"""Messages as FHIR R4 ``CommunicationRequest`` resources, one JSON a line (application/fhir+ndjson).

https://hl7.org/fhir/R4/communicationrequest.html. The patient is named by the hospital's own identifier, the channel by
HL7's ParticipationMode where that has a word for it, and the text is a string, never a narrative: nothing of it is
markup.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from wardround.client.outreach.decide.message import OutgoingMessage
from wardround.client.outreach.journal.records import as_text

MODES = {
    "sms": "SMSWRIT",
    "email": "EMAILWRIT",
    "phone": "PHONE",
    "letter": "MAILWRIT",
    "portal": "ONLINEWRIT",
}
_MODE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
_CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/communication-category"
_POINTS = {"sms": "sms", "email": "email", "phone": "phone"}
PREFERENCES = "urn:wardround:preferences"
"""The extension that holds a message's link to the patients' page."""
IDENTIFIERS = "urn:wardround:outreach-message"


def fhir_bytes(messages: Sequence[OutgoingMessage], now: datetime) -> bytes:
    """Write one resource for each message."""
    # ASCII alone, so that no line separator of Unicode ends a line for a reader that takes it for one.
    lines = [
        json.dumps(communication_request(one, now), sort_keys=True, ensure_ascii=True) for one in messages
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def communication_request(message: OutgoingMessage, now: datetime) -> dict[str, Any]:
    """Spell one message. ``status`` is the one element that R4 requires; a payload's content is required within it."""
    contact = {"system": _POINTS.get(message.channel, "other"), "value": message.address}
    patient = {"type": "Patient", "identifier": {"value": message.patient}}
    link = [{"url": PREFERENCES, "valueUrl": message.preferences}] if message.preferences else []
    return {
        **({"extension": link} if link else {}),
        "resourceType": "CommunicationRequest",
        "id": message.id,
        "identifier": [{"system": IDENTIFIERS, "value": message.id}],
        "status": "active",
        "category": [{"coding": [{"system": _CATEGORY_SYSTEM, "code": "reminder"}], "text": message.topic}],
        "medium": [{"coding": [{"system": _MODE_SYSTEM, "code": MODES[message.channel]}]}],
        "subject": patient,
        "recipient": [
            {**patient, "extension": [{"url": "urn:wardround:contact-point", "valueContactPoint": contact}]}
        ],
        "payload": [{"contentString": text} for text in (message.subject, message.text) if text],
        "occurrencePeriod": {"start": as_text(message.send_after), "end": as_text(message.send_before)},
        "authoredOn": as_text(now.astimezone(UTC)),
    }
