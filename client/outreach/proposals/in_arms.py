"""What is proposed while a protocol runs: by each patient's drawn arm, within that arm's part of every capacity.

Arms are drawn before anything is scarce, and keep nobody from the standard message. Who said no to *personalise* gets
it in every arm, and still counts in the arm that was drawn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import polars as pl

from wardround.client.outreach.measure.arms import Draw, draw_module, drawn_arms, split_capacity
from wardround.client.outreach.measure.protocol import (
    BEST_SINGLE,
    EXPLORED,
    PERSONALISED,
    OutreachProtocol,
)
from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.proposals.rows import Chosen, without_model
from wardround.client.outreach.proposals.standard import Standards
from wardround.client.outreach.proposals.timing import Timing
from wardround.protocol.arrays import Integers
from wardround.protocol.contract.arm import PERSONAL
from wardround.protocol.errors import ConfigurationError

Room = Mapping[str, int]
"""Channel → how many messages that are not the standard ones may still be proposed today."""
Chooser = Callable[[Standards, Permission, Timing, Room], Chosen]
"""What proposes beside the standard message, within the room that there is; ``without_model`` proposes it alone."""


@dataclass(frozen=True)
class Choosers:
    """shared: by the shared model. personal: with the hospital's own part; None where nobody asked for it.

    Without a protocol everybody's is ``personal`` where there is one. In a protocol each chooses for its own arm.
    """

    shared: Chooser
    personal: Chooser | None = None


USED = ("arm", "channel", "module", "standard", "made_at")
"""Columns of the journal's proposals that say what is used of a capacity."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """A protocol, and the hospital's patients key."""

    protocol: OutreachProtocol
    key: bytes = field(repr=False)


def check_arms(arms: Arms | None, choose: Choosers) -> None:
    """Refuse a run that would mix what its protocol keeps apart: each arm's messages are chosen as the arm says."""
    if arms is None or (PERSONAL in arms.protocol.arms) == (choose.personal is not None):
        return
    name = arms.protocol.name
    if choose.personal is None:
        raise ConfigurationError(
            f"protocol={name}: has an arm {PERSONAL}; give propose a model, and --personal, as long as it runs"
        )
    raise ConfigurationError(
        f"--personal: protocol={name} has no arm {PERSONAL}, and its arms must stay as they were signed; leave it out"
    )


def standard_alone(standards: Standards, permission: Permission, timing: Timing, room: Room) -> Chosen:
    """Propose the standard message to everybody: where there is no model."""
    return without_model(standards)


