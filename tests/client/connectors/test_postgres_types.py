"""PostgreSQL's types: each is read right or refused by name, and a cell of any value is its own row's business."""

import random
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.client.connectors.database_rows import check_random_tables
from tests.client.connectors.postgres_server import started
from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.source import TablePlace
from wardround.protocol.errors import TableAway, TableError

TYPES = """
create type tone as enum ('warm', 'plain');
create type pair as (a int, b int);
create domain short as varchar(20) check (length(value) < 20);
create domain shorter as short;
create extension if not exists hstore;
"""
CELLS = {
    "text": ["''", "'a\"b,c'", "E'\\n\\t\\x01'", "repeat('x', 70000)", "'ЖÅ\u200b'", "'1e400'"],
    "char(9)": ["'1'", "'é'"],
    "shorter": ["'yes'", "'1.0'"],
    "tone": ["'warm'", "'plain'"],
    "uuid": ["gen_random_uuid()", "'00000000-0000-0000-0000-000000000000'"],
    "boolean": ["true", "false"],
    "smallint": ["32767", "-32768"],
    "bigint": ["9223372036854775807", "-9223372036854775808", "0"],
    "real": ["'NaN'", "'Infinity'", "3.4e38", "1e-45"],
    "double precision": ["'NaN'", "'-Infinity'", "1.7e308", "5e-324", "'-0'"],
    "numeric": ["'NaN'", "'Infinity'", "1e500", "1e-500", "repeat('9', 1000)::numeric", "1.50"],
    "numeric(12, 0)": ["'NaN'", "999999999999", "1"],
    "money": ["'-92233720368547758.08'", "'1.50'"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'9999-12-31'", "'0001-01-01'"],
    "timestamp": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'", "'9999-12-31'"],
    "timestamptz": ["'infinity'", "'-infinity'", "'4714-11-24 BC'", "'294276-12-31 23:59+00'", "'0001-01-01 00:00+14'"],
    "time": ["'24:00:00'", "'00:00'"],
    "timetz": ["'24:00:00-15:59'"],
    "inet": ["'::1/128'"],
    "bit varying": ["B'10101'"],
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with started() as server:
        server.execute(TYPES)
        yield server


def source(server, table, database="postgres"):
    uri = server.uri.replace("/postgres?", f"/{database}?")
    return PostgresSource(uri, {"messages": TablePlace(table), "consents": TablePlace(table)})


def check_postgresql(server, seed, count):
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with dbapi.connect(server.uri, autocommit=True) as connection, connection.cursor() as cursor:
        check_random_tables(
            random.Random(seed), cursor.execute, lambda table: source(server, table), CELLS, count
        )


@pytest.mark.slow
def test_a_cell_is_its_own_rows_business(server):
    check_postgresql(server, 1, 6)


@pytest.mark.soak
def test_a_cell_is_its_own_rows_business_in_500_tables(server):
    check_postgresql(server, 2, 500)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CELLS)
def test_no_value_of_a_type_stops_the_reading(server, kind):
    table = "every_" + "".join(filter(str.isalnum, kind))
    server.execute(f"create table {table} (id int, cell {kind})")
    server.execute(f"insert into {table} values " + ", ".join(f"(1, {cell})" for cell in CELLS[kind]))  # noqa: S608
    cells = source(server, table).read("messages", ("id", "cell")).collect()
    assert len(cells) == len(CELLS[kind])
    assert cells["cell"].null_count() == 0, "what is not readable was given all the same"


@pytest.mark.parametrize(
    ("kind", "cell", "read"),
    [
        ("money", "'$1,234.50'", 1234.5),
        ("numeric(8, 2)", "75.00", 75.0),
        ("tone", "'warm'", "warm"),
        ("shorter", "'yes'", "yes"),
        ("char(4)", "'F'", "F"),
        ("timestamptz", "'2024-03-01 09:12+02'", datetime(2024, 3, 1, 7, 12, tzinfo=UTC)),
        ("timestamp", "'2024-03-01 09:12'", datetime(2024, 3, 1, 9, 12)),
        ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ],
)
def test_each_type_is_read_right(server, kind, cell, read):
    table = "right_" + "".join(filter(str.isalnum, kind))
    server.execute(f"create table {table} as select 1 as id, {cell}::{kind} as cell")
    assert source(server, table).read("messages", ("id", "cell")).collect()["cell"].to_list() == [read]


def test_an_exact_number_names_a_patient_with_all_its_digits(server):
    server.execute("create table wide as select 12345678901234567890123.0::numeric as id, 1 as cell")
    cells = source(server, "wide").read("messages", ("id", "cell")).collect()["id"]
    assert cells.to_list() == ["12345678901234567890123"]


def test_all_types_that_are_no_single_value_are_named_with_what_to_write(server):
    server.execute(
        "create table odd (id int, a interval, b int[], c jsonb, d int4range, e pair, f bytea, g hstore, h point)"
    )
    with pytest.raises(TableError) as caught:
        source(server, "odd").read("messages", ("id", "missing", *"abcdefgh"))
    for part in (
        "column missing is missing; there is",
        'a is of type interval; name a view that has extract(epoch FROM "a") / 86400 AS "a"',
        'b is of type integer[]; name a view that has "b"[1] AS "b"',
        "c is of type jsonb; name a view that has \"c\" ->> 'key'",
        'd is of type int4range; name a view that has lower("d")',
        'e is of type pair; name a view that has ("e").field',
        "f is of type bytea; name a view that has encode(\"f\", 'hex')",
        "g is of type hstore; name a view that has \"g\" -> 'key'",
        'h is of type point; name a view that has "h"::text',
    ):
        assert part in str(caught.value)
    server.execute("create view even as select id, extract(epoch from a) / 86400 as a, b[1] as b from odd")
    server.execute("insert into odd (id, a, b) values (1, '36 hours', '{7, 8}')")
    assert source(server, "even").read("messages", ("id", "a", "b")).collect().rows() == [(1, 1.5, 7)]
    assert source(server, "odd").read("messages", ("id",)).collect().rows() == [(1,)], (
        "others are not asked for"
    )


def test_all_tables_are_read_as_of_one_time(server):
    server.execute("create table told as select 1 as id")
    now = source(server, "told").snapshot()
    messages, consents = now.read("messages", ("id",)), now.read("consents", ("id",))
    assert len(messages.collect()) == 1
    server.execute("insert into told values (2)")
    assert len(consents.collect()) == len(messages.collect()) == 1
    assert len(source(server, "told").read("messages", ("id",)).collect()) == 2


def test_nothing_can_be_written(server):
    server.execute(
        "create table kept (id int); create function meddle() returns int language plpgsql volatile as "
        "$$ begin insert into kept values (9); return 1; end $$; create view meddling as select meddle() as id"
    )
    with pytest.raises(TableError):
        source(server, "meddling").read("messages", ("id",)).collect()
    assert len(source(server, "kept").read("messages", ("id",)).collect()) == 0


def test_a_locked_table_is_away(server, monkeypatch):
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    server.execute("create table locked as select 1 as id")
    monkeypatch.setattr(
        "wardround.client.connectors.postgres._SETTINGS", "SELECT set_config('lock_timeout', '50ms', true)"
    )
    with dbapi.connect(server.uri) as connection, connection.cursor() as cursor:
        cursor.execute("lock table locked in access exclusive mode")
        with pytest.raises(TableAway, match="locked by somebody else"):
            source(server, "locked").read("messages", ("id",))


def test_row_security_hides_no_withdrawal(server):
    server.execute("create table hidden as select 1 as id; alter table hidden enable row level security;"
                   "create role clerk login; grant select on hidden to clerk")  # fmt: skip
    uri = server.uri.replace("user=steward", "user=clerk")
    ours = PostgresSource(uri, {"messages": TablePlace("hidden"), "consents": TablePlace("hidden")})
    assert len(ours.read("messages", ("id",)).collect()) == 0, "for messages the hospital's rule holds"
    with pytest.raises(TableError, match="a withdrawal could be among them"):
        ours.read("consents", ("id",))


def test_a_views_own_fault_is_said_to_be_the_views(server):
    server.execute("create view broken as select (x || 'x')::int as id from generate_series(1, 3) x")
    with pytest.raises(TableError, match="a view's own expression fails") as caught:
        source(server, "broken").read("messages", ("id",)).collect()
    assert "1x" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "cells", "read"),
    [
        ("SQL_ASCII", ["c3a9", "e9", "8181"], ["é", "é", "��"]),
        ("WIN1252", ["e9", "81", "80"], ["é", "�", "€"]),
        ("LATIN1", ["e9", "81"], ["é", "\x81"]),
    ],
)
def test_bytes_that_are_no_text_are_their_own_cells_business(server, encoding, cells, read):
    name = f"in_{encoding.lower()}"
    server.execute(
        f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
    )
    rows = ", ".join(f"(convert_from('\\x{cell}', '{encoding}'))" for cell in cells)
    server.execute(f"create table odd (id text); insert into odd values {rows}", name)  # noqa: S608
    found = source(server, "odd", name).read("messages", ("id",)).collect()["id"].to_list()
    assert sorted(found) == sorted(read)


def test_order_and_memory_are_the_frames(server):
    server.execute("create table many as select s as id, s % 7 as cell from generate_series(1, 50000) s")
    frame = source(server, "many").read("messages", ("id", "cell"))
    assert frame.filter(pl.col("cell") == 3).select("id").head(2).collect()["id"].to_list() == [3, 10]
