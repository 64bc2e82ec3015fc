"""The tables of a PostgreSQL database that this user may read, from the catalogue; no row is read."""

import re

from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.listing import ListedTable, check_count
from wardround.client.connectors.postgres import Snapshot, explaining, frame_of_arrow
from wardround.client.connectors.postgres_types import CatalogueColumn
from wardround.protocol.errors import ConfigurationError

_PASSWORD = re.compile(r"://[^/?#@]*:[^/?#@]*@|(^|[?&\s])(ssl)?password\s*=", re.IGNORECASE)
_MOST_COLUMNS = 100_000
# relispartition: a partition's rows are its table's too, which is listed.
_LISTED = f"""
WITH RECURSIVE found(schema, relation, position, name, declared, type) AS (
    SELECT n.nspname, c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND NOT c.relispartition
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
        AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')
  UNION ALL
    SELECT schema, relation, position, name, declared, y.typbasetype
    FROM found JOIN pg_type y ON y.oid = type WHERE y.typtype = 'd'
)
SELECT schema::text, relation::text, name::text, declared, y.typname::text AS type, y.typtype::text AS kind,
    y.typcategory::text AS category
FROM found JOIN pg_type y ON y.oid = type WHERE y.typtype <> 'd' ORDER BY 1, 2, position LIMIT {_MOST_COLUMNS}
"""  # noqa: S608 (a number)


def refuse_password(uri: str) -> None:
    """Refuse an address that holds a password, without showing it; ConfigurationError."""
    if _PASSWORD.search(uri):
        raise ConfigurationError(
            "postgresql: the address holds a password; put it in ~/.pgpass, and leave it out"
        )


def list_postgres(uri: str) -> list[ListedTable]:
    """List tables and views with the columns that may be read; TableError where the database does not answer."""
    with explaining("PostgreSQL"):
        rows = frame_of_arrow(Snapshot(uri).look(_LISTED)).rows()
    tables: dict[tuple[str, str], dict[str, Kind]] = {}
    for schema, relation, name, declared, type_, kind, category in rows:
        column = CatalogueColumn(name, declared, type_, kind, category)
        tables.setdefault((schema, relation), {})[name] = column.holds
    check_count(len(tables), "PostgreSQL")
    # A mapping parts schema and table at the point: a name that holds one cannot be written there.
    return [
        ListedTable(name=f"{schema}.{relation}", columns=columns)
        for (schema, relation), columns in tables.items()
        if "." not in schema + relation
    ]
