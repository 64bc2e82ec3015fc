"""Whether a standard message is within the caps, on the patient's own days."""

import numpy as np
import polars as pl

from wardround.client.outreach.permission.caps import within_caps
from wardround.client.outreach.permission.rules import RULES
from wardround.client.outreach.proposals.standard import Standards
from wardround.client.outreach.proposals.timing import Timing, days_of
from wardround.client.outreach.triggers.settings import OutreachSettings


def hold_at_caps(
    standards: Standards, counted: pl.DataFrame, names: pl.Series, timing: Timing, settings: OutreachSettings
) -> None:
    """Write the rule ``cap`` where a patient has as many messages as the caps allow, and no other rule holds.

    counted: token and send_after of what counts (``caps.COUNTED``); names: token of everybody.
    """
    zones = pl.DataFrame({"token": names, "zone": timing.zone}).unique("token", keep="first")
    mine = counted.join(zones, on="token", how="inner")
    days = days_of(mine["send_after"], mine["zone"].to_numpy(), timing.names)
    slots = timing.day[timing.zone[standards.index], standards.slot]
    wanted = pl.DataFrame({"token": names.gather(standards.index), "day": pl.Series(slots).cast(pl.Date)})
    within = within_caps(wanted, mine.select("token").with_columns(day=days), settings)
    standards.rule[~np.asarray(within) & (standards.rule == 0)] = RULES.index("cap")
