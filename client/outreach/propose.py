"""One ``outreach propose``, top to bottom: who is due, who may be written to, with what, and what is held back.

    look at the tables → permission as it stands now → void what lost its ground → forget who opted out
          → for each trigger, first ones first: the standard message, or the rule that holds it → caps
          → a model's choice beside it → the journal, in one transaction

Killed at any step, and run again, it proposes nothing twice and loses nobody (test_propose_kill.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.schema import HELD_COLUMNS
from wardround.client.outreach.journal.states import APPROVED, HELD, PROPOSED, STATES, VOID
from wardround.client.outreach.journal.tokens import tokens
from wardround.client.outreach.permission.authorisations import authorisations_of
from wardround.client.outreach.permission.caps import COUNTED
from wardround.client.outreach.permission.permission import Permission, permission_of
from wardround.client.outreach.proposals.capped import hold_at_caps
from wardround.client.outreach.proposals.ending import OPEN_COLUMNS, lost_ground
from wardround.client.outreach.proposals.in_arms import (
    USED,
    Arms,
    Chooser,
    Choosers,
    Room,
    check_arms,
    choose_in_arms,
    room_left,
    standard_alone,
)
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.proposals.rows import Chosen, held_rows, proposal_rows
from wardround.client.outreach.proposals.standard import Standards, standards_of
from wardround.client.outreach.proposals.teams import team_rows
from wardround.client.outreach.proposals.timing import Timing, timing_of
from wardround.client.outreach.recalls import NONE_RECALLED, RecalledModels
from wardround.client.outreach.tables import read_outreach
from wardround.client.outreach.triggers.looking import care_teams, look, patients_of
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger

PROGRAM = "outreach propose"
"""Who moved a proposal, where no person did."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounds:
    """What one run stands on. withdrawals: what still stands of the hospital's own list. key: the patients key.

    digests: SHA-256 of the settings and the guidelines, by name, kept with each proposal. arms: of the protocol that
    holds patients in arms at this time. recalled: models whose choices are void.
    """

    source: TableSource
    settings: OutreachSettings
    library: Library
    withdrawals: Sequence[Withdrawal] = field(repr=False)
    key: bytes = field(repr=False)
    now: datetime
    digests: dict[str, str] = field(default_factory=dict)
    arms: Arms | None = None
    recalled: RecalledModels = NONE_RECALLED


@dataclass(frozen=True, kw_only=True)
class Proposing:
    """What one run did, as counts. by_trigger: trigger → due, proposed (new), standard of them, and held by rule."""

    by_trigger: dict[str, dict[str, int]]
    void: dict[str, int]
    forgotten: int


def propose(
    journal: Journal, grounds: Grounds, choose: Chooser | None = None, personal: Chooser | None = None
) -> Proposing:
    """Propose what is due now, and void what no longer may be sent. TableError where a table cannot be read.

    choose: a model; None: the standard messages alone. personal: the same with the hospital's own part.
    ConfigurationError where a running protocol has an arm for it and it is missing, or the other way round.
    """
    choosers = Choosers(choose or standard_alone, personal)
    check_arms(grounds.arms, choosers)
    with journal.alone():
        return _proposed(journal, grounds, choosers)


def _proposed(journal: Journal, grounds: Grounds, choose: Choosers) -> Proposing:
    settings, now = grounds.settings, grounds.now
    source = grounds.source.snapshot()
    due = look(source, settings.triggers, wall_clock(now, source.timezone))
    people = _people(source, due)
    permission = permission_of(source, settings, grounds.withdrawals, people, now)
    signed = authorisations_of(source, people, now)
    grounds = replace(grounds, library=replace(grounds.library, authorisations=signed))
    names = tokens(people["patient"], grounds.key)
    found = {name: _with_index(frame, people) for name, frame in due.items()}
    found = {one.name: permission.opted_in(found[one.name], one.source) for one in settings.triggers}
    forgotten = journal.forget(names.filter(pl.Series(permission.refused)).to_list())
    void = _void(journal, grounds, found, permission, names)
    timing = timing_of(settings, permission, source.timezone, now)
    by_trigger = {}
    for trigger in settings.triggers:
        mine = found[trigger.name]
        if trigger.to == "professional":
            rows, held = _to_professionals(trigger, mine, permission, source, grounds), _nothing_held()
        else:
            rows, held = _to_patients(trigger, mine, permission, names, journal, grounds, timing, choose)
        new = journal.propose(rows, held)
        by_trigger[trigger.name] = _counts(mine, rows, held, new)
    return Proposing(by_trigger=by_trigger, void=void, forgotten=forgotten)


