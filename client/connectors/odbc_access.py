"""How a database is reached by ODBC: what a hospital's mapping says under ``odbc``, the password elsewhere.

odbc: DSN=clinic;UID=wardround                   # or, with more to say:
odbc:
  connection: Driver=MariaDB Unicode;Server=db.example;Database=clinic;UID=wardround
  dialect: mariadb                               # needed where the connection names a DSN
  password_file: /run/credentials/odbc           # or password_variable: the name of an environment variable
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.client.connectors.odbc_dialects import DIALECTS, dialect_of_driver
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.section import Section

_LONGEST_CONNECTION, _LONGEST_PASSWORD = 2000, 10_000
_PASSWORD = re.compile(r"(^|;)\s*(pwd|password)\s*=", re.IGNORECASE)


@dataclass(frozen=True)
class OdbcAccess:
    """How a database is reached: connection string without a password, and by what its SQL is written.

    password_file, password_variable: where the password is, if one is needed.
    """

    connection: str = field(repr=False)
    dialect: str
    user: str | None = None
    password_file: Path | None = None
    password_variable: str | None = None

    def complete(self, environment: Mapping[str, str]) -> str:
        """Write the connection string with user and password, for one connection; it is never shown."""
        parts = [self.connection.rstrip("; ")]
        for key, value in (("UID", self.user), ("PWD", self._password(environment))):
            if value is not None:
                # In braces, by ODBC's rule: a ; in a password would end it there, and a } in it is doubled.
                parts.append(f"{key}={{{value.replace('}', '}}')}}}")
        return ";".join(parts) + ";"

    def _password(self, environment: Mapping[str, str]) -> str | None:
        if self.password_variable is not None:
            if self.password_variable not in environment:
                raise TableError(
                    f"ODBC: no environment variable {self.password_variable}; set the password there"
                )
            return environment[self.password_variable]
        if self.password_file is None:
            return None
        try:
            return read_bounded(self.password_file, _LONGEST_PASSWORD).decode().strip()
        except (OSError, ValueError) as error:
            raise TableError(
                f"ODBC: {self.password_file}: no password can be read there ({type(error).__name__})"
            ) from None


def odbc_access(mapping: Section, folder: Path) -> OdbcAccess:
    """Read the setting ``odbc`` of a mapping; paths are relative to ``folder``. ConfigurationError is one line."""
    plain = mapping.value("odbc")
    section = Section({"connection": plain} if isinstance(plain, str) else plain, f"{mapping.path}.odbc")
    connection = section.text("connection", most=_LONGEST_CONNECTION)
    if _PASSWORD.search(connection):
        # Not by fail(): the value would be shown.
        raise ConfigurationError(
            f"{section.path}.connection: holds a password; put it in a file, and its path in password_file"
        )
    dialect = dialect_of_driver(connection)
    if section.has("dialect") or dialect is None:
        dialect = section.choice("dialect", tuple(DIALECTS))
    named = section.optional_text("password_file", most=_LONGEST_CONNECTION)
    access = OdbcAccess(
        connection,
        dialect,
        user=section.optional_text("user"),
        password_file=None if named is None else folder / named,
        password_variable=section.optional_text("password_variable"),
    )
    section.finish()
    return access
