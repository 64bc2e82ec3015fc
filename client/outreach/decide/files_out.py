"""Messages that leave as a file: staged, signed, and given its name in one step of the file system."""

import glob
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.acts import EXPORT, SENT
from wardround.client.outreach.decide.message import OutgoingMessage
from wardround.client.outreach.decide.outbox import ExportReport, Outbox, digest_of
from wardround.client.outreach.decide.senders.csv_file import csv_bytes
from wardround.client.outreach.decide.senders.fhir_file import fhir_bytes
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, EXPORTED, EXPORTING
from wardround.client.policy.outreach import CSV
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, sync_folder, write_durably

LARGEST_FILE = 2**28
_TRIES = 3  # where people decide otherwise while a file is made
_MODE = 0o640  # for the sender's group, as the folder has it


def export_files(outbox: Outbox, report: ExportReport, most: int) -> None:
    """Write what may leave now into a new file. ConfigurationError where the folder cannot be written."""
    for _ in range(_TRIES):
        report.kept.clear()
        proposals, messages = outbox.choose(report, most)
        if not messages or _export_file(outbox, proposals, messages, report):
            return
    report.kept["again"] = len(messages)


def _export_file(
    outbox: Outbox,
    proposals: Sequence[OutreachProposal],
    messages: Sequence[OutgoingMessage],
    report: ExportReport,
) -> bool:
    """Write a file, and give it its name; False where one of its messages may no longer leave, and nothing left."""
    content = _content(outbox, messages, outbox.now)
    digest, ids = digest_of(content), [one.id for one in proposals]
    try:
        # Not by the umask: a unit's leaves the sender's group nothing. Nor by the file's name later on, in whose place
        # whoever shares the folder could put a link to a key.
        write_durably(_staged(outbox, digest), content, _MODE, whatever_umask=True)
    except OSError as error:
        raise ConfigurationError(
            f"recipient {outbox.recipient.name}: {_folder(outbox)} cannot be written ({error.strerror}); nothing left"
        ) from error
    outbox.reserve(dict.fromkeys(ids, digest))
    moved = outbox.move(ids, EXPORTING, f"to {outbox.recipient.name}")
    if len(moved) < len(ids):
        # Somebody held one, or opted out, since they were chosen. Nobody waits for this lock to do so.
        _take_back(outbox, [one for one in proposals if one.id in moved], digest)
        return False
    outbox.sign(EXPORT, proposals)
    if outbox.said_lately(proposals):
        _take_back(outbox, proposals, digest)
        return False
    _publish(outbox, proposals, digest, report)
    return True


def end_begun_files(outbox: Outbox, report: ExportReport) -> None:
    """End what was begun; remove what was staged and never begun."""
    batches: dict[str, list[OutreachProposal]] = {}
    for proposal, digest in outbox.begun().values():
        batches.setdefault(digest, []).append(proposal)
    for digest, proposals in batches.items():
        _end_file(outbox, proposals, digest, report)
    # Its own alone: another recipient may have the same folder.
    name = glob.escape(outbox.recipient.name)
    for path in _folder(outbox).glob(f".outreach-{'?' * 16}.{_suffix(outbox)}.{name}.staged*"):
        # The sender writes here too: what cannot be removed, a folder of that name, must keep nothing from leaving.
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _end_file(
    outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str, report: ExportReport
) -> None:
    """End one file by what the signed log says of it last; the journal alone makes nothing leave."""
    left = [one for one in proposals if outbox.word(one) == SENT]
    begun = [one for one in proposals if outbox.word(one) == EXPORT]
    if left:
        _note_exported(outbox, left, digest)
        report.doubt += len(proposals) - len(
            left
        )  # of one file all leave, or none: somebody changed the journal
    elif len(begun) < len(proposals):
        _take_back(outbox, proposals, digest)
    elif _staged(outbox, digest).exists():
        _publish_or_take_back(outbox, proposals, digest, report)
    elif _is_there(outbox, digest):
        # It got its name before the crash: it left.
        _note_sent(outbox, proposals, digest, report)
    else:
        # The sender took it; or this folder is not the one where it was staged.
        report.doubt += len(proposals)


def _publish_or_take_back(
    outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str, report: ExportReport
) -> None:
    messages = [outbox.sendable.message(one, begun=True) for one in proposals]
    still = [one for one in messages if not isinstance(one, Held)]
    begun_at = outbox.begun_at(proposals[0].id)
    same = len(still) == len(messages) and digest_of(_content(outbox, still, begun_at)) == digest
    same = same and digest_of(read_bounded(_staged(outbox, digest), LARGEST_FILE)) == digest
    if same and not outbox.said_lately(proposals):
        _publish(outbox, proposals, digest, report)
        return
    # Nothing left. What still may is written anew below, to where patients are reached now; the rest is void there.
    _take_back(outbox, proposals, digest)


def _take_back(outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str) -> None:
    """Remove a staged file, so that its messages are looked at again."""
    why = "not sent: a message of this file may no longer leave as it was"
    signed = [one for one in proposals if outbox.word(one) == EXPORT]
    if signed:
        # While the staged file still shows that nothing left.
        outbox.sign_outcome(signed, False, why)
    _staged(outbox, digest).unlink(missing_ok=True)
    sync_folder(_folder(outbox))
    outbox.move([one.id for one in proposals], APPROVED, why)


def _publish(
    outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str, report: ExportReport
) -> None:
    try:
        _staged(outbox, digest).replace(_folder(outbox) / _name(outbox, digest))
        sync_folder(_folder(outbox))
    except OSError as error:
        raise ConfigurationError(
            f"recipient {outbox.recipient.name}: {_folder(outbox)} changed while a file was written "
            f"({error.strerror}); put it back, and export again"
        ) from error
    _note_sent(outbox, proposals, digest, report)


def _note_sent(
    outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str, report: ExportReport
) -> None:
    outbox.sign_outcome(proposals, True)
    _note_exported(outbox, proposals, digest)
    report.files.append(_name(outbox, digest))
    report.sent += len(proposals)


def _note_exported(outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str) -> None:
    ids = [one.id for one in proposals]
    outbox.move(ids, EXPORTED, f"to {outbox.recipient.name}")
    outbox.write_sent(dict.fromkeys(ids, digest))


def _is_there(outbox: Outbox, digest: str) -> bool:
    try:
        return digest_of(read_bounded(_folder(outbox) / _name(outbox, digest), LARGEST_FILE)) == digest
    except OSError:
        return False


def _content(outbox: Outbox, messages: Sequence[OutgoingMessage], at: datetime) -> bytes:
    return csv_bytes(messages) if outbox.recipient.form == CSV else fhir_bytes(messages, at)


def _folder(outbox: Outbox) -> Path:
    folder = outbox.home / outbox.recipient.folder
    if not folder.is_dir():
        raise ConfigurationError(f"recipient {outbox.recipient.name}: there is no folder {folder}; make it")
    return folder


def _staged(outbox: Outbox, digest: str) -> Path:
    return _folder(outbox) / f".{_name(outbox, digest)}.{outbox.recipient.name}.staged"


def _name(outbox: Outbox, digest: str) -> str:
    return f"outreach-{digest[:16]}.{_suffix(outbox)}"


def _suffix(outbox: Outbox) -> str:
    return "csv" if outbox.recipient.form == CSV else "ndjson"
