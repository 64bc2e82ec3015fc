"""ODBC: a real MariaDB, and SQLite's driver; what each is asked, what cells of any value do, and what goes missing."""

import random
import sqlite3

import polars as pl
import pytest

from tests.client.connectors.database_rows import check_random_tables
from tests.client.connectors.mariadb_server import odbc_driver, started
from tests.client.init_from import COLUMNS_BY_ODBC, RENAMED, check_drafts, check_reads, init_from
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.odbc import OdbcSource
from wardround.client.connectors.odbc_access import OdbcAccess
from wardround.client.connectors.odbc_dialects import DIALECTS, dialect_of_driver
from wardround.client.connectors.source import TablePlace
from wardround.protocol.errors import ConfigurationError, TableAway, TableError

MARIADB = {
    "varchar(40)": ["''", "'a\"b,c'", "'Жé😀'", "'\\n\\t\\0'", "'1e400'", "repeat('x', 40)"],
    "longtext": ["repeat('é', 70000)", "'yes'", "repeat('x', 2001)"],
    "char(5) character set latin1": ["'é'", "_latin1 x'81'"],
    "enum('warm', 'plain')": ["'warm'", "''"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "bigint unsigned": ["18446744073709551615"],
    "tinyint": ["-128", "1"],
    "boolean": ["true", "false"],
    "decimal(65, 30)": ["99999999999999999999999999999999999", "-0.000000000000000000000000000001"],
    "decimal(10, 2)": ["1.50", "-99999999.99"],
    "double": ["1.7e308", "-5e-324", "2.2250738585072014e-308"],
    "float": ["3.4e38", "1e-45"],
    "date": ["'0000-00-00'", "'9999-12-31'", "'1000-01-01'", "'2024-00-00'"],
    "datetime(6)": ["'0000-00-00'", "'9999-12-31 23:59:59.999999'"],
    "timestamp null": ["'1970-01-02'", "'2038-01-18 03:14:07'"],
    "time": ["'-838:59:59'", "'838:59:59'"],
    "year": ["0", "2155"],
    "json": ["'{}'", "'\"x\"'"],
    "uuid": ["uuid()"],
}  # fmt: skip
SQLITE = ["1", "'a'", "''", "1e400", "-1e308", "x'00ff'", "cast(x'ff41' as text)", "cast(x'eda080' as text)", "null",
          "cast(zeroblob(9) as text)", "9223372036854775807", "'😀'", "hex(zeroblob(4000))"]  # fmt: skip
DECLARED = [
    "integer",
    "varchar(3)",
    "text",
    "real",
    "date",
    "datetime",
    "boolean",
    "blob",
    "decimal(3, 1)",
    "",
]


@pytest.fixture(scope="module")
def mariadb():
    with started() as server:
        yield server


def by_mariadb(server, table):
    places = {"messages": TablePlace(table), "consents": TablePlace(table)}
    return OdbcSource(OdbcAccess(server.connection, "mariadb"), places, {})


@pytest.fixture
def lite(tmp_path):
    odbc_driver("libsqlite3odbc.so")
    with sqlite3.connect(tmp_path / "clinic.db", isolation_level=None) as connection:
        yield connection
    connection.close()


def by_sqlite(lite, table, **columns):
    path = lite.execute("pragma database_list").fetchone()[2]
    connection = f"Driver={odbc_driver('libsqlite3odbc.so')};Database={path}"
    return OdbcSource(OdbcAccess(connection, "sqlite"), {"messages": TablePlace(table, columns)}, {})


def check_mariadb(server, seed, count):
    def execute(statement):
        server.execute(f"set sql_mode = ''; {statement}")

    check_random_tables(random.Random(seed), execute, lambda table: by_mariadb(server, table), MARIADB, count)


@pytest.mark.slow
def test_a_cell_of_mariadb_is_its_own_rows_business(mariadb):
    check_mariadb(mariadb, 1, 8)


@pytest.mark.soak
def test_a_cell_of_mariadb_is_its_own_rows_business_in_500_tables(mariadb):
    check_mariadb(mariadb, 2, 500)


@pytest.mark.slow
def test_a_cell_of_sqlite_is_its_own_rows_business(lite):
    kinds = dict.fromkeys(DECLARED, SQLITE)
    check_random_tables(random.Random(1), lite.execute, lambda table: by_sqlite(lite, table), kinds, 20)


@pytest.mark.soak
def test_a_cell_of_sqlite_is_its_own_rows_business_in_500_tables(lite):
    kinds = dict.fromkeys(DECLARED, SQLITE)
    check_random_tables(random.Random(2), lite.execute, lambda table: by_sqlite(lite, table), kinds, 500)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MARIADB)
