"""The age of the exports whose age the policy bounds, for ``status``."""

from collections.abc import Iterator

from wardround.client.commands.open_home import OpenHome
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import WardroundError


def bounded_ages(opened: OpenHome) -> list[dict[str, object]]:
    """Give table, days, the policy's most and a line per table; only tables with a bound are read."""
    bounds = opened.policy.max_export_age_days
    return [row for table in bounds for row in _row(opened, table, bounds[table])]


def _row(opened: OpenHome, table: str, most: float) -> Iterator[dict[str, object]]:
    contract = next(_reading(opened, table), None)
    if contract is None:
        return
    from wardround.client.checks.age import export_age  # polars: half a second
    from wardround.client.connectors.panic import panics_are_faults
    from wardround.client.connectors.source import read_tables

    row: dict[str, object] = {"table": table, "days": None, "most": most, "too_old": True}
    try:
        with panics_are_faults():
            tables = read_tables(opened.home.source, contract)
            found = export_age(opened.home, tables, opened.policy, contract, table, opened.now)
    except WardroundError as error:
        yield {**row, "text": f"cannot be read: {error}"}
    else:
        yield {**row, "days": found.days, "too_old": found.too_old, "text": found.text}


def _reading(opened: OpenHome, table: str) -> Iterator[Contract]:
    """Contracts of studies that stand, and read this table."""
    for signed in opened.known():
        contract = signed.terms.contract
        if (
            opened.decision(signed) != "declined"
            and contract.columns(table)
            and opened.home.source.has(table)
        ):
            yield contract
