"""A running SuperLink under callers without a key, and under an enrolled hospital that lays down what it can.

Must show: 200 keyless callers leave memory within 100 MiB of idle, and it goes back. Figures: docs/reliability.md.
"""

import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import partial

import httpx
import pytest
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree, PushObjectRequest

from tests.server.network.live_superlink import MIB, provisioned, resident, settled, watched
from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.network.superlink import is_listening

pytestmark = [pytest.mark.slow, pytest.mark.flower]
CALLERS = 200
KINDS = ("node", "runtime", "chunked", "endless head", "many headers", "sent ahead", "silent", "no handshake")
PART = b"x" * MIB
CHUNK = b"%x\r\n%s\r\n" % (MIB, PART)


@pytest.fixture
def running(tmp_path):
    with provisioned(tmp_path).up() as live:
        yield live


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
        "many headers": b"POST " + path.encode() + b" HTTP/1.1\r\n" + b"a:b\r\n" * 60_000,
        "sent ahead": (b"POST " + path.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n") * 5000,
    }.get(kind, f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGEST_BODY - 1}\r\n"
          "Content-Type: application/protobuf\r\n\r\n".encode())  # fmt: skip
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", home.port), 10) as plain:
            plain.settimeout(2)
            while kind == "no handshake" and time.monotonic() < until:
                time.sleep(0.2)
            with trust.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                line.sendall(head)
                while time.monotonic() < until:
                    pour(line, kind)


def pour(line, kind):
    """Send as much as the line takes, as this kind of caller would."""
    if kind in {"silent", "many headers", "sent ahead"}:
        if kind != "silent" and not line.recv(1):
            raise OSError("hung up")
        time.sleep(0.2)
    else:
        line.sendall(CHUNK if kind == "chunked" else PART)


def test_200_keyless_callers_cost_less_than_100_mib_and_it_comes_back(running):
    """Of each kind in turn, at one SuperLink: what one kind leaves behind counts for the next.

    Meanwhile an honest hospital is answered.
    """
    home, pid = running.home, running.pid
    idle, peaks = resident(pid), {}
    with running.client() as client:
        honest = PullMessagesRequest(node=running.activate(client))
    for kind in KINDS:
        until = time.monotonic() + 4
        callers = [threading.Thread(target=keyless, args=(home, kind, until)) for _ in range(CALLERS)]
        with watched(pid) as peak:
            for caller in callers:
                caller.start()
            with running.client() as client:
                client.PullMessages(honest)
            for caller in callers:
                caller.join()
        peaks[kind] = peak[0] - idle
    after = settled(pid, idle + 20 * MIB)
    figures = ", ".join(f"{kind} +{peak / MIB:.0f}" for kind, peak in peaks.items())
    print(f"\nidle {idle / MIB:.0f} MiB; at the peak {figures}; after +{(after - idle) / MIB:.0f}")
    assert is_listening(home)
    assert max(peaks.values()) < 100 * MIB
    assert after < idle + 30 * MIB


def test_an_enrolled_hospital_has_one_large_body_at_a_time_and_lays_down_nothing_unasked(running):
    home, pid = running.home, running.pid
    database = home.folder / "superlink/state.sqlite"
    answers, refused, waited = [], [], []

    def push(make):
        with running.client() as client:
            try:
                answers.append(make(client))
            except httpx.HTTPStatusError as error:
                refused.append(error.response.status_code)
            except httpx.TimeoutException:  # kept in line, unread, for longer than Flower's client waits
                waited.append(True)

    with running.client() as client:
        node = running.activate(client)
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
    assert answers
    assert [answer.stored for answer in answers] == [False] * (6 - len(waited))
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
