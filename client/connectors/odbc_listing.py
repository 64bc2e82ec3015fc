"""The tables of a database behind ODBC that this user may read, from its catalogue; no row is read."""

import re
from collections.abc import Mapping

from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.listing import ListedTable, check_count
from wardround.client.connectors.odbc_access import OdbcAccess
from wardround.client.connectors.odbc_reader import open_batches

_STANDARD = (
    "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
    "WHERE lower(table_schema) NOT IN ('information_schema', 'pg_catalog', 'sys') "
    "ORDER BY table_schema, table_name, ordinal_position"
)
_CATALOGUES = {
    "mariadb": "SELECT table_schema, table_name, column_name, column_type FROM information_schema.columns "
    "WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') "
    "ORDER BY table_schema, table_name, ordinal_position",
    "sqlserver": "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS "
    "ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
    "oracle": "SELECT owner, table_name, column_name, data_type FROM all_tab_columns "
    "WHERE owner NOT IN (SELECT username FROM all_users WHERE oracle_maintained = 'Y') "
    "ORDER BY owner, table_name, column_id",
    "db2": "SELECT tabschema, tabname, colname, typename FROM syscat.columns WHERE tabschema NOT LIKE 'SYS%' "
    "ORDER BY tabschema, tabname, colno",
    "snowflake": _STANDARD,
    "postgresql": _STANDARD,
    "sqlite": "SELECT '' AS s, m.name AS t, p.name AS c, p.type AS d "
    "FROM sqlite_master m JOIN pragma_table_info(m.name) p "
    "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, p.cid",
}
"""Columns of all tables, by dialect: schema (nothing where there is none), table, column, declared type."""
_DECLARED: tuple[tuple[str, Kind], ...] = (
    (r"uuid|uniqueidentifier", "uuid"),
    (r"tinyint\(1\)|bit|bool|boolean", "truth"),
    (r"(tiny|small|medium|big)?int|integer|(big)?serial", "whole"),
    (r"dec|decimal|numeric|number|float|double|real|(small)?money|fixed", "number"),
    (r"date|(small)?datetime|timestamp(_?ntz|_?ltz|_?tz)?", "timestamp"),
    (r"n?(var)?char|character|n?(tiny|medium|long)?text|n?clob|enum|string|(var)?graphic|$", "text"),
)
"""How declared types begin, in lower case; a column without a type (SQLite) is read as text."""


def list_odbc(access: OdbcAccess, environment: Mapping[str, str]) -> list[ListedTable]:
    """List tables and views with their columns; TableError where the database does not answer.

    environment: where a password may stand.
    """
    tables: dict[tuple[str, str], dict[str, Kind]] = {}
    for batch in open_batches(access, environment, _CATALOGUES[access.dialect], "ODBC"):
        for schema, table, column, declared in batch.iter_rows():
            if table and column:  # longer names come as nothing
                key = ((schema or "").strip(), table.strip())
                tables.setdefault(key, {})[column.strip()] = kind_of_declared(declared or "")
        check_count(len(tables), "ODBC")
    return [
        ListedTable(name=".".join(filter(None, key)), columns=columns)
        for key, columns in tables.items()
        if not any("." in part for part in key)
    ]


def kind_of_declared(declared: str) -> Kind:
    """Say what a column holds whose type is declared so; every database has words of its own."""
    word = declared.strip().lower()
    return next((kind for pattern, kind in _DECLARED if re.match(f"({pattern})(?![a-z])", word)), "other")
