"""Which alerts stand at the operator's: read off how everything stands (``standing``), and off the event logs."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.pages.account_proof import account_alerts
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.ending import ending
from wardround.protocol.alerts.timed import timed_alerts
from wardround.protocol.errors import WardroundError
from wardround.server.store.account_notes import account_notes
from wardround.server.store.event_log import closed_rounds
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.server.watch import events
from wardround.server.watch.standing import Logs, read_logs, standing

DOWN_SECONDS, AWAY_SECONDS = 120.0, 600.0
"""How long the server, or a hospital, must have been away: both are restarted, and come back by themselves."""
CLOCK_AHEAD, CLOCK_BEHIND = 4.0, 240.0
"""Seconds of a hospital's clock from which on somebody is told: at 5 and 305 Flower turns it away."""
FEW_FREE_BYTES = 2 * 2**30
_OVER = ("finished", "no event yet")
_OF_STUDIES = frozenset(
    {events.HOSPITAL_AWAY, events.ROUND_MISSED, events.APPROVAL}
    | {events.FINISHED, events.STOPPED, events.NOT_RELEASABLE}
)


def stand(folder: Path, now: datetime | None = None) -> list[Alert]:
    """Give all alerts that stand; what cannot be looked at is one. now: by default of the clock, in UTC."""
    now = now or datetime.now(UTC)
    try:
        home = load_operator_home(folder)
        logs = read_logs(home)
        plain = standing(home, now, logs)
        return [*of_standing(plain), *_disk(home), *_missed(logs), *_timers(home, now), *_accounts(home, now)]
    except (WardroundError, OSError) as error:
        every = frozenset(events.EVENTS)
        return [Alert(event=events.HOME, subject="home", text=str(error), hides=every - {events.HOME})]


def of_standing(plain: Mapping[str, Any]) -> Iterator[Alert]:
    """Give the alerts that how everything stands tells. Pure."""
    yield from _server(plain)
    going = [study for study in plain["studies"] if study["state"] not in _OVER]
    for study in plain["studies"]:
        yield from _study(study)
    for name, why in plain["studies_unread"].items():
        yield Alert(
            event=events.HOME,
            subject=f"study {name}",
            text=f"study {name} cannot be looked at: {why}",
            remedy="have its files belong to the user that runs the server: somebody ran a command as another one",
            hides=_OF_STUDIES,
        )
    for name, one in plain["hospitals"].items():
        yield from _hospital(name, one, going if plain["up"] else ())


def _server(plain: Mapping[str, Any]) -> Iterator[Alert]:
    if not plain["up"]:
        yield Alert(
            event=events.SERVER_DOWN,
            subject=plain["address"],
            text=f"the server at {plain['address']} does not run: no hospital can connect",
            remedy="wardround-serve up; look at its log",
            after_seconds=DOWN_SECONDS,
            hides=frozenset({events.HOSPITAL_AWAY}),
        )
    remedies = {
        "server": "wardround-serve renew, then restart up",
        "root": "provision anew; see docs/operator.md",
    }
    for name, days in plain["certificate_days_left"].items():
        found = ending(events.CERTIFICATE, f"{name}.crt", days, remedies[name])
        if found is not None:
            yield found


def _study(study: Mapping[str, Any]) -> Iterator[Alert]:
    name, state, step = study["study"], study["state"], study["next_step"]
    at = None if study["at"] == "never" else datetime.fromisoformat(study["at"])
    if state == "finished":
        releasable = study["releasable"] is not False
        event, what = (events.FINISHED, "has ended") if releasable else (
            events.NOT_RELEASABLE,
            "has ended, and its model is not releasable",
        )  # fmt: skip
        yield Alert(event=event, subject=name, text=f"study {name} {what}", remedy=step, happened=at)
    elif state != "no event yet" and study["is_run"] is False:
        text = f"study {name} " + ("was stopped" if state == "stopped" else "is run by nobody any more")
        yield Alert(event=events.STOPPED, subject=name, text=text, remedy=step, after_seconds=DOWN_SECONDS)


def _hospital(name: str, one: Mapping[str, Any], going: Sequence[Mapping[str, Any]]) -> Iterator[Alert]:
    own = [study["study"] for study in going if name in study["answers"]]
    if own and one["connected_since"] is None:
        yield Alert(
            event=events.HOSPITAL_AWAY,
            subject=name,
            text=f"{name} is not connected, and takes part in {', '.join(own)}",
            remedy="ask its people whether agent and SuperNode run; doctor says more there",
            after_seconds=AWAY_SECONDS,
        )
    for study in one["approval_pending"]:
        text = f"{name} has not decided on the study {study}"
        yield Alert(
            event=events.APPROVAL, subject=f"{name} {study}", text=text, remedy="ask its privacy officer"
        )
    ahead = one["clock_ahead_seconds"]
    if ahead is not None and not -CLOCK_BEHIND <= ahead <= CLOCK_AHEAD:
        way = "ahead" if ahead > 0 else "behind"
        text = f"{name}'s clock is {way} by {abs(ahead):.0f} s or more"
        yield Alert(
            event=events.CLOCK, subject=f"{name} {way}", text=text, remedy="ask its IT to keep it by NTP"
        )


def _disk(home: OperatorHome) -> Iterator[Alert]:
    if shutil.disk_usage(home.folder).free < FEW_FREE_BYTES:
        text = f"little room is left ({home.folder})"
        yield Alert(
            event=events.DISK,
            subject="home",
            text=text,
            remedy="free some space: a round that is closed must be kept",
        )


def _timers(home: OperatorHome, now: datetime) -> list[Alert]:
    try:
        return list(timed_alerts(home.folder, events.TIMER, now))
    except WardroundError as error:
        hides = frozenset({events.TIMER})
        return [Alert(event=events.TIMER, subject="timers, not looked at", text=str(error), hides=hides)]


def _accounts(home: OperatorHome, now: datetime) -> Iterator[Alert]:
    for note in account_notes(home.folder):
        at = datetime.fromisoformat(str(note["time"]))
        yield from account_alerts(events.ACCOUNT, str(note["event"]), str(note["text"]), at, now)


def _missed(logs: Logs) -> Iterator[Alert]:
    """Give the first of each row of missed rounds: a hospital that is away for a night is told once, not 50 times."""
    for study, log in logs.items():
        before: Collection[str] = ()
        for number, event in sorted(closed_rounds(log).items()):
            new, before = [name for name in event["missing"] if name not in before], event["missing"]
            for hospital in new:
                yield Alert(
                    event=events.ROUND_MISSED,
                    subject=f"{study} {number} {hospital}",
                    text=f"study {study}: round {number} was closed without an answer from {hospital}",
                    remedy="nothing, if it comes back; it is asked in the next round",
                    happened=datetime.fromisoformat(str(event["time"])),
                )
