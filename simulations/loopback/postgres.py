"""A throw-away PostgreSQL on a Unix socket, for one hospital of the loopback federation; never as root."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import polars as pl

from wardround.protocol.errors import ConfigurationError

USER = "steward"
_START_SECONDS, _STOP_SECONDS, _LOOK_SECONDS = 60.0, 60.0, 0.1


def program(name: str) -> str | None:
    """Find one of PostgreSQL's programs, as Debian installs them or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def installed() -> bool:
    """Tell whether a server can be started here (scripts/install-parts.sh installs one)."""
    return all(program(name) for name in ("initdb", "postgres", "pg_isready", "psql"))


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
        self._server = self._start()
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
        self._server.send_signal(signal.SIGINT)  # fast: whoever is connected is hung up on
        self._server.wait(_STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the server itself, not by pg_ctl, which would leave it behind where this process is killed."""
        # No TCP port to collide with, and no wait for a disk: the cluster is thrown away.
        place = ("-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off")
        # setpriv (util-linux) is protocol.exit_with_parent for another user: a change of user unties.
        line = ["setpriv", "--pdeathsig", "INT", str(program("postgres")), *map(str, place)]
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(
                line, user=self._user, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while server.poll() is None and time.monotonic() < deadline:
            with suppress(subprocess.CalledProcessError):
                self._run("pg_isready", "-q", "-h", self.folder)
                return server
            time.sleep(_LOOK_SECONDS)
        server.kill()
        raise ConfigurationError(f"postgresql: does not start: {(self.folder / 'log').read_text()[-2000:]}")

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