def test_no_value_of_a_type_stops_the_reading(mariadb, kind):
    rows = ", ".join(f"({number}, {cell})" for number, cell in enumerate(MARIADB[kind]))
    mariadb.execute(
        f"set sql_mode = ''; create or replace table every (id int, cell {kind}); insert into every values {rows}"  # noqa: S608
    )
    cells = by_mariadb(mariadb, "every").read("messages", ("id", "cell")).collect()
    assert len(cells) == len(MARIADB[kind])
    assert cells["cell"].null_count() == 0, "what is not readable was given all the same"


def test_types_are_read_right(mariadb):
    mariadb.execute(
        "create table clean (id bigint, n decimal(8, 2), at datetime, day date, yes boolean, word enum('a', 'b'),"
        "note longtext); insert into clean values (7, 75.00, '2024-03-01 09:12', '2024-03-01', true, 'b',"
        "repeat('x', 3000))"
    )
    names = ("id", "n", "at", "day", "yes", "word", "note")
    cells = by_mariadb(mariadb, "clinic.clean").read("messages", names).collect()
    assert cells.rows() == [("7", 75.0, "2024-03-01 09:12:00", "2024-03-01", "1", "b", "(too long)")]


def test_a_patients_name_that_is_too_long_is_no_name(mariadb):
    mariadb.execute("create table wide (id longtext); insert into wide values (repeat('x', 3000)), ('7')")
    cells = by_mariadb(mariadb, "wide").read("messages", ("id",)).collect()["id"].to_list()
    assert cells == [None, "7"], "two patients must never become one"


def test_names_are_quoted_as_the_database_does():
    for dialect, statement in (
        ("mariadb", "SELECT `a``; x` AS `id` FROM `b``c`"),
        ("sqlserver", "SELECT [a`; x] AS [id] FROM [b`c]"),
        ("oracle", 'SELECT "a`; x" AS "id" FROM "b`c"'),
    ):
        place = TablePlace("b`c", {"id": "a`; x"})
        source = OdbcSource(OdbcAccess("", dialect), {"messages": place}, {})
        assert source.statement("messages", ("id",), {"id": "other"}) == statement
    assert DIALECTS["sqlserver"].name("a]b") == "[a]]b]"


def test_what_is_missing_or_binary_is_said_at_once(mariadb):
    mariadb.execute("create table odd (id int, cell varbinary(9), at point)")
    with pytest.raises(TableError) as caught:
        by_mariadb(mariadb, "odd").read("messages", ("id", "sell", "dell"))
    assert "column sell is missing; there is cell" in str(caught.value)
    assert "column dell is missing" in str(caught.value)
    with pytest.raises(TableError) as caught:
        by_mariadb(mariadb, "odd").read("messages", ("id", "cell", "at"))
    assert str(caught.value).count("is binary; name a view that has it as text, as in CAST(`") == 2
    with pytest.raises(TableError, match=r"no such table; .*42S02"):
        by_mariadb(mariadb, "nowhere").read("messages", ("id",))


def test_rights_on_the_columns_alone_are_enough(mariadb):
    mariadb.execute(
        "create table kept (id int, secret text); create user clerk@localhost identified by 'x y;z';"
        "grant select (id) on clinic.kept to clerk@localhost; insert into kept values (7, 'MARK')"
    )
    path = mariadb.folder / "password"
    path.write_text("x y;z\n")
    connection = mariadb.connection.replace("User=root;", "")
    places = {"messages": TablePlace("kept")}
    for access, environment in (
        (OdbcAccess(connection, "mariadb", user="clerk", password_file=path), {}),
        (OdbcAccess(connection, "mariadb", user="clerk", password_variable="CLERK"), {"CLERK": "x y;z"}),
    ):
        source = OdbcSource(access, places, environment)
        assert source.read("messages", ("id",)).collect().rows() == [("7",)]
        with pytest.raises(TableError):
            source.read("messages", ("id", "secret"))
        assert "x y;z" not in repr(source)
    with pytest.raises(TableError, match="user or password is refused") as caught:
        OdbcSource(OdbcAccess(connection, "mariadb", user="clerk"), places, {}).read("messages", ("id",))
    assert "clerk" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_is_gone_is_away_and_read_again_when_it_is_back(mariadb):
    mariadb.execute("create table many as select seq as id from seq_1_to_300000")
    frame = by_mariadb(mariadb, "many").read("messages", ("id",))
    assert frame.select(pl.len()).collect().item() == 300_000
    assert frame.head(3).collect()["id"].to_list() == ["1", "2", "3"]
    mariadb.stop()
    with pytest.raises(TableAway, match="cannot be read"):
        frame.collect()
    with pytest.raises(TableAway):
        by_mariadb(mariadb, "many").read("messages", ("id",))
    mariadb.start()
    assert frame.select(pl.len()).collect().item() == 300_000


