"""Messages that leave as one POST each: signed in small batches before they leave, and with what became of each after.

A batch that a crash cut short is closed by the next export, by what the journal says of each message: what was taken
is signed as sent, what was not tried as not sent, and what was being sent is in doubt.
"""

from collections.abc import Sequence

from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.acts import EXPORT, SENT
from wardround.client.outreach.decide.message import OutgoingMessage
from wardround.client.outreach.decide.outbox import ExportReport, Outbox, digest_of
from wardround.client.outreach.decide.sendable import LATELY
from wardround.client.outreach.decide.senders.messenger import Sent, payload, post
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, EXPORTED, EXPORTING

BATCH = 100
"""Messages of one signature: so many at most stand on the journal's word after a crash."""
_MOST_REFUSED = 3  # in a row, after which a sender is left alone


def post_all(outbox: Outbox, secret: str, report: ExportReport, most: int) -> None:
    """Post what may leave now, each once."""
    with outbox.turn():
        outbox.check_fresh()
        _close_batches(outbox)
        proposals, messages = outbox.choose(report, most)
    refused = 0
    for start in range(0, len(messages), BATCH):
        each = list(zip(proposals, messages, strict=True))[start : start + BATCH]
        if not outbox.fresh:
            report.kept["again"] = len(messages) - start
            return
        refused = _post_batch(outbox, each, secret, report, refused)
        if refused >= _MOST_REFUSED or report.doubt:
            return


def _post_batch(
    outbox: Outbox,
    each: Sequence[tuple[OutreachProposal, OutgoingMessage]],
    secret: str,
    report: ExportReport,
    refused: int,
) -> int:
    """Post some; give how many the sender refused in a row."""
    digests = {message.proposal: digest_of(payload(message)) for _, message in each}
    with outbox.turn():
        outbox.reserve(digests)
        outbox.sign(EXPORT, [one for one, _ in each])
    try:
        for place, (proposal, message) in enumerate(each):
            if not outbox.fresh:
                report.kept["again"] += len(each) - place
                break
            if outbox.clock >= message.send_before:
                report.kept["hours"] += 1
                continue
            # The turn is given back between messages, so that a stop need not wait for all of them.
            with outbox.turn():
                if outbox.said_lately([proposal]):
                    report.kept[LATELY] += 1
                    continue
                if not outbox.move((message.proposal,), EXPORTING, f"to {outbox.recipient.name}"):
                    continue
                outcome = _post_one(outbox, message, secret, report)
            refused = refused + 1 if outcome is Sent.NOT else 0
            if outcome is Sent.DOUBT or refused == _MOST_REFUSED:
                break
    finally:
        with outbox.turn():
            _close_batches(outbox)
    return refused


def _post_one(outbox: Outbox, message: OutgoingMessage, secret: str, report: ExportReport) -> Sent:
    outcome = post(message, outbox.recipient, secret)
    if outcome is Sent.TAKEN:
        outbox.move((message.proposal,), EXPORTED, f"to {outbox.recipient.name}")
        report.sent += 1
    elif outcome is Sent.NOT:
        outbox.move((message.proposal,), APPROVED, f"{outbox.recipient.name} did not take it")
        report.kept["sender"] += 1
    else:
        report.doubt += 1
    return outcome


def _close_batches(outbox: Outbox) -> None:
    """Sign what became of each message whose export was signed and which is not being sent."""
    open_ = {one.id: (one, digest) for one, digest in outbox.reserved() if one.state != EXPORTING}
    unsigned = [one for one, _ in open_.values() if outbox.word(one) == EXPORT]
    for sent in (True, False):
        mine = [one for one in unsigned if (one.state == EXPORTED) == sent]
        if mine:
            outbox.sign_outcome(mine, sent)
    done = {name: digest for name, (one, digest) in open_.items() if one.state == EXPORTED}
    outbox.write_sent(done)


def end_begun_posts(outbox: Outbox, secret: str, report: ExportReport) -> None:
    """Send again what is in doubt, where the recipient drops what it has had, and the message is still the same."""
    with outbox.turn():
        begun = outbox.begun()
    for number in begun:
        outbox.check_fresh()
        with outbox.turn():
            if number in outbox.begun():  # else another export was sending it, and has ended it
                _end_post(outbox, *begun[number], secret, report)
    with outbox.turn():
        _close_batches(outbox)


def _end_post(
    outbox: Outbox, proposal: OutreachProposal, digest: str, secret: str, report: ExportReport
) -> None:
    word = outbox.word(proposal)
    if word == SENT:
        outbox.move((proposal.id,), EXPORTED, f"to {outbox.recipient.name}")
        return
    if word != EXPORT:
        outbox.move((proposal.id,), APPROVED, "not sent: the signed log has no export of it")
        return
    message = outbox.sendable.message(proposal, begun=True)
    same = not isinstance(message, Held) and digest_of(payload(message)) == digest
    if (
        outbox.said_lately([proposal])
        or isinstance(message, Held)
        or not same
        or not outbox.recipient.keeps_keys
    ):
        report.doubt += 1
    else:
        _post_one(outbox, message, secret, report)
