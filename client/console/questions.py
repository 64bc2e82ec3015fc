"""The desk of a hospital: which question which role may ask, and what answers it."""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.connectors.panic import panics_are_faults
from wardround.client.console import alerts, machine, overview, peers, results, sending, studies
from wardround.client.console.accounts import ATTEMPTS, HospitalAccounts
from wardround.client.console.change_message import ChangeDesk
from wardround.client.console.messages import MessageDesk
from wardround.client.console.roles import only
from wardround.client.console.seals import PageSeals
from wardround.client.console.settings import ConsoleSettings
from wardround.client.console.standing import StandingDesk
from wardround.client.console.texts import texts_of
from wardround.client.ledger.verify import export, verify
from wardround.client.policy.people import APPROVER, CLINICIAN, COMMUNICATIONS, IT, PRIVACY
from wardround.pages.attempts_file import AttemptsFile, KeptAttempts
from wardround.pages.desk import Arguments, DeskTask, FrontDesk, Who
from wardround.pages.sessions import Sessions

Clock = Callable[[], datetime]


def hospital_desk(
    home: Path, settings: ConsoleSettings, clock: Clock = lambda: datetime.now(UTC)
) -> FrontDesk:
    """Make the desk of one home; nobody is logged in."""
    sessions = Sessions(clock, settings.idle, settings.longest)
    accounts = HospitalAccounts(home)
    attempts = KeptAttempts(clock, AttemptsFile(home / ATTEMPTS, clock), lambda name: name in accounts.kept())
    return FrontDesk(accounts, sessions, attempts, questions(home, clock))


def questions(home: Path, clock: Clock = lambda: datetime.now(UTC)) -> Mapping[str, DeskTask]:
    """Name every question, with its roles."""
    within = _OneAtATime(home)
    seals = PageSeals(secrets.token_bytes(32))
    return {
        **_about_studies(within),
        **_about_machine(home, within, clock),
        **_about_messages(within, MessageDesk(home, seals), ChangeDesk(home, seals)),
        **_about_approvals(home, within, StandingDesk(home)),
    }


def _about_studies(within: "_OneAtATime") -> Mapping[str, DeskTask]:
    def task(answer: Callable[[OpenHome, Who, Arguments], Any], changes: bool = False) -> DeskTask:
        return DeskTask(only(PRIVACY), within(answer), changes=changes)

    return {
        "overview": task(lambda opened, who, given: overview.overview(opened)),
        "left": task(lambda opened, who, given: overview.left(opened, _number(given, "before"))),
        "verify": task(lambda opened, who, given: _verified(opened)),
        "studies": task(lambda opened, who, given: studies.studies(opened)),
        "study": task(lambda opened, who, given: studies.study(opened, given.get("terms", ""))),
        "before_approval": task(
            lambda opened, who, given: studies.before_approval(opened, given.get("terms", ""))
        ),
        "approve": task(lambda opened, who, given: studies.approve(opened, who.person, given), changes=True),
        "decline": task(lambda opened, who, given: studies.decline(opened, who.person, given), changes=True),
    }


def _about_machine(home: Path, within: "_OneAtATime", clock: Clock) -> Mapping[str, DeskTask]:
    both = only(PRIVACY, IT)
    return {
        "peers": DeskTask(both, within(lambda opened, who, given: peers.known_hospitals(opened))),
        "machine": DeskTask(only(IT), within(lambda opened, who, given: machine.machine(opened))),
        "alerts": DeskTask(both, lambda who, given: within.alone(lambda: alerts.alerts(home, clock()))),
        "doctor": DeskTask(only(IT), lambda who, given: within.alone(lambda: machine.doctor(home))),
    }


def _about_messages(
    within: "_OneAtATime", waiting: MessageDesk, changing: ChangeDesk
) -> Mapping[str, DeskTask]:
    outreach, clinician = only(COMMUNICATIONS, CLINICIAN), only(CLINICIAN)
    return {
        "messages": DeskTask(outreach, lambda who, given: within.alone(lambda: waiting.waiting(who.person))),
        "decide_messages": DeskTask(
            outreach, lambda who, given: within.alone(lambda: waiting.decide(who.person, given)), changes=True
        ),
        "replacements": DeskTask(
            clinician,
            lambda who, given: within.alone(lambda: changing.choices(who.person, given.get("id", ""))),
        ),
        "change_message": DeskTask(
            clinician,
            lambda who, given: within.alone(lambda: changing.change(who.person, given)),
            changes=True,
        ),
    }


def _about_approvals(home: Path, within: "_OneAtATime", standing: StandingDesk) -> Mapping[str, DeskTask]:
    outreach = only(COMMUNICATIONS, CLINICIAN)
    return {
        "standing": DeskTask(outreach, lambda who, given: within.alone(lambda: standing.all(who.person))),
        "standing_offer": DeskTask(
            outreach, lambda who, given: within.alone(lambda: standing.offer(who.person, given))
        ),
        "decide_standing": DeskTask(
            outreach,
            lambda who, given: within.alone(lambda: standing.decide(who.person, given)),
            changes=True,
        ),
        "texts": DeskTask(outreach | only(APPROVER), lambda who, given: within.alone(lambda: texts_of(home))),
        "sending": DeskTask(
            outreach, lambda who, given: within.alone(lambda: sending.sending(home, who.person))
        ),
        "results": DeskTask(
            only(COMMUNICATIONS, PRIVACY),
            within(lambda opened, who, given: results.results(opened, given.get("protocol", ""))),
        ),
    }


class _OneAtATime:
    """Opens the home for one question after the other: what reads tables takes memory, and the agent goes first."""

    def __init__(self, home: Path) -> None:
        self._home, self._lock = home, Lock()

    def __call__(self, answer: Callable[[OpenHome, Who, Arguments], Any]) -> Callable[[Who, Arguments], Any]:
        """Give a question's function, which is handed the open home."""

        def asked(who: Who, given: Arguments) -> Any:
            def opened_and_answered() -> Any:
                with open_home(self._home) as opened:
                    return answer(opened, who, given)

            return self.alone(opened_and_answered)

        return asked

    def alone(self, answer: Callable[[], Any]) -> Any:
        """Answer, when nothing else is answered."""
        with self._lock, panics_are_faults():
            return _plain(answer())


def _plain(value: Any) -> Any:
    """Make it what JSON can hold, so that a desk at a socket and one that is called say the same; no limit is None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _verified(opened: OpenHome) -> dict[str, Any]:
    """Check every entry, by the program that an auditor runs elsewhere."""
    checked = verify(export(opened.ledger.entries()), opened.home.key.public)
    return {**asdict(checked), "first": checked.first.isoformat(), "last": checked.last.isoformat()}


def _number(given: Arguments, key: str) -> int | None:
    text = given.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
