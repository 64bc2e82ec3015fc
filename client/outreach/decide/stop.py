"""``outreach stop``: nothing that has not left leaves any more, and no standing approval holds."""

from pathlib import Path

from wardround.client.outreach.decide.acts import STOP
from wardround.client.outreach.decide.decisions import Decider
from wardround.client.outreach.decide.outbox import turn_of
from wardround.client.outreach.decide.rules import check_reason, role_of
from wardround.client.outreach.journal.states import APPROVED, EXPORTING, HELD, PROPOSED, VOID
from wardround.client.policy.outreach import MESSENGER


def stop(decider: Decider, home: Path) -> tuple[int, int]:
    """Void whatever is not exported; give how many were voided, and how many may be leaving already.

    A file that is staged is void, one that has its name has left. A POST that is in doubt stays so: nobody knows.
    Everybody who may decide may stop.
    """
    role_of(decider.person, decider.people)
    check_reason(decider.reason)
    with turn_of(home):
        decider.log.add(decider.act(STOP), decider.key)
        waiting = [one.id for one in decider.journal.proposals((PROPOSED, HELD, APPROVED))]
        leaving = {one.id for one in decider.journal.proposals((EXPORTING,))}
        staged, gone = _parted(decider, home, leaving)
        ids = [*waiting, *staged]
        moved = decider.journal.move(ids, VOID, person=decider.person, reason=decider.reason, at=decider.now)
        # Last: after a crash, what is exporting without its staged file would count as gone.
        _remove_staged(decider, home)
    return len(moved), len(gone)


def _parted(decider: Decider, home: Path, leaving: set[int]) -> tuple[set[int], set[int]]:
    """Part what is exporting into what never left, whose staged files are still there, and the rest."""
    staged: set[int] = set()
    exports = decider.journal.exports()
    for recipient in decider.policy.recipients.values():
        if recipient.form == MESSENGER:
            continue
        mine = exports.filter(recipient=recipient.name)
        for proposal, digest in zip(mine["proposal"].to_list(), mine["digest"].to_list(), strict=True):
            if proposal not in leaving:
                continue
            files = list((home / recipient.folder).glob(f".outreach-{digest[:16]}.*.staged"))
            if files or proposal in staged:
                staged.add(proposal)
    return staged, leaving - staged


def _remove_staged(decider: Decider, home: Path) -> None:
    for recipient in decider.policy.recipients.values():
        if recipient.form != MESSENGER:
            for path in (home / recipient.folder).glob(".outreach-*.staged"):
                path.unlink(missing_ok=True)
