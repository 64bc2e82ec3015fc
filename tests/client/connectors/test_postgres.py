"""PostgreSQL: a real server, the statement it is sent, and what happens when it goes away."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.builders import visits_contract
from tests.client.connectors.postgres_server import started
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.postgres_types import CatalogueColumn
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import TablePlace, Tables, read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableAway, TableError

CONTRACT = contract_from_mapping(
    visits_contract(
        label={"column": "came", "engaged": ["true"], "not_engaged": ["false"]},
        features={
            "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
            "weight": {"kind": "numeric", "column": "weight", "range": [0, 100]},
            "past": {"kind": "history", "statistic": "count", "edges": [1]},
        },
    )
)
SCHEMA = """
create schema clinic;
create table clinic."Visits" (
    pat_no bigint, booked timestamptz, due date, came boolean, age smallint, weight numeric(5, 2),
    diagnosis text
);
insert into clinic."Visits" values
    (7, '2024-05-01 09:00+00', '2024-05-04', true, 40, 75.00, 'MARK-SECRET'),
    (7, '2024-05-02 09:00+02', '2024-05-05', false, 40, null, 'MARK-SECRET'),
    (8, '2024-05-03 10:30+00', '2024-05-06', true, null, 250, 'MARK-SECRET');
"""
COLUMNS = {"id": "pat_no"}


@pytest.fixture(scope="module")
def server():
    with started() as server:
        server.execute(SCHEMA)
        yield server


def source(server, table="clinic.Visits", columns=COLUMNS):
    plain = {"postgresql": server.uri, "messages": {"table": table, "columns": columns}}
    return source_from_mapping(plain, Path())


def test_the_statement_lists_the_contracts_columns_only(server):
    found = (
        'SELECT "pat_no" AS "id", '
        "CASE WHEN \"booked\" BETWEEN timestamptz '0001-01-01' AND timestamptz '9999-12-31' THEN \"booked\" "
        'WHEN "booked" IS NOT NULL THEN timestamptz \'10000-01-01\' END AS "booked", '
        "CASE WHEN \"due\" BETWEEN date '0001-01-01' AND date '9999-12-31' THEN \"due\" "
        'WHEN "due" IS NOT NULL THEN date \'10000-01-01\' END AS "due", '
        '"came" AS "came", "age" AS "age", trim_scale("weight")::text AS "weight" FROM "clinic"."Visits" '
        "ORDER BY 1, 2, 3, 4, 5, 6"
    )
    tables = read_tables(source(server), CONTRACT)
    admit(tables, CONTRACT, b"key", datetime(2024, 6, 1, tzinfo=UTC))
    sent = [line for line in (server.folder / "log").read_text().splitlines() if 'FROM "clinic"' in line]
    assert sent
    assert all(found in line for line in sent)
    assert not any("diagnosis" in line or "*" in line for line in sent)


def test_names_are_quoted():
    hostile = PostgresSource("", {"messages": TablePlace('a"; drop table b; --')})
    column = CatalogueColumn('x" from c; --', "integer", "int4", "b", "N")
    assert (
        hostile.statement("messages", {"id": column})
        == 'SELECT "x"" from c; --" AS "id" FROM "a""; drop table b; --" ORDER BY 1'
    )


def test_rows_arrive_as_from_a_file(server):
    tables = read_tables(source(server), CONTRACT)
    assert all(one.unreadable == 0 for one in check_types(tables, CONTRACT))
    text = pl.DataFrame(
        {
            "id": ["7", "7", "8"],
            "booked": ["2024-05-01 09:00:00", "2024-05-02T09:00:00+02:00", "2024-05-03 10:30"],
            "due": ["2024-05-04", "2024-05-05", "2024-05-06"],
            "came": ["true", "false", "true"],
            "age": ["40", "40", None],
            "weight": ["75", None, "250"],
        }
    )
    now = datetime(2024, 6, 1, tzinfo=UTC)
    ours, theirs = (admit(t, CONTRACT, b"key", now) for t in (tables, Tables(text)))
    for part in ("training", "heldout"):
        assert getattr(ours, part).equals(getattr(theirs, part))
    assert ours.counts == theirs.counts
    assert ours.counts["training events"] + ours.counts["heldout events"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "clinic.visits"}, r"clinic.visits in PostgreSQL: no such table"),
        ({"columns": {"id": "patient_no"}}, r"column patient_no is missing; there is pat_no"),
    ],
)
def test_what_is_missing_is_one_line(server, changes, message):
    with pytest.raises(TableError, match=message) as caught:
        read_tables(source(server, **changes), CONTRACT)
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_one_line(tmp_path):
    pytest.importorskip("adbc_driver_postgresql")
    away = PostgresSource(
        f"postgresql:///x?host={tmp_path}&user=MARK-USER", {"messages": TablePlace("visits")}
    )
    with pytest.raises(TableError, match="cannot be read; check address") as caught:
        read_tables(away, CONTRACT)
    assert "MARK" not in str(caught.value)
    assert "MARK" not in repr(away)


@pytest.mark.slow
def test_a_server_killed_in_mid_read_is_read_again_after_it_is_back(server):
    server.execute(
        'create table clinic.many as select v.*, s from clinic."Visits" v, generate_series(1, 1000000) s'
    )
    source_of_many = source(server, "clinic.many").snapshot()
    frame = source_of_many.read("messages", ("id",))

    def kill_once(cells):
        if server.running:
            server.kill()
        return cells

    with pytest.raises(TableAway, match="cannot be read"):
        frame.select(pl.col("id").map_batches(kill_once, is_elementwise=True)).collect(engine="streaming")
    server.start()
    rows = source(server, "clinic.many").read("messages", ("id",)).select(pl.len()).collect().item()
    assert rows == 3_000_000
