"""A real PostgreSQL for tests that read one."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


@contextlib.contextmanager
def started():
    """Give a server that is up; the test is skipped where there is none to start."""
    pytest.importorskip("adbc_driver_postgresql")
    if not binary("initdb") or not binary("psql"):
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    # Not pytest's own folder: only root could enter it.
    with tempfile.TemporaryDirectory(prefix="wardround-pg-", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.kill()


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

    def execute(self, text, database="postgres"):
        place = ("-h", self.folder, "-U", "steward", "-d", database)
        self.run("psql", *place, "-v", "ON_ERROR_STOP=1", "-c", text)
