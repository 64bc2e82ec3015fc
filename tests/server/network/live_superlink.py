"""A real SuperLink behind its doorkeeper, on loopback, with one enrolled hospital; and what it takes of the machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PushMessagesRequest
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from flwr.supercore.inflatable.inflatable_object import get_object_id
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.server.main import main
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.simulations.loopback.federation import free_port

MIB = 2**20


@dataclass
class LiveSuperLink:
    """A running SuperLink. key: the enrolled hospital's. pid: of the SuperLink itself."""

    home: OperatorHome
    key: ec.EllipticCurvePrivateKey
    folder: Path
    pid: int = 0

    def client(self, address=None):
        """Flower's own client, with the hospital's key. address: where it calls; by default as our own commands."""
        signed = NodeAuthHttpInterceptor(self.key, self.key.public_key())
        root = self.home.tls("root.crt").read_bytes()
        return FleetHttpClient.from_server_address(address or self.home.local_address, False, root, [signed])

    def activate(self, client):
        """Be there; the hospital's node."""
        public = public_key_to_bytes(self.key.public_key())
        asked = ActivateNodeRequest(public_key=public, heartbeat_interval=30)
        return Node(node_id=client.ActivateNode(asked).node_id)

    @contextmanager
    def up(self, ready=b"north may connect", bind="127.0.0.1"):
        """Start it, as an operator does; its process ends with the block. ready: what it says then."""
        home = f"--home={self.home.folder}"
        line = [sys.executable, "-P", "-m", "wardround.server.main", "up", home, f"--bind={bind}"]
        log = self.folder / "up.log"
        with log.open("wb") as written:
            process = subprocess.Popen(line, stdout=written, stderr=written)
        try:
            self.pid = superlink(process.pid, log, ready)
            yield self
        finally:
            process.terminate()
            process.wait(20)

    def disk(self):
        """Bytes of all that it keeps on disk."""
        return sum(one.stat().st_size for one in (self.home.folder / "superlink").rglob("*") if one.is_file())


class AnsweringNode:
    """An enrolled node that answers what it is asked."""

    def __init__(self, live, client, run, node=None):
        # A node is not activated twice: soon after a restart it still counts as online, and Flower answers 412.
        self.node, self.client, self.run = node or live.activate(client), client, run

    def answer(self, asked, content, **metadata):
        """Push an answer and its one part; the part's push."""
        name = get_object_id(content)
        said = {
            "message_id": name, "src_node_id": self.node.node_id, "dst_node_id": 1, "run_id": self.run,
            "reply_to_message_id": asked, "created_at": time.time(), "ttl": 300.0, "message_type": "train",
        }  # fmt: skip
        message = ProtoMessage(metadata=Metadata(**(said | metadata)), content=ProtoRecordDict())
        pushed = self.client.PushMessages(
            PushMessagesRequest(
                node=self.node, messages_list=[message], message_object_trees=[ObjectTree(object_id=name)]
            )
        )
        return self.push(name, content, pushed.session_id)

    def push(self, name, content, session=""):
        part = PushObjectRequest(
            node=self.node, object_id=name, object_content=content, run_id=self.run, session_id=session
        )
        return self.client.PushObject(part)


def ask(grid, node, count):
    """As the operator, ask a node for so many answers."""
    plans = [RecordDict({"plan": ConfigRecord({"number": number})}) for number in range(count)]
    return list(grid.push_messages([Message(plan, node, "train", ttl=600.0) for plan in plans]))


def provisioned(folder, host="127.0.0.1"):
    """An operator's home with north enrolled; not started. host: as hospitals call it."""
    home, port = folder / "op", free_port()
    key = ec.generate_private_key(ec.SECP384R1())
    main(["provision", f"--home={home}", f"--address={host}:{port}", "--hospital=north", f"--out={folder}"])
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    asked = sign_join_request("north", public, new_key())
    save_signed(asked, folder / "north.request")
    request = f"--request={folder / 'north.request'}"
    main(["enrol", request, f"--home={home}", f"--fingerprint={asked.fingerprint}"])
    return LiveSuperLink(load_operator_home(home), key, folder)


@contextmanager
def standing_still(pid, seconds):
    """A process does nothing for so long; the block ends when it goes on."""
    os.kill(pid, signal.SIGSTOP)
    again = threading.Timer(seconds, os.kill, (pid, signal.SIGCONT))
    again.start()
    try:
        yield
    finally:
        again.join()


def superlink(parent, log, ready):
    deadline = time.monotonic() + 60
    while ready not in log.read_bytes():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


def resident(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def watched(pid):
    """The largest resident memory while the block runs, in ``[0]``."""
    peak, done = [0], threading.Event()

    def look():
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def settled(pid, bound):
    """Resident memory once it is below the bound, or after 20 s."""
    deadline = time.monotonic() + 20
    while resident(pid) > bound and time.monotonic() < deadline:
        time.sleep(0.1)
    return resident(pid)


def peak(pid):
    """The most that was ever resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
