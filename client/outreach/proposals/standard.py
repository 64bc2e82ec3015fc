"""The standard message of each patient who is due by one trigger: which module, in which slot, or held by which rule.

Guarantee: whoever is due, may be written to and has a way to be reached gets it; no capacity and no model has a part.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.permission.rules import RULES, patient_rules
from wardround.client.outreach.proposals.library import Fitting, Library, fitting
from wardround.client.outreach.proposals.timing import Timing
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger
from wardround.protocol.arrays import Booleans, Integers


@dataclass(frozen=True, eq=False)
class Standards:
    """Of rows who are due: index (into people), occasion, until; and what may be sent to them.

    rule: uint8 [rows], what holds the standard message; 0 for nothing. choice: int64 [rows], the standard message's
    place in ``trigger.modules``; slot: int64 [rows], its slot. fits: of all the trigger's modules. open: bool [rows,
    slots].
    """

    trigger: Trigger
    index: Integers
    occasion: pl.Series
    until: pl.Series
    rule: NDArray[np.uint8]
    choice: Integers
    slot: Integers
    fits: Fitting
    open: Booleans

    def take(self, rows: Integers) -> "Standards":
        """Keep some of the rows."""
        return replace(
            self,
            index=self.index[rows],
            occasion=self.occasion.gather(rows),
            until=self.until.gather(rows),
            rule=self.rule[rows],
            choice=self.choice[rows],
            slot=self.slot[rows],
            fits=Fitting(self.fits.module[rows], self.fits.rule[rows]),
            open=self.open[rows],
        )


def standards_of(
    trigger: Trigger,
    due: pl.DataFrame,
    permission: Permission,
    library: Library,
    settings: OutreachSettings,
    timing: Timing,
    home_zone: str,
) -> Standards:
    """Find each patient's standard message. due: ``triggers.due.DUE``, with ``index`` into people."""
    index = due["index"].to_numpy().astype(np.int64)
    sensitive = settings.all_sensitive(library.guidelines)
    fits = fitting(library, permission, index, trigger.modules, trigger.topic, sensitive)
    standard = fits.rule[:, : len(trigger.standard)]
    choice = (standard == 0).argmax(axis=1)
    every = np.arange(len(index))
    slots = timing.open_until(index, _utc(due["until"], home_zone))
    rule = patient_rules(permission, index, trigger.topic, sensitive)
    rule = np.where(rule == 0, standard[every, choice], rule)
    rule[(rule == 0) & ~slots.any(axis=1)] = RULES.index("hours")
    return Standards(
        trigger, index, due["occasion"], due["until"], rule, choice, slots.argmax(axis=1), fits, slots
    )


def _utc(walls: pl.Series, zone: str) -> NDArray[np.datetime64]:
    """Give instants of the hospital's wall clock, the earlier of two; datetime64[s] in UTC."""
    placed = walls.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    never = datetime(1, 1, 1)
    instants = placed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    # An hour that no clock shows: too late at once, which is the safe side.
    skipped = placed.is_null() & walls.is_not_null()
    return instants.set(skipped, never).to_numpy().astype("datetime64[s]")
