"""What one ``propose`` stands on, small: approved modules, settings, tables; tests change what they are about."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.client.outreach.content.modules import guidelines_of, module_of
from tests.client.outreach.tables_of_outreach import outreach_settings, tables_of_outreach
from wardround.client.outreach.content.approvals import APPROVED, Standing
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.propose import Grounds

NOW = datetime(2026, 12, 10, 9, 30, tzinfo=UTC)
KEY = bytes(range(32))
BOOKED = "{when: booked, topic: visits, days: [0, 7], standard: [visit-sms, visit-letter]}"
TRIGGERS = f"triggers:\n  visit: {BOOKED}\n"


def library_of(states: dict[str, str] | None = None, **modules: dict[str, Any]) -> Library:
    """Give modules, each approved unless ``states`` says otherwise. modules: id (with _) → changes."""
    every = tuple(
        module_of(id=name.replace("_", "-"), topic="visits", **changes) for name, changes in modules.items()
    )
    standings = {one.name: Standing((states or {}).get(one.name, APPROVED)) for one in every}
    return Library(
        modules=every,
        standings=standings,
        guidelines=guidelines_of(),
        guidelines_digest="",
        today=date(2026, 12, 10),
    )


def usual_library() -> Library:
    """Give a text message and a letter about visits."""
    return library_of(visit_sms={"channel": "sms"}, visit_letter={"channel": "letter"})


def grounds(
    folder: Path,
    settings: str = TRIGGERS,
    library: Library | None = None,
    now: datetime = NOW,
    withdrawals: Sequence[Any] = (),
    zone: str = "UTC",
    **tables: str,
) -> Grounds:
    """Give what one run stands on; rows of tables as text."""
    return Grounds(
        source=tables_of_outreach(folder, zone, **tables),
        settings=outreach_settings(settings),
        library=library or usual_library(),
        withdrawals=withdrawals,
        key=KEY,
        now=now,
    )
