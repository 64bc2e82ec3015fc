"""The patients' page as a process of its own, while a machine opens hundreds of lines to it and says nothing."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.client.preferences.page import KEY, link, published
from tests.pages.in_chromium import free_port
from wardround.client.preferences.published import spelled
from wardround.server.store.certificates import new_root, new_server

MANY = 250  # more than the lines that wait
HALF = b"POST /p/x HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nhalf"


@contextmanager
def serving(folder: Path, port: int) -> Iterator[ssl.SSLContext]:
    """Run ``preferences serve`` over TLS; gives what trusts it."""
    root = new_root("a page", datetime.now(UTC))
    signed = new_server(root, "127.0.0.1", datetime.now(UTC))
    for name, content in (("page.pem", signed.certificate), ("page.key", signed.key)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    (folder / "page.yaml").write_text(f"listen: 127.0.0.1:{port}\ncertificate: page.pem\nkey: page.key\n")
    (folder / "spool").mkdir(mode=0o700)
    (folder / "preferences.json").write_bytes(spelled(published(url=f"https://127.0.0.1:{port}")))
    command = [
        sys.executable,
        "-P",
        "-m",
        "wardround.client.main",
        "preferences",
        "serve",
        f"--home={folder}",
    ]
    process = subprocess.Popen(command)
    try:
        for _ in range(600):
            assert process.poll() is None
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield ssl.create_default_context(cadata=root.certificate.decode())
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_patient_says_no_while_a_machine_holds_hundreds_of_lines(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port) as trust, ExitStack() as lines:

        def opened(said: bytes | None) -> None:
            line = lines.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            if said is not None:
                lines.enter_context(trust.wrap_socket(line, server_hostname="127.0.0.1")).sendall(said)

        for said in (None, b"", HALF, b"GET / HT"):  # without TLS, silent, half a form, half a line
            for _ in range(MANY):
                opened(said)
        fresh = link(last_day=datetime.now(UTC).date() + timedelta(days=60), key=KEY)
        patient = HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
        patient.request("GET", fresh)
        shown = patient.getresponse()
        shown.read()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"https://127.0.0.1:{port}",
        }
        patient.request("POST", fresh, b"stop=all", headers)
        said = patient.getresponse()
        said.read()
        patient.close()
        assert (shown.status, said.status) == (200, 200)
    assert len([one for one in (tmp_path / "spool").iterdir() if one.is_file()]) == 1
