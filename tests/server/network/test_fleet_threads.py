"""How many of Fleet's calls are handled at one time, whoever many call: SQLite lets one write, and loses patience."""

import asyncio
import threading
import time

from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.node_pb2 import Node
from flwr.superlink.servicer.fleet import fleet_handlers

from wardround.server.network.doorkeeper import CALLER
from wardround.server.network.fleet import THREADS, Fleet
from wardround.server.network.held_looks import HeldLooks

CALLS = 30
KEY = b"key"


class State:
    """Knows one node."""

    object_store = None

    def get_node_id_by_public_key(self, key):
        return 7 if key == KEY else None


async def beat(fleet):
    """One heartbeat; the status that answers it."""
    body = SendNodeHeartbeatRequest(node=Node(node_id=7), heartbeat_interval=10).SerializeToString()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/fleet/send-node-heartbeat",
        "headers": [(b"content-type", b"application/protobuf")],
        CALLER: KEY,
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    await fleet(scope, receive, send)
    return sent[0]["status"]


def test_calls_are_handled_a_few_at_a_time_and_all_of_them(monkeypatch):
    under_way, most, lock = 0, 0, threading.Lock()

    def handle(request, state):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return SendNodeHeartbeatResponse(success=True)

    monkeypatch.setattr(fleet_handlers, "send_node_heartbeat", handle)

    async def run():
        fleet = Fleet(None, State, HeldLooks())
        return await asyncio.gather(*(beat(fleet) for _ in range(CALLS)))

    assert asyncio.run(run()) == [200] * CALLS
    assert 1 < most <= THREADS
