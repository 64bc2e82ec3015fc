"""What the hospital's tables say at the moment of export, read once.

Who is behind a token, whether a message may still go, and what fills it in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.gate.keyed_hash import STAFF
from wardround.client.outreach.content.choice import Authorisations, Held
from wardround.client.outreach.decide.patients import patients_by_token
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.permission.authorisations import authorisations_of
from wardround.client.outreach.permission.caps import WEEK_DAYS, at_cap
from wardround.client.outreach.permission.permission import Permission, permission_of
from wardround.client.outreach.permission.rules import Allowed, may_be_sent
from wardround.client.outreach.permission.slots import known_zone
from wardround.client.outreach.triggers.looking import care_teams, look, patients_of
from wardround.client.outreach.triggers.reading import read_rows
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import CARE_TEAMS
from wardround.client.policy.outreach import OutreachPolicy

_MOMENT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, kw_only=True)
class Professional:
    """A recipient of the second kind. addresses: by channel. due: triggers that find patients of theirs, by channel."""

    name: str
    addresses: Mapping[str, str] = field(repr=False)
    due: frozenset[tuple[str, str]] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class TablesNow:
    """A ``Ground`` over the hospital's own tables.

    patients: identifier by token; index: its place in ``permission``. due: of each trigger, the occasions that still
    stand, with their patient. sent: days, in the hospital's calendar, of what was exported to each token. staff:
    professionals by token. details: by identifier, what fills placeholders.
    """

    settings: OutreachSettings
    policy: OutreachPolicy
    sensitive: tuple[str, ...]
    permission: Permission
    patients: Mapping[str, str] = field(repr=False)
    index: Mapping[str, int] = field(repr=False)
    due: Mapping[str, frozenset[tuple[str, str]]] = field(repr=False)
    sent: Mapping[str, Sequence[date]] = field(repr=False)
    staff: Mapping[str, Professional] = field(repr=False)
    details: Mapping[str, Mapping[str, str]] = field(repr=False)
    authorisations: Authorisations = field(repr=False)
    timezone: str
    now: datetime

    def patient_of(self, proposal: OutreachProposal) -> str | None:
        """Give the identifier behind a proposal's token: a patient's, or a professional's."""
        if proposal.recipient == "professional":
            return self.staff[proposal.token].name if proposal.token in self.staff else None
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
        if known is None or proposal.channel not in known.addresses:
            return Held("address", "care_teams names no address of this channel, or several")
        if (proposal.trigger, proposal.channel) not in known.due:
            return Held("trigger", "it is due for none of their patients any more")
        if not self._within_hours(self.timezone):
            return Held("hours", "it is not within the hours of the hospital's clock")
        return Allowed(known.addresses[proposal.channel])

    def _awake(self, place: int) -> bool:
        zone = known_zone(self.permission.timezone[place], _zones(), self.timezone)
        return zone is not None and self._within_hours(zone)

    def _within_hours(self, zone: str) -> bool:
        here = self.now.astimezone(ZoneInfo(zone))
        return self.settings.first_hour <= here.hour < self.settings.last_hour

    def _full(self, token: str, others: int) -> bool:
        today = self.now.astimezone(ZoneInfo(self.timezone)).date()
        days = self.sent.get(token, ())
        on_day = others + sum(day == today for day in days)
        in_week = others + sum(abs((today - day).days) < WEEK_DAYS for day in days)
        return bool(at_cap(on_day, in_week, self.settings))


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
    due = look(source, settings.triggers, wall_clock(now, source.timezone))
    # Also who has no address: their care team may.
    names = sorted({*patients.values(), *patients_of(due).to_list()})
    people = pl.DataFrame({"patient": names}, {"patient": pl.String}).with_row_index("index")
    permission = permission_of(source, settings, withdrawals, people, now)
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
        staff=_staff(source, settings, permission, opted_in, key),
        details=_details(source),
        authorisations=authorisations_of(source, people, now),
        timezone=source.timezone,
        now=now,
    )


def _staff(
    source: TableSource,
    settings: OutreachSettings,
    permission: Permission,
    due: Mapping[str, pl.DataFrame],
    key: bytes,
) -> dict[str, Professional]:
    """Read who cares for whom, and what is due for whom of theirs; due: by trigger, with patient."""
    if not source.has(CARE_TEAMS):
        return {}
    teams = care_teams(source)
    alive = permission.people.filter(pl.Series(~(permission.vetoed | permission.doubted)))
    theirs = teams.join(alive, on="patient", how="semi")
    found: dict[str, set[tuple[str, str]]] = {}
    for trigger in settings.triggers:
        if trigger.to == "professional":
            mine = theirs.join(due[trigger.name], on="patient", how="semi")
            for name, channel in mine.select("professional", "channel").unique().iter_rows():
                found.setdefault(name, set()).add((trigger.name, channel))
    return {
        token_of(str(name), key, STAFF): Professional(
            name=str(name),
            addresses=dict(part.select("channel", "address").iter_rows()),
            due=frozenset(found.get(str(name), ())),
        )
        for (name,), part in teams.group_by("professional")
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
