"""Whether ``people.yaml`` reads, names nobody twice, and names enough people for two to decide."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, ok, warn
from wardround.client.home.home import Home
from wardround.client.policy.people import APPROVER, CLINICIAN, DECIDING, PEOPLE
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError


def people(home: Home) -> Iterator[Finding]:
    """Look at the file; nothing where there is none. Told, never a fault of a study."""
    if not (home.folder / PEOPLE).exists():
        return
    try:
        found = people_of(home.folder)
    except ConfigurationError as error:
        yield warn("people", str(error), f"correct {PEOPLE}; until then nobody decides, and nothing is sent")
        return
    deciding = found.with_role(*DECIDING)
    if found.by_account and not found.with_role(*DECIDING, APPROVER):
        yield ok("people", f"{len(found.by_account)} people, none of whom decides about messages")
    elif len(deciding) < 2 or not found.with_role(CLINICIAN):
        what = f"{len(deciding)} decide about messages; a first use needs two people, one of them a clinician"
        yield warn("people", what, f"enrol them in {PEOPLE}")
    elif not found.with_role(APPROVER):
        yield warn("people", "nobody may approve a text", f"give somebody the role {APPROVER} in {PEOPLE}")
    else:
        yield ok("people", f"{len(found.by_account)} people, {len(deciding)} of whom decide about messages")
