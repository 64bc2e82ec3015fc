"""A real SuperLink: looks are held, calls in another node's name refused, and a stop waits for nobody's look."""

import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node

from tests.server.network.live_superlink import provisioned
from wardround.protocol.wire.held_look import HELD, LONGEST_HELD_SECONDS, WAIT
from wardround.server.network.fleet import PULL_MESSAGES
from wardround.server.network.superlink import connected_since

pytestmark = [pytest.mark.slow, pytest.mark.flower]


class Asks:
    """Has Flower's own client ask to be held, and keeps what the server says of it."""

    def __init__(self, wait):
        self.wait, self.held = wait, []

    def intercept(self, context, call_next):
        if self.wait:
            context.request.headers[WAIT] = "1"
        answer = call_next(context)
        self.held.append(HELD in answer.headers)
        return answer


def look(live, node, wait):
    """One look for messages; whether it was held."""
    asks = Asks(wait)
    with live.client() as client:
        client._interceptors = (*client._interceptors, asks)
        assert not client.PullMessages(PullMessagesRequest(node=node)).messages_list
    return asks.held == [True]


def test_calls_of_nodes_at_a_real_server(tmp_path):
    with provisioned(tmp_path).up() as live, live.client() as client:
        node = live.activate(client)
        assert look(live, node, wait=False) is False  # as a SuperNode of an earlier release
        beat = SendNodeHeartbeatRequest(node=node, heartbeat_interval=10)
        assert client.SendNodeHeartbeat(beat).success
        refused = {
            "another's number": lambda: client.PullMessages(
                PullMessagesRequest(node=Node(node_id=node.node_id + 1))
            ),
            "another's key": lambda: client.ActivateNode(
                ActivateNodeRequest(public_key=b"x", heartbeat_interval=30)
            ),
        }
        for call in refused.values():
            with pytest.raises(httpx.HTTPStatusError, match="401"):
                call()
        url = f"https://{live.home.local_address}{PULL_MESSAGES}"
        signed = client._interceptors[0]
        kinds = {"application/json": 415, "application/protobuf": 400}
        for kind, status in kinds.items():
            asked = client._client.build_request(
                "POST", url, content=b"\xff\xff", headers={"content-type": kind}
            )
            answer = signed.intercept(
                SimpleNamespace(request=asked), lambda c: client._client.send(c.request)
            )
            assert answer.status_code == status, answer.text
        # Together they outlast the heartbeat's 20 s: the node is there because the server notes that it waits.
        assert look(live, node, wait=True) is True
        assert look(live, node, wait=True) is True
        assert connected_since(live.home)["north"]
        held = threading.Thread(target=lambda: look(live, node, wait=True))
        held.start()
        time.sleep(1)
        begun = time.monotonic()
    # `up` has let its block end: 20 s are its bound for a stop, and a held look would take most of them.
    held.join(20)
    assert not held.is_alive()
    assert time.monotonic() - begun < LONGEST_HELD_SECONDS - 2
