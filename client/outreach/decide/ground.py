"""What the hospital's tables say at the moment of export, read once.

Who is behind a token, whether a message may still go, and what fills it in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.patients import patients_by_token
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.tokens import PROFESSIONALS, token_of
from wardround.client.outreach.permission.permission import Permission, permission_of
from wardround.client.outreach.permission.rules import Allowed, may_be_sent
from wardround.client.outreach.permission.slots import known_zone
from wardround.client.outreach.triggers.looking import care_teams, look
from wardround.client.outreach.triggers.reading import read_rows
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import CARE_TEAMS
from wardround.client.policy.outreach import OutreachPolicy

_WEEK = timedelta(days=7)
_MOMENT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, kw_only=True, eq=False)
class TablesNow:
    """A ``Ground`` over the hospital's own tables.

    patients: identifier by token; index: its place in ``permission``. due: of each trigger, the occasions that still
    stand, with their patient. sent: days, in the hospital's calendar, of what was exported to each token. staff:
    professional and address by token. details: by identifier, what fills placeholders.
    """

    settings: OutreachSettings
    policy: OutreachPolicy
    sensitive: tuple[str, ...]
    permission: Permission
    patients: Mapping[str, str] = field(repr=False)
    index: Mapping[str, int] = field(repr=False)
    due: Mapping[str, frozenset[tuple[str, str]]] = field(repr=False)
    sent: Mapping[str, Sequence[date]] = field(repr=False)
    staff: Mapping[str, tuple[str, str, str]] = field(repr=False)
    details: Mapping[str, Mapping[str, str]] = field(repr=False)
    timezone: str
    now: datetime

    def patient_of(self, proposal: OutreachProposal) -> str | None:
        """Give the identifier behind a proposal's token: a patient's, or a professional's."""
        if proposal.recipient == "professional":
            return self.staff[proposal.token][0] if proposal.token in self.staff else None
        return self.patients.get(proposal.token)

    def verdict(self, proposal: OutreachProposal, others: int) -> Allowed | Held:
        """Say whether it may be sent now, and to which address."""
        if self._full(proposal.token, others):
            return Held("caps", "the patient had as many messages as outreach.yaml allows")
        if not self._declared(proposal):
            return Held("trigger", "outreach.yaml has no such trigger with this topic and module any more")
        if proposal.recipient == "professional":
            return self._to_staff(proposal)
        patient = self.patients.get(proposal.token, "")
        place = self.index.get(patient)
        if place is None or (patient, proposal.occasion) not in self.due.get(proposal.trigger, frozenset()):
            return Held("trigger", "it is no longer due")
        if not self._awake(place):
            return Held("hours", "it is not within the hours of the patient's clock")
        if proposal.is_personal and not self.permission.personalise[place]:
            return Held("personalise", "the patient gets the standard message now: propose makes it")
        return may_be_sent(self.permission, place, proposal.topic, proposal.channel, self.sensitive)

    def values(self, proposal: OutreachProposal) -> Mapping[str, str]:
        """Give what fills placeholders: the policy's own, the patient's details, the occasion's date and time."""
        found = {**self.policy.values, **self.details.get(self.patient_of(proposal) or "", {})}
        try:
            moment = datetime.strptime(proposal.occasion, _MOMENT)
        except ValueError:
            return found
        return {
            **found,
            "date": moment.strftime(self.policy.dates),
            "time": moment.strftime(self.policy.times),
        }

    def _declared(self, proposal: OutreachProposal) -> bool:
        """Whether the file, as it is now, would propose this: two people may have approved it under another."""
        module = proposal.module.rpartition(".")[0]
        return any(
            (one.name, one.to, one.topic) == (proposal.trigger, proposal.recipient, proposal.topic)
            and module in one.modules
            for one in self.settings.triggers
        )

    def _to_staff(self, proposal: OutreachProposal) -> Allowed | Held:
        known = self.staff.get(proposal.token)
        if known is None or known[1] != proposal.channel:
            return Held("address", "care_teams names no address of this channel")
        return Allowed(known[2])

    def _awake(self, place: int) -> bool:
        zone = known_zone(self.permission.timezone[place], _zones(), self.timezone)
        if zone is None:
            return False
        here = self.now.astimezone(ZoneInfo(zone))
        return self.settings.first_hour <= here.hour < self.settings.last_hour

    def _full(self, token: str, others: int) -> bool:
        today = self.now.astimezone(ZoneInfo(self.timezone)).date()
        days = self.sent.get(token, ())
        on_day = others + sum(day == today for day in days)
        in_week = others + sum(abs(today - day) < _WEEK for day in days)
        return on_day >= self.settings.per_day or in_week >= self.settings.per_week


@cache
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def tables_now(
    source: TableSource,
    settings: OutreachSettings,
    policy: OutreachPolicy,
    sensitive: Sequence[str],
    withdrawals: Sequence[Withdrawal],
    sent: Mapping[str, Sequence[date]],
    key: bytes,
    now: datetime,
) -> TablesNow:
    """Read the tables. TableError where one cannot be read.

    sensitive: all topics that are. withdrawals: what stands of the hospital's own list. sent: days of what
    was exported, by token. key: the hospital's patients key.
    """
    source = source.snapshot()
    patients = patients_by_token(source, key)
    names = sorted(patients.values())
    people = pl.DataFrame({"patient": names}, {"patient": pl.String}).with_row_index("index")
    permission = permission_of(source, settings, withdrawals, people, now)
    due = look(source, settings.triggers, wall_clock(now, source.timezone))
    opted_in = {one.name: permission.opted_in(due[one.name], one.source) for one in settings.triggers}
    return TablesNow(
        settings=settings,
        policy=policy,
        sensitive=tuple(sensitive),
        permission=permission,
        patients=patients,
        index={name: place for place, name in enumerate(names)},
        due={
            name: frozenset(zip(frame["patient"].to_list(), frame["occasion"].to_list(), strict=True))
            for name, frame in opted_in.items()
        },
        sent=sent,
        staff=_staff(source, key),
        details=_details(source),
        timezone=source.timezone,
        now=now,
    )


def _staff(source: TableSource, key: bytes) -> dict[str, tuple[str, str, str]]:
    if not source.has(CARE_TEAMS):
        return {}
    rows = care_teams(source).unique("professional", keep="first", maintain_order=True)
    return {
        token_of(one["professional"], key, PROFESSIONALS): (
            one["professional"],
            one["channel"] or "",
            one["address"],
        )
        for one in rows.iter_rows(named=True)
    }


def _details(source: TableSource) -> dict[str, dict[str, str]]:
    """Read the table of details; where two rows say two things, nothing is said."""
    if not source.has("details"):
        return {}
    rows = read_rows(source, "details", ("placeholder",), (), ("value",)).drop_nulls()
    alone = rows.filter(pl.col("value").n_unique().over("patient", "placeholder") == 1)
    found: dict[str, dict[str, str]] = {}
    for patient, placeholder, value in alone.select("patient", "placeholder", "value").unique().iter_rows():
        found.setdefault(patient, {})[placeholder] = value.strip()
    return found
