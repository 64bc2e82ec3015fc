"""A user's own data source: a function that gives a whole federation's tables, read as any other's."""

from collections.abc import Mapping
from typing import Protocol, cast, runtime_checkable

import polars as pl

from wardround.client.connectors.source import Tables, missing_column
from wardround.protocol import plugins
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, TABLES, Contract
from wardround.protocol.errors import ConfigurationError, TableError, require
from wardround.protocol.text.section import shown
from wardround.simulations.federation.datasets import Dataset, split_by_hospital


@runtime_checkable
class DataSource(Protocol):
    """Give a federation's tables; named by ``data.source``, or passed as ``wardround.simulate(data=…)``.

    >>> import polars as pl, wardround
    >>> def read(contract, seed):
    ...     return {"messages": pl.DataFrame({"patient": ["a", "b"], "hospital": ["north", "south"]})}
    >>> isinstance(read, wardround.DataSource)
    True
    """

    def __call__(self, contract: Contract, seed: int) -> Mapping[str, pl.DataFrame]:
        """Return polars frames by name: ``messages``; ``patients``, ``consents``, ``assessments`` where there are such.

        Each has the contract's columns and the one that splits it into hospitals: the contract's ``hospital``, or
        else a column named ``hospital``. Further columns are not read. seed: the study's, for what is drawn.
        """


def read_own(name: str, contract: Contract, seed: int) -> Dataset:
    """Call a user's data source and check what it gives; ConfigurationError or TableError, one line."""
    source = plugins.find("data", name)
    if source is None:
        raise ConfigurationError(
            f"data.source={shown(name)}: this process knows no such function; give its path"
        )
    given = plugins.called("data", name, lambda: cast(DataSource, source)(contract, seed))
    column = contract.hospital or HOSPITAL_COLUMN
    tables = {table: _split(name, table, frame, column) for table, frame in _frames(name, given).items()}
    found = Tables(
        tables["messages"],
        tables.get("patients"),
        tables.get("consents"),
        tables.get("assessments"),
        tables.get("arms"),
    )
    for table in tables:
        found.part(table, contract)  # a column that is missing is named here
    hospitals = tuple(sorted(tables["messages"][HOSPITAL_COLUMN].unique().to_list()))
    return Dataset(found, hospitals, {}, {})


def _frames(name: str, given: object) -> dict[str, pl.DataFrame]:
    key, fits = "data.source", isinstance(given, Mapping) and "messages" in given
    kind = type(given).__name__
    require(fits, key, name, f"gave {kind}, must be a mapping with the table messages")
    frames = dict(cast(Mapping[str, pl.DataFrame], given))
    for table, frame in frames.items():
        require(table in TABLES, key, name, f"gave a table {shown(table)}, must be of {', '.join(TABLES)}")
        kind = type(frame).__name__
        line = f"gave {kind} as {table}, must be a polars DataFrame; use polars.from_pandas"
        require(isinstance(frame, pl.DataFrame), key, name, line)
    return frames


def _split(name: str, table: str, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    if column not in frame.columns:
        raise TableError(f"data.source={name}: {table}: {missing_column(column, frame.columns)}")
    return split_by_hospital(frame, column)
