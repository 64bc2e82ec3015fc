"""How approved messages stand: which approvals end soon, and which no longer hold. Told, never a fault of a study."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from wardround.client.checks.finding import Finding, ok, warn
from wardround.client.home.home import Home
from wardround.client.outreach.content.approvals import APPROVED, Standing, standings
from wardround.client.outreach.content.approvals_file import ContentApprovals
from wardround.client.outreach.content.folder import read_folder
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError

SOON = timedelta(days=30)


def modules(home: Home, today: date) -> Iterator[Finding]:
    """Look at the folder of modules; nothing where there is none. today: in the hospital's own zone."""
    if not home.content_folder.is_dir():
        return
    try:
        found, faults = _standings(home, today)
    except ConfigurationError as error:
        yield warn("content", str(error), "wardround-hospital content check; until then nothing is sent")
        return
    lines = list(_ending(found, today))
    if faults:
        yield warn("content", f"{faults} faults in files", "wardround-hospital content check says which")
    for line in lines:
        yield warn("content", line, "content approve it again, or content retire it")
    if not faults and not lines:
        held = sum(one.may_be_sent for one in found.values())
        yield ok("content", f"{held} of {len(found)} modules may be sent; none ends within {SOON.days} days")


def _standings(home: Home, today: date) -> tuple[dict[str, Standing], int]:
    content = read_folder(home.content_folder)
    decisions = ContentApprovals(home.approvals_folder, home.key.public).read()
    people = people_of(home.folder, home.timezone)
    found = standings(content.modules, content.guidelines, decisions, people, today)
    last = {decision.name: decision for decision in decisions}
    gone = {name: Standing("its file is gone", one) for name, one in last.items() if name not in found}
    return found | gone, len(content.faults)


def _ending(found: Mapping[str, Standing], today: date) -> Iterator[str]:
    """Name what was approved and ends soon, or may not be sent any more though nobody retired it."""
    for name, one in found.items():
        decision = one.decision
        if decision is None or decision.until is None:
            continue  # never approved, or retired by a person
        if one.state == APPROVED and decision.until - today <= SOON:
            yield f"{name}: its approval ends on {decision.until}"
        elif one.state not in (APPROVED, "not valid yet"):
            yield f"{name}: was approved, and may not be sent any more ({one.state})"
