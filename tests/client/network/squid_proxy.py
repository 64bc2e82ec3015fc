"""A real squid for tests that call through a proxy: a tunnel, one that is spoken to over TLS, one that opens TLS."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardround.server.store.certificates import new_root, new_server
from wardround.simulations.loopback.federation import free_port

USER, PASSWORD = "node", "a secret: of the proxy's"
HELPERS = Path("/usr/lib/squid")
SETTINGS = """
http_port 127.0.0.1:{tunnel}
https_port 127.0.0.1:{tls} tls-cert={folder}/proxy.crt tls-key={folder}/proxy.key
http_port 127.0.0.1:{opening} ssl-bump tls-cert={folder}/root.crt tls-key={folder}/root.key
sslcrtd_program {helpers}/security_file_certgen -s {folder}/made -M 4MB
sslcrtd_children 1
acl first at_step SslBump1
acl second at_step SslBump2
ssl_bump peek first
ssl_bump stare second
ssl_bump bump all
tls_outgoing_options cafile={server_root}
auth_param basic program {helpers}/basic_ncsa_auth {folder}/users
auth_param basic children 1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
cache deny all
cache_mem 8 MB
pinger_enable off
shutdown_lifetime 0 seconds
"""


@dataclass
class Squid:
    """A proxy that runs. tunnel, tls, opening: its ports. root: the file of its certificate authority."""

    folder: Path
    tunnel: int
    tls: int
    opening: int

    @property
    def root(self):
        return self.folder / "root.crt"

    def calls(self):
        """What it carried, a line each."""
        log = self.folder / "access.log"
        return log.read_text().splitlines() if log.exists() else []


@contextlib.contextmanager
def started(server_root):
    """Give a proxy that is up; the test is skipped where squid is not installed. server_root: whom it trusts."""
    program = shutil.which("squid") or shutil.which("squid", path="/usr/sbin")
    if program is None or not (HELPERS / "security_file_certgen").exists():
        pytest.skip("squid with TLS is not installed (Debian: apt install squid-openssl)")
    # Not pytest's own folder: only root could enter it, and squid gives root up.
    with tempfile.TemporaryDirectory(prefix="wardround-squid-", ignore_cleanup_errors=True) as name:
        squid = Squid(Path(name), free_port(), free_port(), free_port())
        _settle(squid, server_root)
        user = "proxy" if os.geteuid() == 0 else None
        if user:
            for path in (squid.folder, *squid.folder.iterdir()):
                shutil.chown(path, user)
        make = [HELPERS / "security_file_certgen", "-c", "-s", squid.folder / "made", "-M", "4MB"]
        subprocess.run(make, user=user, cwd=squid.folder, check=True, capture_output=True, timeout=60)
        line = [program, "-N", "-f", squid.folder / "squid.conf"]
        with (squid.folder / "output").open("ab") as output:
            process = subprocess.Popen(line, user=user, cwd=squid.folder, stdout=output, stderr=output)
        try:
            _await(squid, process)
            yield squid
        finally:
            process.terminate()
            process.wait(30)


def _settle(squid, server_root):
    folder, now = squid.folder, datetime.now(UTC)
    root = new_root("Corporate root", now)
    for stem, pair in (("root", root), ("proxy", new_server(root, "127.0.0.1", now))):
        (folder / f"{stem}.crt").write_bytes(pair.certificate)
        (folder / f"{stem}.key").write_bytes(pair.key)
    shutil.copy(server_root, folder / "server.crt")
    hashed = subprocess.run(
        ["openssl", "passwd", "-5", "-stdin"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (folder / "users").write_text(f"{USER}:{hashed.stdout}")
    ports = {"tunnel": squid.tunnel, "tls": squid.tls, "opening": squid.opening}
    text = SETTINGS.format(folder=folder, helpers=HELPERS, server_root=folder / "server.crt", **ports)
    (folder / "squid.conf").write_text(text)


def _await(squid, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, (squid.folder / "output").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", squid.opening), 1):
            return
        time.sleep(0.05)
    raise AssertionError((squid.folder / "output").read_text())


def use(squid, folder, kind):
    """Have a SuperNode's folder name this proxy. kind: ``tunnel``, ``tls`` or ``opening``."""
    (folder / "proxy.credentials").write_text(f"{USER}:{PASSWORD}\n")
    (folder / "proxy.credentials").chmod(0o600)
    lines = [f"address: 127.0.0.1:{getattr(squid, kind)}", "credentials: proxy.credentials"]
    if kind != "tunnel":
        shutil.copy(squid.root, folder / "corporate.crt")
        lines += ["root_certificate: corporate.crt", "tls: true" if kind == "tls" else "intercepts: true"]
    (folder / "proxy.yaml").write_text("\n".join(lines))
