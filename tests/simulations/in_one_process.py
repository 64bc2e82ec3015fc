"""The study of a simulated loopback federation again, in one process.

A seed never comes from the server: it stands in ``hospital.yaml`` of a home that was begun as a simulated one, and
that takes part in studies that are marked ``simulation`` and in no others (client.home.home, client.policy.policy).
"""

from datetime import datetime
from pathlib import Path

import polars as pl

from wardround.client.connectors.source import Tables, read_tables
from wardround.client.home.home import load_home
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.rounds import RoundState
from wardround.simulations.federation import in_process
from wardround.simulations.federation.federation import Federation, through_gate
from wardround.simulations.study.study import answering

TABLES = ("messages", "patients", "consents")


def in_one_process(terms: Terms, homes: Path, seed: int, as_of: datetime) -> RoundState:
    """Run all rounds of a simulated study over the same hospitals' tables, without any message."""
    federation = read_federation(terms, homes, seed, as_of)
    return in_process.run(terms, answering(federation, terms))


def read_federation(terms: Terms, homes: Path, seed: int, as_of: datetime) -> Federation:
    """Read the tables of every hospital's home, as its agent does, and pass them through one gate."""
    parts: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    for name in terms.hospitals:
        tables = read_tables(load_home(homes / name).source, terms.contract)
        for table in TABLES:
            part = tables.part(table, terms.contract)
            if part is not None:
                parts[table].append(part.collect().with_columns(hospital=pl.lit(name)))
    joined = {table: pl.concat(frames) if frames else None for table, frames in parts.items()}
    return through_gate(Tables(**joined), terms.contract, terms.hospitals, seed, as_of, {})
