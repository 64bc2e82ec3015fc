"""``outreach export``, top to bottom: end what was begun, choose what may leave now, and let it leave once."""

from wardround.client.outreach.decide.files_out import end_begun_files, export_files
from wardround.client.outreach.decide.outbox import ExportReport, Outbox
from wardround.client.outreach.decide.posts_out import end_begun_posts, post_all
from wardround.client.outreach.journal.states import EXPORTED, VOID
from wardround.client.policy.outreach import MESSENGER

MOST_AT_ONCE = 10_000


def export(outbox: Outbox, secret: str = "", most: int = MOST_AT_ONCE) -> ExportReport:
    """Export to one recipient. secret: what a messenger is sent as ``Authorization``.

    ConfigurationError where the recipient's folder cannot be written; nothing left then that is not in the report of
    the next export.
    """
    report = ExportReport()
    if outbox.recipient.form == MESSENGER:
        end_begun_posts(outbox, secret, report)
        post_all(outbox, secret, report, most)
        return report
    with outbox.turn():
        outbox.check_fresh()
        end_begun_files(outbox, report)
        export_files(outbox, report, most)
    return report


def settle(outbox: Outbox, sent: bool, reason: str) -> int:
    """Have a person say of what is in doubt that it was sent, or that it was not; give how many there were."""
    with outbox.turn():
        begun = outbox.begun()
        proposals = [one for one, _ in begun.values()]
        if proposals:
            outbox.sign_outcome(proposals, sent, reason)
        outbox.move(tuple(begun), EXPORTED if sent else VOID, reason)
    return len(begun)