def test_a_mapping_names_the_connection_and_no_password(tmp_path):
    def read(odbc, **more):
        return source_from_mapping({"odbc": odbc, "messages": {"table": "m"}, **more}, tmp_path)

    assert read("Driver=MariaDB Unicode;Server=x").access.dialect == "mariadb"
    both = {"connection": "DSN=x", "dialect": "oracle", "password_file": "secret"}
    assert read(both).access.password_file == tmp_path / "secret"
    with pytest.raises(TableError, match="no password can be read there"):
        read(both).read("messages", ("id",))
    for odbc, message in (
        ("DSN=x", r"mapping.odbc.dialect: is missing"),
        ({"connection": "DSN=x", "dialect": "access"}, "must be one of mariadb, sqlserver"),
        ("Driver=SQLite3; pwd = MARK", r"mapping.odbc.connection: holds a password; put it in a file"),
        ({"connection": "Driver=SQLite3", "pasword_file": "x"}, "did you mean password_file"),
    ):
        with pytest.raises(ConfigurationError, match=message) as caught:
            read(odbc)
        assert "MARK" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="postgresql and odbc are both given; keep one"):
        read("Driver=SQLite3", postgresql="postgresql:///x")


@pytest.mark.parametrize(
    ("driver", "dialect"),
    [
        ("{ODBC Driver 18 for SQL Server}", "sqlserver"),
        ("/usr/lib/libmaodbc.so", "mariadb"),
        ("MySQL ODBC 9 Unicode Driver", "mariadb"),
        ("{IBM DB2 ODBC DRIVER}", "db2"),
        ("Oracle 23 ODBC driver", "oracle"),
        ("SnowflakeDSIIDriver", "snowflake"),
        ("Something", None),
    ],
)
def test_the_driver_tells_the_dialect(driver, dialect):
    assert dialect_of_driver(f"server=sqlite.example;DRIVER={driver};") == dialect


def test_init_tells_the_mapping_by_the_catalogue_of_mariadb(mariadb, tmp_path, capsys):
    mariadb.execute("create database proposed; create user proposer@localhost")
    mariadb.execute(COLUMNS_BY_ODBC, "proposed")
    mariadb.execute("grant select on proposed.* to proposer@localhost")
    connection = mariadb.connection.replace("User=root", "User=proposer").replace("=clinic", "=proposed")
    code, said, found = init_from(tmp_path, capsys, "odbc", connection, "--dialect", "mariadb")
    assert code == 0, said
    assert found["tables"]["odbc"] == {"connection": connection, "dialect": "mariadb"}
    assert found["tables"]["messages"]["table"] == "proposed.visits"
    assert found["tables"]["consents"]["columns"] == RENAMED
    assert found["patient"]["form"] == "number"
    check_reads(tmp_path, 1)
    check_drafts(tmp_path, capsys, {"age": "numeric", "channel": "categorical"})


def test_init_tells_the_mapping_of_sqlite_and_the_password_stays_in_its_file(lite, tmp_path, capsys):
    lite.executescript(COLUMNS_BY_ODBC)
    (tmp_path / "key").write_text("secret\n")
    connection = f"Driver={odbc_driver('libsqlite3odbc.so')};Database={tmp_path}/clinic.db"
    given = ("--dialect", "sqlite", "--password-file", tmp_path / "key")
    code, said, found = init_from(tmp_path, capsys, "odbc", connection, *given)
    assert code == 0, said
    assert found["tables"]["messages"]["table"] == "visits"
    assert found["tables"]["odbc"]["password_file"] == str(tmp_path / "key")
    assert "secret" not in (tmp_path / "north/hospital.yaml").read_text()
    check_reads(tmp_path, 1)
    check_drafts(tmp_path, capsys, {"age": "numeric", "channel": "categorical"})
