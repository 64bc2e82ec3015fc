"""Messages that chance drew and that left, each with its propensity: for the hospital's own export, by identifier.

A contract may name the column (``protocol.contract.propensity``), so that later models learn from what was explored.
Left out is what no chance is known of: what a model or a person chose, and messages for which nothing was drawn.
The table names patients: it is for the hospital's own disk, and nothing of it leaves.
"""

from collections.abc import Mapping

import polars as pl

from wardround.client.outreach.decide.acts import leaf
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.states import EXPORTED

COLUMNS = ("patient", "message", "exported_at", "trigger", "topic", "channel", "module", "propensity")


def drawn_messages(journal: Journal, patients: Mapping[str, str], timezone: str) -> pl.DataFrame:
    """Give ``COLUMNS``, one row per message. patients: identifier by token; timezone: the hospital's own.

    message: as its sender was given it. exported_at: on the hospital's wall clock. Of a patient whom nobody can name
    any more there is no row.
    """
    left_at = dict(journal.exports().select("proposal", "at").iter_rows())
    rows = [
        (patients[one.token], leaf(one), left_at.get(one.id), one.trigger, one.topic, one.channel, one.module,
         one.propensity)
        for one in journal.proposals((EXPORTED,))
        if one.propensity < 1 and one.token in patients
    ]  # fmt: skip
    types = dict.fromkeys(COLUMNS, pl.String) | {"propensity": pl.Float64}
    table = pl.DataFrame(rows, types, orient="row")
    at = pl.col("exported_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    wall = at.dt.convert_time_zone(timezone).dt.strftime("%Y-%m-%dT%H:%M:%S")
    return table.with_columns(exported_at=wall).sort("patient", "exported_at", "message")
