"""How each kind of database writes a name, and the length of a cell, in the one statement that is sent to it."""

from dataclasses import dataclass

from wardround.client.connectors.database import quoted

LONGEST_CELL = 2000
"""Characters (or bytes, by database) of a text that is read; a longer one counts as given and not readable."""

_TOO_LONG = "(too long)"


@dataclass(frozen=True)
class Dialect:
    """opening, closing: the quotes of a name. length, text: SQL of a cell's length and of the cell as text.

    typed: whether a column holds the type that it declares. SQLite's do not. timestamps: whether the driver states how
    long a time's text is; MariaDB's (3.1) cuts ``838:59:59`` short, and refuses fractions of a second.
    """

    opening: str = '"'
    closing: str = '"'
    length: str = "length({})"
    text: str = "{}"
    typed: bool = True
    timestamps: bool = True

    def name(self, name: str) -> str:
        """Quote a name."""
        if self.opening == self.closing:
            return quoted(name, self.opening)
        return self.opening + name.replace(self.closing, 2 * self.closing) + self.closing

    def place(self, name: str) -> str:
        """Quote ``schema.table``, each part by itself."""
        return ".".join(map(self.name, name.split(".")))

    def bounded(self, name: str, patient: bool) -> str:
        """Give the cell, or where it is too long a mark; null where it names the patient: a mark would be one."""
        cell = self.name(name)
        beyond = "NULL" if patient else f"'{_TOO_LONG}'"
        text, length = self.text.format(cell), self.length.format(cell)
        return f"CASE WHEN {length} <= {LONGEST_CELL} THEN {text} WHEN {cell} IS NOT NULL THEN {beyond} END"


DIALECTS = {
    "mariadb": Dialect("`", "`", "octet_length({})", "CAST({} AS CHAR)", timestamps=False),
    "sqlserver": Dialect("[", "]", "datalength({})"),
    "oracle": Dialect(),
    "db2": Dialect(),
    "snowflake": Dialect(),
    "postgresql": Dialect(length="octet_length({})"),
    "sqlite": Dialect(length="length(CAST({} AS BLOB))", text="CAST({} AS TEXT)", typed=False),
}
_DRIVERS = {
    "mariadb": ("maria", "maodbc", "mysql", "myodbc"),
    "sqlserver": ("sql server", "msodbcsql", "tdsodbc", "freetds"),
    "oracle": ("oracle", "sqora"),
    "db2": ("db2",),
    "snowflake": ("snowflake",),
    "postgresql": ("postgres", "psqlodbc"),
    "sqlite": ("sqlite",),
}


def dialect_of_driver(connection: str) -> str | None:
    """Tell the dialect by the driver that a connection string names; None where it names none that is known."""
    parts = [part.partition("=") for part in connection.lower().split(";")]
    drivers = [value for key, _, value in parts if key.strip() == "driver"]
    found = [
        dialect for dialect, words in _DRIVERS.items() for word in words if any(word in d for d in drivers)
    ]
    return found[0] if found else None
