"""``outreach export``, top to bottom: end what was begun, choose what may leave now, and let it leave once."""

import glob
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.message import OutgoingMessage
from wardround.client.outreach.decide.outbox import SENT, ExportReport, Outbox, digest_of
from wardround.client.outreach.decide.senders.csv_file import csv_bytes
from wardround.client.outreach.decide.senders.fhir_file import fhir_bytes
from wardround.client.outreach.decide.senders.messenger import Sent, payload, post
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, EXPORTED, EXPORTING, VOID
from wardround.client.policy.outreach import CSV, MESSENGER
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, sync_folder, write_durably

MOST_AT_ONCE = 10_000
LARGEST_FILE = 2**28
_TRIES = 3  # where people decide otherwise while a file is made
_MOST_REFUSED = 3  # in a row, after which a sender is left alone
_MODE = 0o640  # for the sender's group, as the folder has it


def export(outbox: Outbox, secret: str = "", most: int = MOST_AT_ONCE) -> ExportReport:
    """Export to one recipient. secret: what a messenger is sent as ``Authorization``.

    ConfigurationError where the recipient's folder cannot be written; nothing left then that is not in the report of
    the next export.
    """
    report = ExportReport()
    if outbox.recipient.form == MESSENGER:
        _resume_posts(outbox, secret, report)
        _post_all(outbox, secret, report, most)
        return report
    with outbox.turn():
        _check_fresh(outbox)
        _resume_files(outbox, report)
        for _ in range(_TRIES):
            report.kept.clear()
            proposals, messages = outbox.choose(report, most)
            if not messages or _export_file(outbox, proposals, messages, report):
                break
    return report


def _check_fresh(outbox: Outbox) -> None:
    if not outbox.fresh:
        raise ConfigurationError(
            f"recipient {outbox.recipient.name}: another export was at work for long; nothing left: run it again"
        )


def _folder(outbox: Outbox) -> Path:
    folder = outbox.home / outbox.recipient.folder
    if not folder.is_dir():
        raise ConfigurationError(f"recipient {outbox.recipient.name}: there is no folder {folder}; make it")
    return folder


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
        write_durably(_staged(outbox, digest), content, _MODE)
    except OSError as error:
        raise ConfigurationError(
            f"recipient {outbox.recipient.name}: {_folder(outbox)} cannot be written ({error.strerror}); nothing left"
        ) from error
    outbox.reserve(proposals, dict.fromkeys(ids, digest))
    moved = outbox.move(ids, EXPORTING, f"to {outbox.recipient.name}")
    if len(moved) < len(ids):
        # Somebody held one, or opted out, since they were chosen. Nobody waits for this lock to do so.
        _take_back(outbox, moved, digest)
        return False
    _publish(outbox, ids, digest, report)
    return True


def _content(outbox: Outbox, messages: Sequence[OutgoingMessage], at: datetime) -> bytes:
    return csv_bytes(messages) if outbox.recipient.form == CSV else fhir_bytes(messages, at)


def _take_back(outbox: Outbox, ids: Sequence[int], digest: str) -> None:
    """Remove a staged file, so that its messages are looked at again."""
    _staged(outbox, digest).unlink()
    sync_folder(_folder(outbox))
    outbox.move(ids, APPROVED, "not sent: a message of this file may no longer leave as it was")


def _publish(outbox: Outbox, ids: Sequence[int], digest: str, report: ExportReport) -> None:
    name = _name(outbox, digest)
    _staged(outbox, digest).replace(_folder(outbox) / name)
    sync_folder(_folder(outbox))
    _exported(outbox, ids, digest)
    report.files.append(name)
    report.sent += len(ids)


def _exported(outbox: Outbox, ids: Sequence[int], digest: str) -> None:
    outbox.move(ids, EXPORTED, f"to {outbox.recipient.name}")
    outbox.journal.write_exports(dict.fromkeys(ids, digest), outbox.recipient.name, SENT, outbox.now)


