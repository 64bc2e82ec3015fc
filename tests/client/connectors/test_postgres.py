"""PostgreSQL: a real server, the statement it is sent, and what happens when it goes away."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.builders import visits_contract
from tests.client.connectors.postgres_server import started
from tests.client.init_from import RENAMED, check_drafts, check_reads, init_from
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.postgres_types import CatalogueColumn
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import TablePlace, Tables, read_tables
from wardround.client.gate.admit import admit
from wardround.client.home.home import load_home
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
        '"came" AS "came", "age" AS "age", trim_scale("weight")::text AS "weight" FROM "clinic"."Visits"'
    )
    tables = read_tables(source(server), CONTRACT)
    admit(tables, CONTRACT, b"key", datetime(2024, 6, 1, tzinfo=UTC))
    sent = [line for line in (server.folder / "log").read_text().splitlines() if 'FROM "clinic"' in line]
    assert sent
    assert all(found in line for line in sent)
    assert not any("diagnosis" in line or "*" in line for line in sent)


def test_the_order_of_rows_on_the_disk_does_not_matter(server):
    server.execute(
        "create table moved as select n % 9 as pat_no, timestamptz '2024-05-01 09:00' as booked, "
        "date '2024-05-04' as due, n % 2 = 0 as came, n % 80 as age, n % 5 as weight from generate_series(1, 90) n"
    )

    def learned():
        place = TablePlace("moved", {"id": "pat_no"})
        tables = read_tables(PostgresSource(server.uri, {"messages": place}), CONTRACT)
        admitted = admit(tables, CONTRACT, b"key", datetime(2024, 6, 1, tzinfo=UTC))
        return tables.messages.collect(), admitted.training.drop("row")

    read, before = learned()
    server.execute("update moved set came = came where age % 3 = 0")
    again, after = learned()
    assert not again.equals(read)
    assert again.sort(again.columns).equals(read.sort(read.columns))
    assert len(before) > 0
    assert after.equals(before)


def test_names_are_quoted():
    hostile = PostgresSource("", {"messages": TablePlace('a"; drop table b; --')})
    column = CatalogueColumn('x" from c; --', "integer", "int4", "b", "N")
    assert (
        hostile.statement("messages", {"id": column})
        == 'SELECT "x"" from c; --" AS "id" FROM "a""; drop table b; --"'
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


PROPOSED = """
create schema clinic; create schema "od.d"; create domain key as bigint;
create table clinic."Appointments" (
    pat_no key, "Decided" timestamptz, due_on date, opened int, channel text, topic text, note jsonb
);
create table clinic.people (pat_no bigint, age int);
create table clinic.consents (
    pat_no int, "Kind" text, "Value" text, consented_on date, revoked_at date, valid_until date
);
create table "od.d".messages (pat_no int);
create table clinic.hidden_messages (pat_no int);
insert into clinic."Appointments" (pat_no, note) values (7, '"MARK"');
insert into clinic.people values (7, 40);
insert into clinic.consents values (7, 'MARK');
create role proposer login; grant usage on schema clinic, "od.d" to proposer;
grant select on clinic."Appointments", clinic.people, clinic.consents, "od.d".messages to proposer;
"""


def test_init_tells_the_mapping_by_the_catalogue_alone(server, tmp_path, capsys):
    server.execute("create database proposed")
    server.execute(PROPOSED, "proposed")
    before = (server.folder / "log").stat().st_size
    uri = f"postgresql:///proposed?host={server.folder}&user=proposer"
    code, said, found = init_from(tmp_path, capsys, "postgresql", uri)
    assert code == 0, said
    assert found["tables"]["postgresql"] == uri
    assert found["tables"]["messages"] == {
        "table": "clinic.Appointments",
        "columns": {"patient": "pat_no", "decided": "Decided", "due": "due_on"},
    }
    assert found["tables"]["consents"]["columns"] == RENAMED
    assert found["patient"] == {"column": "pat_no", "form": "number"}  # all three declare whole numbers
    asked = (server.folder / "log").read_bytes()[before:]
    assert b"pg_attribute" in asked
    assert b"pat_no" not in asked  # no table was named, and no row was read
    check_reads(tmp_path, 1)
    contract = check_drafts(tmp_path, capsys, {"age": "numeric", "channel": "categorical"})
    assert (contract.decided_at, contract.outcome_at) == ("decided", "due")


def test_init_says_which_type_is_no_single_value_and_hostile_names_write_nothing(server, tmp_path, capsys):
    server.execute("create database doubtful")
    columns = "patient_id uuid, decided interval, due date, opened int, channel text, topic text"
    server.execute(f'create table messages ({columns}, "x: {{}}\nsimulation: {{seed: 7}}" int)', "doubtful")
    server.execute('create table "patients\n# TODO" (patient_id uuid, age int)', "doubtful")
    server.execute("create table patients (patient_id uuid, age int)", "doubtful")
    uri = f"postgresql:///doubtful?host={server.folder}&user=steward"
    code, said, found = init_from(tmp_path, capsys, "postgresql", uri)
    assert code == 2
    assert "in public.messages decided looks like decided, but its type holds no single value" in said
    assert "consents: no table looks like it; write tables.consents by hand" in said
    assert found["patient"] == {"column": "patient_id", "form": "uuid"}
    assert "simulation" not in found
    load_home(tmp_path / "north")
