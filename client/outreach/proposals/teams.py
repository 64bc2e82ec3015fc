"""Proposals to professionals: how many of their own patients a trigger finds, and nothing else of them."""

import json
from collections.abc import Mapping
from datetime import datetime

import polars as pl

from wardround.client.gate.keyed_hash import STAFF
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.journal.schema import PROPOSAL_COLUMNS
from wardround.client.outreach.journal.tokens import tokens
from wardround.client.outreach.permission.slots import next_slots
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger


def team_rows(
    trigger: Trigger,
    due: pl.Series,
    teams: pl.DataFrame,
    library: Library,
    settings: OutreachSettings,
    stands_on: Mapping[str, object],
    key: bytes,
    zone: str,
    now: datetime,
) -> pl.DataFrame:
    """Write rows of ``PROPOSAL_COLUMNS``, at most one a week for each professional and trigger.

    due: patients, those under a veto left out; teams: patient, professional, channel, address. A professional is
    written to by the channel of the first module that suits one of theirs.
    """
    counted = teams.filter(pl.col("patient").is_in(due.implode())).group_by("professional", "channel")
    each = counted.agg(pl.col("patient").n_unique().alias("patients")).sort("professional", "channel")
    week = now.strftime("%G-W%V")
    rows = []
    for module_id in trigger.standard:
        module = library.written_in(module_id, None)
        if isinstance(module, Held) or module.topic.lower() != trigger.topic:
            continue
        mine = each.filter(pl.col("channel") == module.channel)
        slot = next_slots(settings, zone, now)[0]
        same = {
            "recipient": "professional", "trigger": trigger.name, "occasion": week, "topic": trigger.topic,
            "module": module.name, "module_digest": module.digest, "standard": module.name, "channel": module.channel,
            "send_after": as_text(slot.after), "send_before": as_text(slot.before), "arm": "", "propensity": 1.0,
            "population": "known", "made_at": as_text(now), "model": "", "contract": "", "options": "[]",
            "stands_on": json.dumps(dict(stands_on), sort_keys=True),
        }  # fmt: skip
        text = pl.format('["{} of your patients"]', pl.col("patients"))
        rows.append(
            mine.with_columns(
                token=tokens(mine["professional"], key, STAFF),
                reasons=text,
                **{name: pl.lit(value) for name, value in same.items()},
            ).select(PROPOSAL_COLUMNS)
        )
    nothing = pl.DataFrame(schema=dict.fromkeys(PROPOSAL_COLUMNS, pl.String)).cast({"propensity": pl.Float64})
    # Of several channels the first that a module is for.
    return pl.concat([nothing, *rows]).unique("token", keep="first", maintain_order=True)
