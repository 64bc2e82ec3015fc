"""What would leave if somebody exported now, and by which command: pages send nothing, and the desk has no network.

Communications see counts as on the page of results: rounded down to tens, and none below eleven.
"""

import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wardround.client.commands.outreach_export import WouldLeave, would_leave
from wardround.client.commands.outreach_opened import open_outreach
from wardround.client.console.counts import rounded
from wardround.client.outreach.decide.rules import role_of
from wardround.client.outreach.journal.journal import JOURNAL_FILE
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.policy.people import CLINICIAN
from wardround.client.policy.people_file import people_of

Shown = Callable[[int], int | None]


def sending(home: Path, person: str) -> dict[str, Any]:
    """List the policy's recipients, with what each would get now; nothing is written."""
    role = role_of(person, people_of(home))
    # Opening a journal begins one.
    if not ((home / OUTREACH).exists() and (home / JOURNAL_FILE).exists()):
        return {"exact": role == CLINICIAN, "recipients": []}
    shown: Shown = int if role == CLINICIAN else rounded
    with open_outreach(Namespace(home=home)) as outreach:
        names = outreach.opened.policy.outreach.recipients
        found = [would_leave(outreach, name, person) for name in names]
    return {"exact": role == CLINICIAN, "recipients": [_row(one, person, shown) for one in found]}


def _row(found: WouldLeave, person: str, shown: Shown) -> dict[str, Any]:
    recipient = found.recipient
    return {
        "name": recipient.name,
        "form": recipient.form,
        "channels": recipient.channels,
        "messages": shown(found.messages),
        "waits": _by_rule(found.waits, shown),
        "void": _by_rule(found.void, shown),
        "command": shlex.join(
            ["wardround-hospital", "outreach", "export", recipient.name, "--person", person]
        ),
    }


def _by_rule(counts: Mapping[str, int], shown: Shown) -> list[dict[str, Any]]:
    return [{"rule": rule, "count": shown(count)} for rule, count in counts.items()]