def room_left(
    capacity: Mapping[str, int], proposals: pl.DataFrame, day: date, zone: str, arms: Arms | None, arm: str
) -> Room:
    """Give what is left of a day's capacities, of one arm where there are arms. proposals: ``USED``. zone: its own."""
    made = pl.col("made_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    on_day = made.dt.convert_time_zone(zone).dt.date() == day
    today = proposals.filter((pl.col("module") != pl.col("standard")) & on_day)
    left = {}
    for channel, whole in capacity.items():
        mine = today.filter(pl.col("channel") == channel)
        if arms is not None:
            # A protocol without this arm leaves it no room, and asks for none.
            whole = split_capacity(whole, arms.protocol.arms).get(arm, 0)
            mine = mine.filter(pl.col("arm") == arm)
        left[channel] = max(0, whole - len(mine))
    return left


def choose_in_arms(
    standards: Standards,
    permission: Permission,
    timing: Timing,
    choose: Choosers,
    arms: Arms,
    room: Callable[[str], Room],
    channels: Mapping[str, str],
) -> Chosen:
    """Choose for rows whose standard message may be sent. room: of an arm. channels: id of a module → its channel."""
    names = permission.people["patient"].gather(standards.index).to_list()
    drawn = np.array(drawn_arms(names, arms.key, arms.protocol.name, arms.protocol.arms), object)
    chosen = _by_model(standards, permission, timing, choose, drawn, room)
    choice, propensity = chosen.choice.copy(), np.ones(len(names))
    willing = permission.personalise[standards.index]
    ids = standards.trigger.modules
    single = arms.protocol.best_single.get(standards.trigger.topic)
    if single in ids:
        place = ids.index(single)
        choice[willing & (drawn == BEST_SINGLE) & (standards.fits.rule[:, place] == 0)] = place
    _keep_to_room(choice, standards, np.flatnonzero(drawn == BEST_SINGLE), room(BEST_SINGLE), channels)
    left = dict(room(EXPLORED))
    for row in np.flatnonzero(willing & (drawn == EXPLORED)).tolist():
        draw = _drawn(standards, row, names[row], arms, left, channels)
        if draw is not None:
            choice[row], propensity[row] = ids.index(draw.module), draw.propensity
    return replace(
        chosen,
        choice=choice,
        arm=pl.Series(drawn.tolist(), dtype=pl.String),
        propensity=pl.Series(propensity),
    )


def _drawn(
    standards: Standards,
    row: int,
    patient: str,
    arms: Arms,
    left: dict[str, int],
    channels: Mapping[str, str],
) -> Draw | None:
    """Draw a module for one row, and take its room; None where nothing is drawn.

    Whether there is room is asked of all equal modules before the draw: asked of the one drawn, it would change the
    chances that are written down.
    """
    ids = standards.trigger.modules
    standard = ids[int(standards.choice[row])]
    allowed = [one for one, rule in zip(ids, standards.fits.rule[row], strict=True) if rule == 0]
    equal = next((group for group in arms.protocol.equivalent if standard in group), ())
    if any(left.get(channels[one], 1) <= 0 for one in allowed if one in equal and one != standard):
        return None
    draw = draw_module(
        patient,
        f"{standards.trigger.name}\0{standards.occasion[row]}",
        allowed,
        standard,
        key=arms.key,
        protocol=arms.protocol.name,
        equivalent=arms.protocol.equivalent,
    )
    if draw is not None and draw.module != standard and channels[draw.module] in left:
        left[channels[draw.module]] -= 1
    return draw


def _by_model(
    standards: Standards,
    permission: Permission,
    timing: Timing,
    choose: Choosers,
    drawn: "np.ndarray[tuple[int], np.dtype[np.object_]]",
    room: Callable[[str], Room],
) -> Chosen:
    """Let the model choose for its own arm alone, and the hospital's own part for its own; others have the standard.

    In the arm that explores it is asked as well, and only written down: what it would have chosen is measured there.
    """
    rows = len(drawn)
    found = replace(
        without_model(standards),
        choice=standards.choice.copy(),
        slot=standards.slot.copy(),
        own_part=np.zeros(rows, np.bool_),
    )
    options: list[str | None] = [None] * rows
    reasons: list[str | None] = [None] * rows
    for arm, chooser in (
        (EXPLORED, choose.shared),
        (PERSONALISED, choose.shared),
        (PERSONAL, choose.personal),
    ):
        mine = np.flatnonzero(drawn == arm)
        if chooser is None or not len(mine):
            continue
        one = chooser(standards.take(mine), permission, timing, {} if arm == EXPLORED else room(arm))
        found = replace(found, model=one.model, contract=one.contract, terms=one.terms)
        _spread(one.options, mine, options)
        if arm == EXPLORED:
            continue
        _spread(one.reasons, mine, reasons)
        _put(found, one, mine)
    return replace(
        found, options=pl.Series(options, dtype=pl.String), reasons=pl.Series(reasons, dtype=pl.String)
    )


def _put(found: Chosen, one: Chosen, rows: Integers) -> None:
    """Write what was chosen for some rows into the arrays of all."""
    for all_, some in ((found.choice, one.choice), (found.slot, one.slot), (found.known, one.known)):
        all_[rows] = some
    if found.own_part is not None and one.own_part is not None:
        found.own_part[rows] = one.own_part


def _spread(texts: pl.Series | None, rows: Integers, into: list[str | None]) -> None:
    for row, text in zip(rows.tolist(), [] if texts is None else texts.to_list(), strict=False):
        into[row] = text


def _keep_to_room(
    choice: Integers, standards: Standards, rows: Integers, room: Room, channels: Mapping[str, str]
) -> None:
    """Give the standard message to whoever comes after the room is full, in the order of the rows."""
    left, ids = dict(room), standards.trigger.modules
    for row in rows.tolist():
        channel = channels[ids[int(choice[row])]]
        if choice[row] == standards.choice[row] or channel not in left:
            continue
        if left[channel] <= 0:
            choice[row] = standards.choice[row]
        left[channel] -= 1
