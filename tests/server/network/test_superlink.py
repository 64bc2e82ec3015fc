"""A server that forgot the run: another is opened, where Flower would end the process. Nodes let in and shut out."""

import signal
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest
from flwr.supercore.constant import NodeStatus
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.protobuf import client as flowers
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.superlink.grid import HttpGrid

from wardround.server.network import superlink
from wardround.server.network.direct import call_directly
from wardround.server.network.study_calls import repeat_calls
from wardround.server.network.superlink import Reconciled, heartbeats, reconcile_nodes
from wardround.server.store.enrolled import Roll

ASKED = httpx.Request("POST", "https://127.0.0.1/v1/runtime/pull-messages")


def answered(status):
    return httpx.HTTPStatusError("said", request=ASKED, response=httpx.Response(status, request=ASKED))


@pytest.fixture
def interrupted():
    """Signals that came, of the kind that Flower sends to its own process."""
    came = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGINT, before)


def test_a_token_that_the_server_forgot_is_an_error_and_no_signal(interrupted):
    invoker = make_simple_http_retry_invoker()
    repeat_calls(invoker, listening=lambda: True)

    def ask():
        raise answered(401)

    with pytest.raises(httpx.HTTPStatusError):
        invoker.invoke(ask)
    assert interrupted == []


@pytest.mark.parametrize("error", [answered(401), answered(503), httpx.ConnectError("refused"), None])
def test_a_heartbeat_never_ends_the_process(error, interrupted):
    class Client:
        def SendTaskHeartbeat(self, request):  # noqa: N802 (Flower's name)
            if error is not None:
                raise error

    assert heartbeats(Client())()
    assert interrupted == []


def test_a_grids_calls_all_pass_by_the_one_invoker():
    grid = HttpGrid("127.0.0.1:1", root_certificates=None, token="t")
    assert grid._runtime_client._retry_invoker is grid._retry_invoker
    grid.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "no address"])
def test_our_own_calls_never_ask_a_proxy(variable, value, monkeypatch):
    """A proxy elsewhere would be asked for its own 127.0.0.1, or an odd variable end the command."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(flowers, "httpx", httpx)  # put back afterwards
    call_directly()
    grid = HttpGrid("127.0.0.1:1", root_certificates=None, token="t")
    assert grid._runtime_client._client._mounts == {}
    grid.close()
    assert flowers.httpx.Client.func is httpx.Client, "other code of this process keeps its proxy"


class Control:
    """Nodes as Flower 1.42 keeps them: one that was shut out stays listed, and neither goes nor comes again."""

    def __init__(self):
        self.nodes = {}

    def ListNodes(self, request):  # noqa: N802
        return SimpleNamespace(nodes_info=list(self.nodes.values()))

    def RegisterNode(self, request):  # noqa: N802
        assert request.public_key not in self.nodes
        node = SimpleNamespace(
            public_key=request.public_key, node_id=len(self.nodes) + 1, status=NodeStatus.REGISTERED
        )
        self.nodes[request.public_key] = node

    def UnregisterNode(self, request):  # noqa: N802
        (node,) = (node for node in self.nodes.values() if node.node_id == request.node_id)
        assert node.status != NodeStatus.UNREGISTERED
        node.status = NodeStatus.UNREGISTERED


def test_who_was_shut_out_stays_out_and_the_server_goes_on(monkeypatch):
    control, enrolled = Control(), {"north": "n", "south": "s"}
    monkeypatch.setattr(superlink, "_control", contextmanager(lambda home: iter([control])))
    monkeypatch.setattr(superlink, "node_key_bytes", str.encode)

    def reconciled(*unknown):
        hospitals = {name: SimpleNamespace(node_key=key) for name, key in enrolled.items()}
        return reconcile_nodes(None, Roll(hospitals, unknown))

    assert reconciled() == Reconciled(["north", "south"], [], [])
    del enrolled["south"]
    assert reconciled("south") == Reconciled([], [], [])  # its file is there, and cannot be read
    assert reconciled() == Reconciled([], ["2"], [])
    assert reconciled() == Reconciled([], [], [])  # as after a restart
    enrolled["south"] = "s"
    assert reconciled() == Reconciled([], [], ["south"])
    enrolled["south"] = "another"
    assert reconciled() == Reconciled(["south"], [], [])


def test_a_message_that_a_killed_server_forgot_half_of_makes_the_study_wait_and_not_end(monkeypatch):
    @contextmanager
    def run(_home, _file):
        yield

    monkeypatch.setattr(superlink, "_run", run)
    with (
        pytest.raises(superlink.ServerAway, match="takes no more parts of a message"),
        superlink.open_run(None, None),
    ):
        raise ObjectPushError("0" * 64, 1, "session")
