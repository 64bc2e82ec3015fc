"""Messages as a CSV file (RFC 4180, UTF-8): every cell quoted, and none that a spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Sequence

from wardround.client.outreach.content.written import csv_cell
from wardround.client.outreach.decide.message import TELEPHONES, OutgoingMessage
from wardround.client.outreach.journal.records import as_text

COLUMNS = (
    "message",
    "channel",
    "address",
    "patient",
    "language",
    "subject",
    "text",
    "send_after",
    "send_before",
)
LINK = "preferences"
"""One column more, where messages have links to the patients' page."""


def csv_bytes(messages: Sequence[OutgoingMessage]) -> bytes:
    """Write one line for each message, under ``COLUMNS``, and ``LINK`` where any has one."""
    links = any(one.preferences for one in messages)
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow((*COLUMNS, LINK) if links else COLUMNS)
    writer.writerows((*_row(one), one.preferences) if links else _row(one) for one in messages)
    return out.getvalue().encode()


def _row(message: OutgoingMessage) -> tuple[str, ...]:
    # A telephone's number is digits behind at most a "+": a sign in front would make it another number.
    address = message.address if message.channel in TELEPHONES else csv_cell(message.address)
    texts = map(csv_cell, (message.patient, message.language, message.subject, message.text))
    return (
        message.id,
        message.channel,
        address,
        *texts,
        as_text(message.send_after),
        as_text(message.send_before),
    )
