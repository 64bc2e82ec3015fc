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


def csv_bytes(messages: Sequence[OutgoingMessage]) -> bytes:
    """Write one line for each message, under ``COLUMNS``."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_row, messages))
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
