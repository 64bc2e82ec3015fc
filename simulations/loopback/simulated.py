"""The loopback federation as a simulation, by test seeds in each hospital's settings; the same study in one process.

A seed never comes from the server: it stands in ``hospital.yaml``, and its hospital then takes part in studies
that are marked ``simulation`` and in no others (client.home, client.policy).
"""

from datetime import datetime
from pathlib import Path

import polars as pl

from client.gate.identity import hospital_key
from client.home import PATIENTS_KEY, SETTINGS, load_home
from client.tables.source import Tables, read_tables
from protocol.randomness import derive_key
from protocol.terms import Terms
from server.rounds import RoundState
from simulations import in_process
from simulations.federation import Federation, through_gate
from simulations.loopback.federation import Loopback
from simulations.study import answers

TABLES = ("messages", "patients", "consents")


def give_test_seed(loopback: Loopback, seed: int, as_of: datetime) -> None:
    """Write the seed, and the moment that stands for now, into every hospital's own settings.

    Their secret behind tokens becomes what a simulation of this seed derives, so that both split patients alike.
    """
    for name in loopback.hospitals:
        home = loopback.home(name)
        line = f"simulation: {{seed: {seed}, as_of: {as_of.isoformat()}}}\n"
        settings = home / SETTINGS
        settings.write_text(settings.read_text(encoding="utf-8") + line, encoding="utf-8")
        secret = hospital_key(derive_key("split", seed), name)
        (home / PATIENTS_KEY).write_text(f"{secret.hex()}\n", encoding="ascii")


def in_one_process(terms: Terms, homes: Path, seed: int, as_of: datetime) -> RoundState:
    """Run all rounds of a simulated study over the same hospitals' tables, without any message."""
    federation = read_federation(terms, homes, seed, as_of)
    return in_process.run(terms, answers(federation, terms))


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
    return through_gate(Tables(**joined), terms.contract, terms.hospitals, seed, as_of, {})  # type: ignore[arg-type]