def _people(source: TableSource, due: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Give everybody who is due, and everybody with a preference: who opted out is forgotten, due or not."""
    tables = {table.name: table.rows for table in read_outreach(source)}
    others = [tables[name]["patient"].drop_nulls() for name in ("addresses", "preferences") if name in tables]
    everybody = pl.concat([patients_of(due), *others]).unique().sort()
    return everybody.alias("patient").to_frame().with_row_index("index")


def _with_index(due: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    return due.join(people, on="patient", how="left", maintain_order="left")


def _void(
    journal: Journal,
    grounds: Grounds,
    found: dict[str, pl.DataFrame],
    permission: Permission,
    names: pl.Series,
) -> dict[str, int]:
    states = (PROPOSED, APPROVED, HELD)
    open_ = journal.frame(OPEN_COLUMNS, states)
    none = pl.DataFrame(schema={"trigger": pl.String, "occasion": pl.String, "index": pl.UInt32})
    each = [frame.select(pl.lit(name).alias("trigger"), "occasion", "index") for name, frame in found.items()]
    due = pl.concat([none, *each])
    due = due.with_columns(token=names.gather(due["index"]))
    sensitive = grounds.settings.all_sensitive(grounds.library.guidelines)
    lost = lost_ground(
        open_,
        due,
        permission,
        grounds.library,
        sensitive,
        grounds.now,
        grounds.recalled,
    )
    moved = {}
    for why, ids in lost.items():
        # Not what an export has taken since they were read: its occasion would be proposed once more.
        void = journal.move(ids, VOID, person=PROGRAM, reason=why, at=grounds.now, among=states)
        moved[why] = len(void)
    return moved


def _to_patients(
    trigger: Trigger,
    due: pl.DataFrame,
    permission: Permission,
    names: pl.Series,
    journal: Journal,
    grounds: Grounds,
    timing: Timing,
    choose: Choosers,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    kept = journal.frame(("token", "trigger", "occasion"), [one for one in STATES if one != VOID])
    due = due.with_columns(token=names.gather(due["index"]))
    fresh = due.join(
        kept.filter(pl.col("trigger") == trigger.name),
        on=("token", "occasion"),
        how="anti",
        maintain_order="left",
    )
    zone = grounds.source.timezone
    standards = standards_of(trigger, fresh, permission, grounds.library, grounds.settings, timing, zone)
    counted = journal.frame(("token", "send_after"), COUNTED)
    hold_at_caps(standards, counted, names, timing, grounds.settings)
    token = names.gather(standards.index)
    held = held_rows(standards, token, grounds.now)
    # Who opted out is not written down again: they are known to nobody here.
    refused = names.filter(pl.Series(permission.refused))
    held = held.filter(~pl.col("token").is_in(refused.implode()))
    rows = np.flatnonzero(standards.rule == 0)
    standards = standards.take(rows)
    chosen = _choose(standards, permission, timing, journal, grounds, choose)
    stands_on = {"contact": grounds.settings.contact.purpose, "required": grounds.settings.contact.required}
    proposals = proposal_rows(
        standards,
        chosen,
        token.gather(rows),
        permission.personalise[standards.index],
        {**stands_on, **grounds.digests},
        permission.people["patient"].gather(standards.index),
        grounds.library,
        timing,
        grounds.now,
    )
    return proposals, held


def _choose(
    standards: Standards,
    permission: Permission,
    timing: Timing,
    journal: Journal,
    grounds: Grounds,
    choose: Choosers,
) -> Chosen:
    """Choose what is proposed beside the standard message, in the arms of a protocol where one runs."""
    used, arms = journal.frame(USED), grounds.arms
    today = wall_clock(grounds.now, grounds.source.timezone).date()

    def room(arm: str) -> Room:
        return room_left(grounds.settings.capacity, used, today, grounds.source.timezone, arms, arm)

    if arms is None:
        return (choose.personal or choose.shared)(standards, permission, timing, room(""))
    channels = {one.id: one.channel.lower() for one in grounds.library.modules}
    return choose_in_arms(standards, permission, timing, choose, arms, room, channels)


def _to_professionals(
    trigger: Trigger, due: pl.DataFrame, permission: Permission, source: TableSource, grounds: Grounds
) -> pl.DataFrame:
    index = due["index"].to_numpy().astype(np.int64)
    alive = due.filter(pl.Series(~(permission.vetoed | permission.doubted)[index]))["patient"]
    return team_rows(
        trigger,
        alive,
        care_teams(source),
        grounds.library,
        grounds.settings,
        grounds.digests,
        grounds.key,
        source.timezone,
        grounds.now,
    )


def _nothing_held() -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String))


def _counts(due: pl.DataFrame, rows: pl.DataFrame, held: pl.DataFrame, new: int) -> dict[str, int]:
    standard = rows.filter(pl.col("module") == pl.col("standard"))
    by_rule = {f"held: {rule}": count for rule, count in held["rule"].value_counts(sort=True).iter_rows()}
    return {"due": len(due), "proposed": new, "standard": len(standard), **by_rule}
