"""A real MariaDB for tests that read one by ODBC."""

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def odbc_driver(name):
    """Give the path of one of Debian's drivers; the test is skipped where it is not installed."""
    pytest.importorskip("arrow_odbc")
    found = glob.glob(f"/usr/lib/*/odbc/{name}")  # noqa: PTH207
    if not found:
        pytest.skip(f"{name} is not installed (scripts/install-parts.sh)")
    return found[0]


@contextlib.contextmanager
def started():
    """Give a server that is up; the test is skipped where there is none to start."""
    driver = odbc_driver("libmaodbc.so")
    if not shutil.which("mariadbd"):
        pytest.skip("MariaDB is not installed (scripts/install-parts.sh)")
    # Not pytest's own folder: only root could enter it.
    with tempfile.TemporaryDirectory(prefix="wardround-mdb-", ignore_cleanup_errors=True) as folder:
        server = MariaDb(Path(folder), driver)
        server.start()
        try:
            yield server
        finally:
            server.stop()


class MariaDb:
    """A throw-away server on a Unix socket, by another user where we are root."""

    def __init__(self, folder, driver):
        self.folder = folder
        self.user = "mysql" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.connection = f"Driver={driver};Socket={folder}/socket;User=root;Database=clinic"
        self.run("mariadb-install-db", f"--datadir={folder}/data", "--auth-root-authentication-method=normal")
        self.process = None

    def run(self, program, *arguments, sent=b"", check=True):
        line = [program, "--no-defaults", *arguments]
        with (self.folder / "output").open("ab") as output:
            return subprocess.run(
                line, input=sent, user=self.user, cwd=self.folder, check=check, stdout=output, stderr=output
            )

    def start(self):
        place = (f"--datadir={self.folder}/data", f"--socket={self.folder}/socket", "--skip-networking")
        small = ("--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0")
        with (self.folder / "log").open("ab") as log:
            line = ["setpriv", "--pdeathsig", "TERM", "mariadbd", "--no-defaults", *place, *small]
            self.process = subprocess.Popen(line, user=self.user, cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while self.run("mariadb-admin", *self._door(), "ping", check=False).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        self.execute("create database if not exists clinic character set utf8mb4", "mysql")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def execute(self, statement, database="clinic"):
        self.run(
            "mariadb", *self._door(), "--default-character-set=utf8mb4", database, sent=statement.encode()
        )

    def _door(self):
        return ("-uroot", f"--socket={self.folder}/socket")
