"""What stays the same while a study is served, and how its hospitals' attendance is reported."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.server.algorithm.screen import NoRelease
from wardround.server.store.event_log import EventLog
from wardround.server.store.operator_home import OperatorHome, StudyFolder


@dataclass(frozen=True, eq=False)
class ServedStudy:
    """What stays the same while a study runs."""

    home: OperatorHome
    folder: StudyFolder
    signed: SignedTerms
    serving: Serving
    log: EventLog

    @property
    def terms(self) -> Terms:
        """The study's terms."""
        return self.signed.terms

    @property
    def quorum(self) -> int:
        """The least number of releases that close a round."""
        # Rounded up: the share that the operator asked for is a floor.
        return max(1, math.ceil(self.serving.quorum * len(self.terms.hospitals)))


def look_at(home: OperatorHome, name: str) -> ServedStudy:
    """Open a study that exists, to read what it left; nobody is asked anything."""
    folder = home.study(name)
    if not folder.terms.exists():
        raise ConfigurationError(f"study={name}: is not here ({folder.folder})")
    # Required fields that are never used: nobody is asked.
    nobody = Serving(
        study=name, home=home.folder, round_seconds=1.0, quorum=1.0, wait_seconds=1.0, now=datetime.now(UTC)
    )
    return ServedStudy(home, folder, folder.signed_terms(), nobody, EventLog(folder.events))


def check_times(terms: Terms, serving: Serving, later: timedelta = timedelta(0)) -> None:
    """Refuse a deadline that no answer could meet, or terms that are over: hospitals would be charged, or refuse.

    later: how long after ``serving.now``, the command's start, it is.
    """
    if serving.round_seconds <= terms.reply_delay_seconds:
        raise ConfigurationError(
            f"--round-seconds={serving.round_seconds:g}: must be greater than the terms' "
            f"reply_delay_seconds={terms.reply_delay_seconds:g}, or every answer is late and still charged; raise it"
        )
    expiry = expiry_of(terms)
    if expiry is None or expiry <= serving.now + later:
        raise ConfigurationError(
            f"terms: were valid until {terms.expires_at}; run the same train with valid_days=N to extend them"
        )


class Attendance(Protocol):
    """Who answered a round, or an evaluation."""

    @property
    def planned(self) -> int:
        """How many hospitals were asked."""

    @property
    def accepted(self) -> Sequence[str]:
        """Whose release counts."""

    @property
    def rejected(self) -> Sequence[NoRelease]:
        """Who refused, or sent what does not count."""

    @property
    def missing(self) -> Sequence[str]:
        """Of whom nothing came."""


def attendance_line(found: Attendance, sent: str = "a release") -> str:
    """Say in words who gave a release, or what else was asked for, who did not and why."""
    parts = [f"{len(found.accepted)} of {found.planned} hospitals sent {sent}"]
    # In the order of their names: the same hospitals in another order of answers are no news.
    parts += sorted(f"{one.hospital}: {one.reason}" for one in found.rejected)
    parts += [f"no answer from {', '.join(sorted(found.missing))}"] if found.missing else []
    return "; ".join(parts)


def attendance_facts(found: Attendance) -> dict[str, object]:
    """The same for the event log."""
    rejected = {one.hospital: one.reason for one in found.rejected}
    return {"accepted": list(found.accepted), "rejected": rejected, "missing": list(found.missing)}


@dataclass(frozen=True)
class Answers:
    """Who has answered so far, of a planned number."""

    planned: int
    accepted: tuple[str, ...]
    rejected: tuple[NoRelease, ...]
    missing: tuple[str, ...]


def attendance_of(hospitals: Sequence[str], accepted: Sequence[str], refused: Mapping[str, str]) -> Answers:
    """Say who answered of these hospitals. refused: why what came does not count, by hospital."""
    heard = {*accepted, *refused}
    rejected = tuple(NoRelease(name, reason) for name, reason in refused.items() if name not in accepted)
    missing = tuple(name for name in hospitals if name not in heard)
    return Answers(len(hospitals), tuple(accepted), rejected, missing)