def _resume_files(outbox: Outbox, report: ExportReport) -> None:
    """End what was begun; remove what was staged and never begun."""
    batches: dict[str, list[OutreachProposal]] = {}
    for proposal, digest in outbox.begun().values():
        batches.setdefault(digest, []).append(proposal)
    for digest, proposals in batches.items():
        _resume_file(outbox, proposals, digest, report)
    # Its own alone: another recipient may have the same folder.
    name = glob.escape(outbox.recipient.name)
    for path in _folder(outbox).glob(f".outreach-{'?' * 16}.{_suffix(outbox)}.{name}.staged*"):
        path.unlink(missing_ok=True)


def _resume_file(
    outbox: Outbox, proposals: Sequence[OutreachProposal], digest: str, report: ExportReport
) -> None:
    ids, staged = [one.id for one in proposals], _staged(outbox, digest)
    if not staged.exists():
        # It got its name before the crash: it left.
        _exported(outbox, ids, digest)
        report.files.append(_name(outbox, digest))
        report.sent += len(ids)
        return
    messages = [outbox.sendable.message(one) for one in proposals]
    still = [one for one in messages if not isinstance(one, Held)]
    same = (
        len(still) == len(messages) and digest_of(_content(outbox, still, outbox.begun_at(ids[0]))) == digest
    )
    if same and digest_of(read_bounded(staged, LARGEST_FILE)) == digest:
        _publish(outbox, ids, digest, report)
        return
    # Nothing left. What still may is written anew below, to where patients are reached now; the rest is void there.
    _take_back(outbox, ids, digest)


def _staged(outbox: Outbox, digest: str) -> Path:
    return _folder(outbox) / f".{_name(outbox, digest)}.{outbox.recipient.name}.staged"


def _name(outbox: Outbox, digest: str) -> str:
    return f"outreach-{digest[:16]}.{_suffix(outbox)}"


def _suffix(outbox: Outbox) -> str:
    return "csv" if outbox.recipient.form == CSV else "ndjson"


def _post_all(outbox: Outbox, secret: str, report: ExportReport, most: int) -> None:
    with outbox.turn():
        _check_fresh(outbox)
        proposals, messages = outbox.choose(report, most)
        if not messages:
            return
        digests = {one.proposal: digest_of(payload(one)) for one in messages}
        outbox.reserve(proposals, digests)
    refused = 0
    for place, message in enumerate(messages):
        if not outbox.fresh:
            report.kept["again"] = len(messages) - place
            break
        if outbox.clock >= message.send_before:
            report.kept["hours"] += 1
            continue
        # The turn is given back between messages, so that a stop need not wait for all of them.
        with outbox.turn():
            if not outbox.move((message.proposal,), EXPORTING, f"to {outbox.recipient.name}"):
                continue
            outcome = _post_one(outbox, message, digests[message.proposal], secret, report)
        refused = refused + 1 if outcome is Sent.NOT else 0
        if outcome is Sent.DOUBT or refused == _MOST_REFUSED:
            break


def _post_one(
    outbox: Outbox, message: OutgoingMessage, digest: str, secret: str, report: ExportReport
) -> Sent:
    outcome = post(message, outbox.recipient, secret)
    if outcome is Sent.TAKEN:
        _exported(outbox, (message.proposal,), digest)
        report.sent += 1
    elif outcome is Sent.NOT:
        outbox.move((message.proposal,), APPROVED, f"{outbox.recipient.name} did not take it")
        report.kept["sender"] += 1
    else:
        report.doubt += 1
    return outcome


def _resume_posts(outbox: Outbox, secret: str, report: ExportReport) -> None:
    """Send again what is in doubt, where the recipient drops what it has had, and the message is still the same."""
    with outbox.turn():
        begun = outbox.begun()
    for proposal, digest in begun.values():
        _check_fresh(outbox)
        message = outbox.sendable.message(proposal)
        with outbox.turn():
            if proposal.id not in outbox.begun():
                continue  # another export was sending it, and has ended it
            if (
                isinstance(message, Held)
                or not outbox.recipient.keeps_keys
                or digest_of(payload(message)) != digest
            ):
                report.doubt += 1
            else:
                _post_one(outbox, message, digest, secret, report)


def settle(outbox: Outbox, sent: bool, reason: str) -> int:
    """Have a person say of what is in doubt that it was sent, or that it was not; give how many there were."""
    with outbox.turn():
        begun = outbox.begun()
        outbox.move(tuple(begun), EXPORTED if sent else VOID, reason)
    return len(begun)
