"""A running SuperLink under callers without a key, and under an enrolled hospital that lays down what it can.

Must show: 200 keyless callers leave memory within 100 MiB of idle, and it goes back. Figures: docs/reliability.md.
"""

import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PushMessagesRequest
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import new_key
from wardround.server.main import main
from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.network.superlink import is_listening
from wardround.server.store.operator_home import load_operator_home

pytestmark = [pytest.mark.slow, pytest.mark.flower]
CALLERS, MIB = 200, 2**20
PART = b"x" * MIB
CHUNK = b"%x\r\n%s\r\n" % (MIB, PART)


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@pytest.fixture
def running(tmp_path):
    """A served study with one enrolled hospital: its home, the hospital's node key, and the SuperLink's number."""
    home, port = tmp_path / "op", free_port()
    key = ec.generate_private_key(ec.SECP384R1())
    main(
        [
            "provision",
            f"--home={home}",
            f"--address=127.0.0.1:{port}",
            "--hospital=north",
            f"--out={tmp_path}",
        ]
    )
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    asked = sign_join_request("north", public, new_key())
    save_signed(asked, tmp_path / "north.request")
    main(
        [
            "enrol",
            f"--request={tmp_path / 'north.request'}",
            f"--home={home}",
            f"--fingerprint={asked.fingerprint}",
        ]
    )
    line = [sys.executable, "-P", "-m", "wardround.server.main", "up", f"--home={home}"]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log)
    try:
        yield load_operator_home(home), key, superlink(process.pid, tmp_path / "up.log")
    finally:
        process.terminate()
        process.wait(20)


def superlink(parent, log):
    deadline = time.monotonic() + 60
    while b"north may connect" not in log.read_bytes():
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


def keyless(home, kind, until):
    """Be one caller without an enrolled key, again and again until ``until``."""
    trust = ssl.create_default_context(cafile=str(home.tls("root.crt")))
    path = {"node": "/v1/fleet/push-object", "runtime": "/v1/runtime/push-object"}.get(
        kind, "/v1/fleet/push-object"
    )
    head = {
        "endless head": b"POST " + path.encode() + b" HTTP/1.1\r\nx: ",
        "chunked": f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
        "silent": b"",
    }.get(kind, f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGEST_BODY - 1}\r\n"
          "Content-Type: application/protobuf\r\n\r\n".encode())  # fmt: skip
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", home.port), 10) as plain:
            plain.settimeout(2)
            with trust.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                line.sendall(head)
                while time.monotonic() < until:
                    pour(line, kind)


def pour(line, kind):
    """Send as much as the line takes, as this kind of caller would."""
    if kind == "silent":
        time.sleep(0.2)
    else:
        line.sendall(CHUNK if kind == "chunked" else PART)


def test_200_keyless_callers_cost_less_than_100_mib_and_it_comes_back(running):
    """Of each kind in turn, at one SuperLink: what one kind leaves behind counts for the next."""
    home, _, pid = running
    idle, peaks = resident(pid), {}
    for kind in ("node", "runtime", "chunked", "endless head", "silent"):
        until = time.monotonic() + 4
        callers = [threading.Thread(target=keyless, args=(home, kind, until)) for _ in range(CALLERS)]
        with watched(pid) as peak:
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
        peaks[kind] = peak[0] - idle
    after = settled(pid, idle + 20 * MIB)
    figures = ", ".join(f"{kind} +{peak / MIB:.0f}" for kind, peak in peaks.items())
    print(f"\nidle {idle / MIB:.0f} MiB; at the peak {figures}; after +{(after - idle) / MIB:.0f}")
    assert is_listening(home)
    assert max(peaks.values()) < 100 * MIB
    assert after < idle + 100 * MIB


def test_an_enrolled_hospital_has_one_large_body_at_a_time_and_lays_down_nothing_unasked(running):
    home, key, pid = running
    root = home.tls("root.crt").read_bytes()
    database = home.folder / "superlink/state.sqlite"
    answers, refused = [], []

    def push(make):
        signed = NodeAuthHttpInterceptor(key, key.public_key())
        with FleetHttpClient.from_server_address(home.local_address, False, root, [signed]) as client:
            try:
                answers.append(make(client))
            except httpx.HTTPStatusError as error:
                refused.append(error.response.status_code)

    public = public_key_to_bytes(key.public_key())
    push(lambda one: one.ActivateNode(ActivateNodeRequest(public_key=public, heartbeat_interval=30)))
    node = Node(node_id=answers.pop().node_id)
    large = PushObjectRequest(
        node=node, object_id="ab" * 32, object_content=bytes(LARGEST_BODY - MIB), run_id=1
    )
    threads = [threading.Thread(target=push, args=(lambda one: one.PushObject(large),)) for _ in range(6)]
    threads += [threading.Thread(target=push, args=(partial(unasked, node),)) for _ in range(4)]
    idle, before = resident(pid), database.stat().st_size
    with watched(pid) as peak:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    after = settled(pid, idle + 50 * MIB)
    print(
        f"\nidle {idle / MIB:.0f} MiB; at the peak +{(peak[0] - idle) / MIB:.0f}; after +{(after - idle) / MIB:.0f}"
    )
    assert [answer.stored for answer in answers] == [False] * 6
    assert refused == [400] * 4
    assert peak[0] < idle + 6 * LARGEST_BODY
    assert after < idle + 100 * MIB
    assert database.stat().st_size < before + MIB


def unasked(node, client):
    """Push a message to another node under the server's own name."""
    message = ProtoMessage(metadata=Metadata(message_id="m", src_node_id=1, dst_node_id=2, run_id=1))
    return client.PushMessages(
        PushMessagesRequest(node=node, messages_list=[message], message_object_trees=[ObjectTree()])
    )
