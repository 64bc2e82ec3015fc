"""The real parts of the month: server, hospitals' homes and agents, a proxy, a mail server and a webhook."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from tests.client.small_hospital import Hospital, small_terms
from tests.http_server import Quiet, serving
from tests.protocol.alerts.test_senders import mail_server
from wardround.client.home.home import load_home
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import load_node_settings, node_private_key, node_public_key
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.server.main import main
from wardround.server.network.superlink import is_listening
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.certificates import Signed, new_server
from wardround.simulations.loopback.federation import free_port

REAL_SECONDS = 60.0
ALERTS = """\
mail: {{server: "{mail}", security: none, from: wardround@site.example}}
recipients:
  it: {{email: it@site.example, events: all}}
  night: {{webhook: "{hook}", events: all}}
"""


class Server:
    """The operator's home, and ``wardround-serve up`` over it, which logs JSON."""

    def __init__(self, folder: Path, certificate_days: float) -> None:
        self.home = begin_operator_home(folder / "op", f"127.0.0.1:{free_port()}")
        self.log = folder / "up.log"
        root = Signed(self.home.tls("root.crt").read_bytes(), self.home.tls("root.key").read_bytes())
        made = datetime.now(UTC) - timedelta(days=397 - certificate_days)
        pair = new_server(root, "127.0.0.1", made)
        self.home.tls("server.crt").write_bytes(pair.certificate)
        self.home.tls("server.key").write_bytes(pair.key)

    def enrol(self, hospital: str, node: Path) -> None:
        request = sign_join_request(hospital, node_public_key(node), new_key())
        save_signed(request, self.home.folder / "hospitals" / f"{hospital}.json")

    def start(self) -> None:
        line = [sys.executable, "-P", "-m", "wardround.server.main", "up", f"--home={self.home.folder}"]
        with self.log.open("ab") as log:
            environment = {**os.environ, "WARDROUND_LOG": "json"}
            self.process = subprocess.Popen(line, stdout=log, stderr=log, env=environment)
        await_real(lambda: is_listening(self.home), self.log)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def command(self, word: str, *more: str) -> None:
        assert main([word, f"--home={self.home.folder}", *more]) == 0


@dataclass
class Site:
    """One hospital: a home with tables, ledger and policy, an agent's socket, and a node that is not Flower's."""

    name: str
    hospital: Hospital
    server: Server
    node_id: int = 0
    rounds: int = 0
    door: Any = None
    free_bytes: int = 2**40
    nodes: Path = field(init=False)

    def __post_init__(self) -> None:
        folder = self.hospital.folder
        self.hospital.terms = self.new_terms("tea")
        self.hospital.approve()
        self.hospital.stop()
        self.nodes = folder / "supernode"
        self.server.enrol(self.name, self.nodes)
        shutil.copy(self.server.home.tls("root.crt"), self.nodes / "root.crt")
        self.call_at(self.server.home.address)

    def call_at(self, address: str) -> None:
        """Have this hospital call its server at another address."""
        plain = {
            "hospital": self.name,
            "address": address,
            "socket": str(load_home(self.hospital.folder).socket),
        }
        (self.nodes / "settings.json").write_text(json.dumps(plain))

    def open_agent(self) -> None:
        path = load_home(self.hospital.folder).socket
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.door.bind(str(path))
        self.door.listen()

    def close_agent(self) -> None:
        if self.door is not None:
            self.door.close()
            self.door = None

    def connect(self) -> None:
        """Come to the server over the wire, as a SuperNode does; Flower then awaits a heartbeat in half an hour."""
        with self._client() as client:
            public = public_key_to_bytes(node_private_key(self.nodes).public_key())
            asked = ActivateNodeRequest(public_key=public, heartbeat_interval=1800)
            self.node_id = client.ActivateNode(asked).node_id

    def disconnect(self) -> None:
        with self._client() as client:
            client.DeactivateNode(DeactivateNodeRequest(node_id=self.node_id))

    @contextmanager
    def _client(self):
        key = node_private_key(self.nodes)
        signed = NodeAuthHttpInterceptor(key, key.public_key())
        root, address = self.server.home.tls("root.crt").read_bytes(), self.server.home.local_address
        client = FleetHttpClient.from_server_address(address, False, root, [signed])
        try:
            yield client
        finally:
            client.close()

    def is_let_in(self) -> bool | None:
        return look_at_server(load_node_settings(self.nodes)).enrolled

    def new_terms(self, study: str) -> Terms:
        """Terms of another study, for this hospital to decide on."""
        training = {"rounds": 12, "public_patients": {self.name: 40}}
        return small_terms(study=study, training=training)

    def compute_round(self) -> None:
        """Have the real agent answer the next round."""
        self.rounds += 1
        self.hospital.released(self.rounds)
        self.hospital.stop()


class Proxy:
    """A CONNECT proxy that can be shut: it carries bytes, and nothing else."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.open, self.carried = self.listener.getsockname()[1], True, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                threading.Thread(target=self._carry, args=(line,), daemon=True).start()

    def _carry(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += line.recv(4096) or b"\r\n\r\n"
            if not self.open:
                line.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self.carried += 1
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pour, args=(far, line), daemon=True)
                back.start()
                _pour(line, far)
                back.join(5)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(2**16):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


class Arrived:
    """What reached people: by source, event and subject at the webhook, by source and event in e-mails."""

    def __init__(self) -> None:
        self.hooked: Counter[tuple[str, str, str]] = Counter()
        self.mails: list[object] = []

    def mailed(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for _, mail in self.mails:
            said = re.search(r"\[(wardround .+?)\]", mail["Subject"])
            assert said is not None, mail["Subject"]
            source = said[1]
            found.update((source, event) for event in re.findall(r"(?m)^\(event (\w+)", mail.get_content()))
        return found


@contextmanager
def people():
    """A mail server and a webhook, real both; gives what arrives, and the text of alerts.yaml that names them."""
    arrived = Arrived()

    class Hook(Quiet):
        def take(self) -> None:
            plain = json.loads(self.body())
            for alert in plain["alerts"]:
                subject = alert["subject"].partition(" since ")[0]  # noise alone: the agent's own time
                arrived.hooked[plain["source"], alert["event"], subject] += 1
            self.answer(204)

    with serving(Hook) as url, mail_server() as mail:
        arrived.mails = mail.mails
        yield arrived, ALERTS.format(mail=mail.address, hook=f"{url}/x")


def await_real(holds, log: Path) -> None:
    """Wait, in real time, for something of a real process."""
    deadline = time.monotonic() + REAL_SECONDS
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
