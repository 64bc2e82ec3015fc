"""How old each export is: by its file's time, and by its newest row."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from wardround.client.checks.finding import Finding, fault, ok
from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.home.home import POLICY, Home
from wardround.client.policy.policy import Policy
from wardround.protocol.contract.contract import TABLES, Contract

_NEWEST = {
    "messages": ("decided_at",),
    "consents": ("granted_at", "withdrawn_at"),
    "assessments": ("assessed_at",),
}


@dataclass(frozen=True, kw_only=True)
class ExportAge:
    """One table's age. days: since its file was written, or of a database since its newest row; None: nobody can tell.

    text: both in words. most: the policy's bound in days, None where there is none.
    """

    table: str
    days: float | None
    text: str
    most: float | None

    @property
    def too_old(self) -> bool:
        """Whether the table is older than the policy allows."""
        return self.days is not None and self.most is not None and self.days > self.most


def age(home: Home, tables: Tables, policy: Policy, contract: Contract, now: datetime) -> Iterator[Finding]:
    """Say how old each export is."""
    for one in export_ages(home, tables, policy, contract, now):
        if one.too_old:
            bound = f"at most {one.most:g} days are allowed ({POLICY}: max_export_age_days)"
            yield fault(
                "age", f"{one.table}: {one.text}; {bound}", "export the table again, or by a schedule"
            )
        else:
            yield ok("age", f"{one.table}: {one.text}")


def export_ages(
    home: Home, tables: Tables, policy: Policy, contract: Contract, now: datetime
) -> Iterator[ExportAge]:
    """Look at each table that the contract reads."""
    for table in TABLES:
        if tables.part(table, contract) is not None and contract.columns(table):
            yield export_age(home, tables, policy, contract, table, now)


def export_age(
    home: Home, tables: Tables, policy: Policy, contract: Contract, table: str, now: datetime
) -> ExportAge:
    """Look at one table, which the contract reads; no other table's rows are read."""
    days, text = _age(home, tables, contract, table, now)
    return ExportAge(table=table, days=days, text=text, most=policy.max_export_age_days.get(table))


def _age(
    home: Home, tables: Tables, contract: Contract, table: str, now: datetime
) -> tuple[float | None, str]:
    """Give days since the export (since the newest row, of a database), and both in words."""
    newest = _newest(tables, contract, table, now)
    times = [path.stat().st_mtime for path in home.source.files().get(table, ()) if path.exists()]
    row = "no date in its rows" if newest is None else f"newest row of {newest:%Y-%m-%d}"
    if times:
        written = datetime.fromtimestamp(max(times), now.tzinfo)
        days = (now - written).total_seconds() / 86_400
        return days, f"exported on {written:%Y-%m-%d}, {max(days, 0):.0f} days ago; {row}"
    if newest is None:
        return None, row
    days = (wall_clock(now, tables.timezone) - newest).total_seconds() / 86_400
    return days, f"{row}, {max(days, 0):.0f} days ago"


def _newest(tables: Tables, contract: Contract, table: str, now: datetime) -> datetime | None:
    """Give the latest time in the table that is not in the future."""
    rows = tables.part(table, contract)
    names = _NEWEST.get(table, ())
    columns = [name if table == "consents" else getattr(contract, name) for name in names]
    if rows is None or not any(columns):
        return None
    schema, form, zone = rows.collect_schema(), tables.format(table), tables.timezone
    timestamps = [parsing.instant(c, schema[c], form, zone).alias(f"timestamp:{c}") for c in columns if c]
    past = [pl.col(one.meta.output_name()) for one in timestamps]
    # Not in the future: a booking ahead would make an old export look new.
    latest = [one.filter(one <= wall_clock(now, zone)).max() for one in past]
    found = rows.select(timestamps).select(pl.max_horizontal(latest)).collect(engine="streaming").item()
    return found if isinstance(found, datetime) else None
