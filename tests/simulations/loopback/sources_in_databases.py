"""A hospital whose tables are in MariaDB, read by ODBC, and one whose tables are in PostgreSQL; both real servers."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tests.client.connectors.mariadb_server import MariaDb
from tests.client.connectors.postgres_server import Server
from tests.simulations.loopback.sources_in_files import PURPOSE, YES_NO, ZONE, OwnTables, Rows

_ROWS_AT_ONCE = 200  # psql takes a statement as one argument

CODES = {
    "sex": {"1": "F", "2": "M"},
    "channel": {"S": "sms", "E": "email", "P": "portal", "T": "phone"},
    "kind": {"fin": "purpose", "tema": "topic", "fuente": "source"},
}
MARIADB = """
create table mensajes (pat_no int, enviado datetime, plazo date, tema varchar(40), canal char(1), tono varchar(20),
    longitud varchar(20), enlace boolean, respuesta enum('1', '0'));
create table pacientes (pat_no int, edad smallint, sexo tinyint, idioma varchar(20), seguro varchar(20),
    empleo varchar(20), diabetes boolean, hipertension boolean, distancia decimal(8, 1), pasos int);
create table consentimientos (pat_no varchar(20), tipo varchar(10), valor varchar(40), desde date, retirado datetime,
    hasta date);
"""
SPANISH = {
    "messages": (
        "mensajes",
        {
            "patient": "pat_no", "decided_at": "enviado", "outcome_at": "plazo", "topic": "tema",
            "channel": "canal", "tone": "tono", "length": "longitud", "has_link": "enlace",
            "engaged": "respuesta",
        },
    ),
    "patients": (
        "pacientes",
        {
            "patient": "pat_no", "age": "edad", "sex": "sexo", "language": "idioma", "insurance": "seguro",
            "employment": "empleo", "diabetes": "diabetes", "hypertension": "hipertension",
            "distance_km": "distancia", "daily_steps": "pasos",
        },
    ),
    "consents": (
        "consentimientos",
        {
            "patient": "pat_no", "kind": "tipo", "value": "valor", "granted_at": "desde",
            "withdrawn_at": "retirado", "expires_at": "hasta",
        },
    ),
}  # fmt: skip


def in_mariadb(server: MariaDb, tables: Rows) -> OwnTables:
    """Fill a database; an opt-out is one more row, in a spelling of its own."""
    server.execute(MARIADB)
    for table, (name, columns) in SPANISH.items():
        for rows in _values(tables[table], columns, CODES):
            server.execute(f"insert into {name} values {rows};")  # noqa: S608

    def opt_out(patients: Sequence[str]) -> None:
        rows = ", ".join(
            f"('{patient:0>8}.0', 'fin', '{PURPOSE}', null, now(), null)" for patient in patients
        )
        server.execute(f"insert into consentimientos values {rows};")  # noqa: S608

    mapping: dict[str, Any] = {
        table: {"table": f"clinic.{name}", "columns": columns, "values": _words(columns, CODES)}
        for table, (name, columns) in SPANISH.items()
    }
    mapping["odbc"] = {"connection": server.connection, "dialect": "mariadb"}
    return OwnTables({"patient": {"column": "pat_no", "form": "number"}, "tables": mapping}, opt_out)


POSTGRESQL = """
create schema clinic;
create type clinic.channel as enum ('sms', 'email', 'portal', 'phone');
create table clinic.messages (patient uuid, decided_at timestamptz, outcome_at date, topic text,
    channel clinic.channel, tone text, length text, has_link boolean, engaged boolean);
create table clinic.patients (patient uuid, age smallint, sex char(1), language text, insurance text, employment text,
    diabetes boolean, hypertension boolean, distance_km numeric, daily_steps int);
create table clinic.consents (patient uuid, kind text, value text, granted_at date, withdrawn_at timestamptz,
    expires_at date);
"""


def in_postgresql(server: Server, tables: Rows) -> OwnTables:
    """Fill a database; an opt-out is a date written into the row of the consent."""
    server.execute(f"{POSTGRESQL} alter database postgres set timezone to '{ZONE}'")
    for table in SPANISH:
        columns = {name: name for name in SPANISH[table][1]}
        for rows in _values(tables[table], columns, {}):
            server.execute(f"insert into clinic.{table} values {rows}")  # noqa: S608

    def opt_out(patients: Sequence[str]) -> None:
        listed = ", ".join(f"'{patient}'" for patient in patients)
        row = f"kind = 'purpose' and value = '{PURPOSE}' and patient in ({listed})"
        server.execute(f"update clinic.consents set withdrawn_at = now() where {row}")  # noqa: S608

    mapping: dict[str, Any] = {table: {"table": f"clinic.{table}"} for table in SPANISH}
    mapping["messages"]["values"] = {"engaged": YES_NO}
    mapping["postgresql"] = server.uri
    return OwnTables({"patient": {"column": "patient", "form": "uuid"}, "tables": mapping}, opt_out)


def _words(
    columns: Mapping[str, str], codes: Mapping[str, Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    return {column: words for column, words in codes.items() if column in columns}


def _values(
    frame: pl.DataFrame, columns: Mapping[str, str], codes: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Rows as SQL, some at a time; every cell as a text that the column's type takes."""
    coded = frame.select(
        pl.col(column).replace({meaning: word for word, meaning in codes[column].items()})
        if column in codes
        else pl.col(column)
        for column in columns
    )
    written = [
        "(" + ", ".join("null" if cell is None else f"'{cell}'" for cell in row) + ")" for row in coded.rows()
    ]
    return [", ".join(written[at : at + _ROWS_AT_ONCE]) for at in range(0, len(written), _ROWS_AT_ONCE)]
