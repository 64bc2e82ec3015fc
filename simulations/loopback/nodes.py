"""Many hospitals in one process: ``python -P -m wardround.simulations.loopback.nodes HOME…``, until it is ended.

A hospital is three processes, and a hundred of them do not fit into one machine. Here each home has its real agent
(policy, ledger, tables, clipping, noise, masks), its own key, and its own lines to the server over TLS. What is said
on them is what a SuperNode says: Flower's own steps that fetch a message and send its answer, with what
``client.network`` sets otherwise. In the place of runner, shim and socket stands a call of a function; a server sees
none of these. Agents share one process, so what check_training finds for one is not computed again for all.
"""

import logging
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import httpx
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore import heartbeat
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.nodestate import NodeStateFactory

from wardround.client.agent import agent as agents
from wardround.client.agent.agent import Agent
from wardround.client.home.home import load_home
from wardround.client.network.long_look import LongLooks
from wardround.client.network.supernode import FOLDER, load_node_settings, node_private_key
from wardround.client.network.supernode_process import (
    ANSWER_SECONDS,
    FLOWERS_PAUSE_SECONDS,
    Pauses,
    calling_the_server,
    fetch_message,
    repeated_parts,
    set_calls,
    set_heartbeats,
)
from wardround.protocol.terms.terms import Terms

logger = logging.getLogger("wardround.nodes")

_AGAIN_SECONDS = 0.5
_ENDS = (signal.SIGTERM, signal.SIGINT)
with as_file(files("wardround.server.network").joinpath("shim/shim.py")) as _shim:
    # The shim is shipped as data, and no module of the package.
    request_of: Callable[[Message], bytes] = runpy.run_path(str(_shim))["request_of"]


class _OwnParts(threading.local):
    """The parts that the node of this thread remembers; each node fetches for itself, as if it were alone."""

    def __init__(self) -> None:
        self.fetch = repeated_parts()

    def __call__(self, object_ids: Sequence[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, bytes]:
        return self.fetch(object_ids, pull_object_fn)


class Node:
    """One hospital: its agent, and its SuperNode's half of the lines to the server."""

    def __init__(self, home: Path) -> None:
        """Open a home that has joined; ConfigurationError or LedgerError where it cannot be served."""
        opened = load_home(home)
        self._agent = Agent(opened, opened.open_ledger())
        self._settings = load_node_settings(home / FOLDER)
        self._looks = LongLooks()
        self._pauses = Pauses(lambda: None, held=lambda: self._looks.held)
        stores = ObjectStoreFactory()
        self._state, self._store = NodeStateFactory(stores).state(), stores.store()

    def connect(self) -> None:
        """Be let in by the server, which is told from then on that this node lives. One node after the other."""
        key = node_private_key(self._settings.folder)
        root = (self._settings.folder / "root.crt").read_bytes()
        with self._own_client():
            self._line = fleet_http_connection.http_request_response(
                self._settings.address, False, root, (key, key.public_key())
            )
            self._calls = self._line.__enter__()
        self._state.set_node_id(self._calls[0])

    @contextmanager
    def _own_client(self) -> Iterator[None]:
        """While Flower makes this node's client, the names that it looks up are this node's."""
        client, sender = httpx.Client, heartbeat.HeartbeatSender
        httpx.Client = calling_the_server(self._settings.folder, self._looks)  # type: ignore[misc]
        fleet_http_connection.HeartbeatSender = lambda beat: sender(self._looks.instead_of(beat))  # type: ignore[assignment, attr-defined]
        try:
            yield
        finally:
            httpx.Client, fleet_http_connection.HeartbeatSender = client, sender  # type: ignore[misc, attr-defined]

    def serve(self) -> None:
        """Answer messages for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Look once; answer the message that came, or pause."""
        _, receive, send, get_run, get_fab, pull_object, push_object, confirm = self._calls
        run = fetch_message(
            state=self._state, object_store=self._store, node_config={}, receive=receive, get_run=get_run,
            get_fab=get_fab, pull_object=pull_object, confirm_message_received=confirm, trusted_entities=None,
        )  # fmt: skip
        if run is None:
            self._pauses.sleep(FLOWERS_PAUSE_SECONDS)
            return
        for message in self._state.get_messages_legacy(is_reply=False):
            self._answer(message)
        self._pauses.sleep(ANSWER_SECONDS)
        start_client_internal._push_messages(self._state, self._store, send, push_object)

    def _answer(self, message: Message) -> None:
        """Do what runner and shim do: take the message's parts, ask the agent, lay down its answer to be sent."""
        number = message.metadata.message_id
        tree = self._store.get_object_tree(number)
        parts = {one.object_id: self._store.get(one.object_id) or b"" for one in iterate_object_tree(tree)}
        asked: Any = inflate_object_from_contents(number, parts)
        asked.metadata.__dict__["_message_id"] = number  # as Flower's own clients set it: replies name it
        self._state.record_message_processing_start(number)
        deadline = asked.metadata.created_at + asked.metadata.ttl
        answer = self._asked(request_of(asked), deadline)
        record = ConfigRecord({"late": True} if answer is None else {"answer": answer})
        reply = Message(RecordDict({"answer": record}), reply_to=asked)
        self._state.record_message_processing_end(number)
        self._store.delete(number)
        start_client_internal._insert_message(reply, self._state, self._store)

    def _asked(self, request: bytes, deadline: float) -> bytes | None:
        while time.time() < deadline:
            reply = self._agent.answer(request)
            if reply.payload is not None:
                return reply.payload
            time.sleep(_AGAIN_SECONDS)
        return None


def _checked_once(check: Callable[[Terms], float]) -> Callable[[Terms], float]:
    """Check each terms' training once for all agents of this process: seconds, and the same for all of them."""
    lock, found = threading.Lock(), dict[str, float]()

    def checked(terms: Terms) -> float:
        with lock:
            if terms.fingerprint not in found:
                found[terms.fingerprint] = check(terms)
            return found[terms.fingerprint]

    return checked


def main(homes: Sequence[str]) -> int:
    """Serve these homes until SIGTERM or SIGINT; 1 where one of them could not go on."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    # Before there are threads: they leave both signals to this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    set_heartbeats()
    set_calls(_OwnParts())
    agents.check_training = _checked_once(agents.check_training)  # type: ignore[assignment, attr-defined]
    agents.import_slow_parts()
    nodes = [Node(Path(home)) for home in homes]
    for node in nodes:
        node.connect()
        threading.Thread(target=_serve, args=(node,), daemon=True).start()
    signal.sigwait(_ENDS)
    # Held looks would keep it for 16 s; what is charged or released is on disk.
    os._exit(0)


def _serve(node: Node) -> None:
    try:
        node.serve()
    except BaseException:
        logger.exception("a hospital cannot go on")
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
