"""A throw-away PostgreSQL on a Unix socket, for one hospital of the loopback federation; never as root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import polars as pl

from protocol.errors import ConfigurationError

USER = "steward"


def program(name: str) -> str | None:
    """Find one of PostgreSQL's programs, as Debian installs them or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def installed() -> bool:
    """Tell whether a server can be started here (scripts/install-parts.sh installs one)."""
    return all(program(name) for name in ("initdb", "pg_ctl", "psql"))


class ThrowAwayPostgres:
    """A cluster in a new folder of its own. PostgreSQL refuses to run as root: there it runs as ``postgres``."""

    def __init__(self) -> None:
        """Make the cluster and start it."""
        if not installed():
            raise ConfigurationError("postgresql: is not installed; scripts/install-parts.sh")
        # Not below the home: the server's user must be able to enter the folder.
        self.folder = Path(tempfile.mkdtemp(prefix="wardround-pg-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", USER, "--no-sync")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run(
            "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start"
        )
        self.uri = f"postgresql:///postgres?host={self.folder}&user={USER}"

    def load(self, tables: Path) -> list[str]:
        """Copy each CSV file of a folder into a table of text columns; gives the tables' names."""
        names = []
        for path in sorted(tables.glob("*.csv")):
            columns = ", ".join(f'"{name}" text' for name in pl.read_csv(path, n_rows=0).columns)
            self._psql(f'create table "{path.stem}" ({columns})')
            with path.open("rb") as rows:
                self._psql(f'copy "{path.stem}" from stdin with (format csv, header)', rows.read())
            names.append(path.stem)
        return names

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "fast", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _psql(self, statement: str, sent: bytes | None = None) -> None:
        place = ("-h", self.folder, "-U", USER, "-d", "postgres")
        self._run("psql", "-q", *place, "-v", "ON_ERROR_STOP=1", "-c", statement, sent=sent)

    def _run(self, name: str, *arguments: object, sent: bytes | None = None) -> None:
        line = [str(program(name)), *map(str, arguments)]
        with (self.folder / "output").open("ab") as output:  # a server that starts keeps a pipe open for ever
            subprocess.run(
                line,
                input=sent or b"",
                user=self._user,
                cwd=self.folder,
                check=True,
                stdout=output,
                stderr=output,
            )
