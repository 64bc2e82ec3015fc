"""The desk of the operator's pages: which question who may ask, and what answers it. No question changes anything."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.pages.attempts import Attempts
from wardround.pages.desk import Arguments, DeskTask, FrontDesk, Who
from wardround.pages.served import ServedPages
from wardround.pages.sessions import Sessions
from wardround.server.dashboard.accounts import OPERATOR, operator_accounts
from wardround.server.dashboard.shared_look import SharedLook
from wardround.server.dashboard.studies import find_study, study_file, study_page
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.server.watch import alerts
from wardround.server.watch.standing import standing, study_standing

Clock = Callable[[], datetime]


def operator_desk(home: Path, settings: ServedPages, clock: Clock = lambda: datetime.now(UTC)) -> FrontDesk:
    """Make the desk of one home; nobody is logged in."""
    sessions = Sessions(clock, settings.idle, settings.longest)
    return FrontDesk(operator_accounts(home), sessions, Attempts(clock), questions(home, clock))


def questions(home: Path, clock: Clock) -> Mapping[str, DeskTask]:
    """Name every question. The home is loaded for each look: it may be another tomorrow."""
    look = SharedLook(lambda: standing(load_operator_home(home), clock()), clock)
    standing_alerts = SharedLook(lambda: {"alerts": alerts.stand(home, clock())}, clock)
    answers: dict[str, Callable[[Who, Arguments], Any]] = {
        "standing": lambda who, given: look(),
        "alerts": lambda who, given: standing_alerts(),
        "study": lambda who, given: _study(load_operator_home(home), given, clock()),
        "file": lambda who, given: study_file(
            find_study(load_operator_home(home), given.get("study", "")), given.get("file", "")
        ),
    }
    return {name: DeskTask(frozenset({OPERATOR}), answer) for name, answer in answers.items()}


def _study(home: OperatorHome, given: Arguments, now: datetime) -> dict[str, Any]:
    text = given.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    study = find_study(home, given.get("study", ""))
    return {**study_page(study, before), "study": study_standing(study), "looked_at": now.isoformat()}
