"""``contract draft``: a contract to start with, from the names and types of columns; no value is looked at."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from wardround.client.commands.terminal import say
from wardround.client.connectors.files import columns_of
from wardround.client.home.contract_draft import Choices, Draft, Kind, draft_contract
from wardround.protocol.errors import TableError
from wardround.protocol.files import write_new
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Draft a contract into a new file; nothing is overwritten."""
    files = {"messages": options.messages, "patients": options.patients}
    tables = {table: _columns(path, table) for table, path in files.items() if path is not None}
    draft = draft_contract(tables, _choices(options))
    write_new(options.out, draft.text.encode(), 0o644)
    _answer(options, draft)


def _choices(options: Namespace) -> Choices:
    return Choices(
        name=options.name,
        purpose=options.purpose,
        patient=options.patient,
        decided_at=options.decided_at,
        outcome_at=options.outcome_at,
        label=options.label,
        engaged=tuple(options.engaged or ()),
        not_engaged=tuple(options.not_engaged or ()),
    )


def _columns(path: Path, table: str) -> Mapping[str, Kind]:
    try:
        return {name: _kind(dtype) for name, dtype in columns_of(path).items()}
    except TableError as error:
        raise TableError(f"{table}: {error}") from None


def _kind(dtype: pl.DataType) -> Kind:
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    if dtype == pl.Boolean:
        return "truth"
    if dtype.is_numeric():
        return "number"
    return "moment" if dtype in (pl.Date, pl.Datetime) else "other"


def _answer(options: Namespace, draft: Draft) -> None:
    contract = draft.contract
    if options.json:
        say_json(
            {"contract": str(options.out), "name": contract.name, "fingerprint": contract.fingerprint,
             "features": [f.name for f in contract.features], "untold": list(draft.untold)}
        )  # fmt: skip
        return
    say(f"A draft with {len(contract.features)} features in {options.out}; no value was looked at.", "")
    say("For you to decide:", *(f"  - {line}" for line in draft.untold))
