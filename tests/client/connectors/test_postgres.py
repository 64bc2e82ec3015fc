"""PostgreSQL: a real server, the statement it is sent, and what happens when it goes away."""

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import TablePlace, Tables, read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.contract import contract_from_mapping
from wardround.protocol.errors import TableError

CONTRACT = contract_from_mapping(
    {
        "name": "visits",
        "version": 1,
        "purpose": "reminders",
        "patient": "id",
        "decided_at": "booked",
        "outcome_at": "due",
        "label": {"column": "came", "engaged": ["true"], "not_engaged": ["false"]},
        "events_per_patient": 3,
        "consent": {"required": False, "basis": "public table"},
        "features": {
            "age": {"kind": "numeric", "column": "age", "edges": [18, 65]},
            "weight": {"kind": "numeric", "column": "weight", "range": [0, 100]},
            "past": {"kind": "history", "statistic": "count", "edges": [1]},
        },
    }
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


def binary(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Server:
    """A throw-away server on a Unix socket; PostgreSQL refuses to run as root."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "steward", "--no-sync")
        self.uri = f"postgresql:///postgres?host={folder}&user=steward"

    def run(self, program, *arguments):
        command = [binary(program), *map(str, arguments)]
        with (self.folder / "output").open("ab") as output:  # a server that starts keeps a pipe open for ever
            subprocess.run(command, user=self.user, cwd=self.folder, check=True, stdout=output, stderr=output)

    def start(self):
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c log_statement=all"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")
        self.running = True

    def kill(self):
        """Abort every process at once, as a crash would."""
        self.run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")
        self.running = False

    def execute(self, text):
        self.run(
            "psql", "-h", self.folder, "-U", "steward", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", text
        )


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("adbc_driver_postgresql")
    if not binary("initdb") or not binary("psql"):
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    # Not pytest's own folder: only root could enter it.
    with tempfile.TemporaryDirectory(prefix="wardround-pg-", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        server.start()
        server.execute(SCHEMA)
        yield server
        if server.running:
            server.kill()


def source(server, table="clinic.Visits", columns=COLUMNS):
    plain = {"postgresql": server.uri, "messages": {"table": table, "columns": columns}}
    return source_from_mapping(plain, Path())


def test_the_statement_lists_the_contracts_columns_only(server):
    found = source(server).statement("messages", CONTRACT.columns("messages"))
    assert found == (
        'SELECT "pat_no" AS "id", "booked" AS "booked", "due" AS "due", "came" AS "came", "age" AS "age", '
        '"weight" AS "weight" FROM "clinic"."Visits"'
    )
    tables = read_tables(source(server), CONTRACT)
    admit(tables, CONTRACT, b"key", datetime(2024, 6, 1, tzinfo=UTC))
    sent = [
        line
        for line in (server.folder / "log").read_text().splitlines()
        if "clinic" in line and "SELECT" in line
    ]
    assert sent
    assert all(found in line for line in sent)
    assert not any("diagnosis" in line or "*" in line for line in sent)


def test_names_are_quoted():
    hostile = PostgresSource("", {"messages": TablePlace('a"; drop table b; --', {"id": 'x" from c; --'})})
    assert (
        hostile.statement("messages", ("id",))
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
        ({"columns": {"id": "patient_no"}}, r"column patient_no or .* is missing"),
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
    source_of_many = source(server, "clinic.many")
    batches = source_of_many._batches("messages", ("id",), source_of_many.statement("messages", ("id",)))
    next(batches)
    next(batches)
    server.kill()
    with pytest.raises(TableError, match="cannot be read"):
        for _ in batches:
            pass
    server.start()
    rows = source_of_many.read("messages", ("id",)).select(pl.len()).collect().item()
    assert rows == 3_000_000
