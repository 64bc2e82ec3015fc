"""What one enrolled hospital may lay down in the SuperLink's database.

Flower 1.42 stores what any enrolled node pushes: messages that answer nothing, under the server's own name; a
second tree of parts for an answer that it has; a session for each call. Here a node lays down answers to
messages that it was asked, one tree of parts each, and what it has in the store at one time is bounded.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import PushObjectRequest, PushObjectResponse
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.utils import int64_to_uint64

from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.network.streamed_grid import LARGEST_PARTS

MOST_BYTES = 4 * LARGEST_BODY  # of one hospital's parts in the store at one time, over all studies
MOST_PARTS = 768  # likewise: answers that nobody has fetched yet
MOST_TRIES = 8  # of pushing one answer
_TRACKED = 4096  # answers of one hospital whose tries are remembered


@dataclass
class _Node:
    tries: dict[str, int] = field(default_factory=dict)
    trees: dict[str, frozenset[str]] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)


class Laid:
    """What each node has laid down since the SuperLink started. state: Flower's LinkState, asked for what stands."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """most_bytes: of one node's parts in the store at one time."""
        self._most_bytes = most_bytes
        self._nodes: dict[int, _Node] = {}
        self._lock = threading.Lock()

    def may_answer(self, request: PushMessagesRequest, state: Any) -> bool:
        """Return False for an answer that comes too late; HTTPException for what is none, or where too much stands.

        True: Flower may store it. Parts beyond the first tree of an answer, or beyond an honest answer's, are none.
        """
        if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
            raise HTTPException(400, "one answer at a time")
        metadata, number = request.messages_list[0].metadata, request.node.node_id
        tree = frozenset(one.object_id for one in iterate_object_tree(request.message_object_trees[0]))
        if metadata.src_node_id != number or not metadata.reply_to_message_id or len(tree) > LARGEST_PARTS:
            raise HTTPException(400, "not an answer of this node")
        asked = state.get_valid_message_ins(metadata.reply_to_message_id)
        if asked is None or int64_to_uint64(asked["dst_node_id"]) != number:
            return False
        with self._lock:
            self._note(self._nodes.setdefault(number, _Node()), metadata.reply_to_message_id, tree, state)
        return True

    def _note(self, node: _Node, asked: str, tree: frozenset[str], state: Any) -> None:
        tries = node.tries.get(asked, 0) + 1
        if tries > MOST_TRIES or node.trees.get(asked, tree) != tree:
            raise HTTPException(400, "this answer was given before")
        new = tree - node.parts.keys()
        if len(node.parts) + len(new) > MOST_PARTS:
            _forget_gone(node, state)
        if len(node.parts) + len(new) > MOST_PARTS:
            raise HTTPException(503, "too many answers of this node wait to be fetched")
        node.tries[asked], node.trees[asked] = tries, tree
        node.parts.update(dict.fromkeys(new, 0))
        for oldest in list(node.tries)[: len(node.tries) - _TRACKED]:
            del node.tries[oldest], node.trees[oldest]

    def may_store(self, request: PushObjectRequest, state: Any) -> bool:
        """Return False for a part of no answer; HTTPException where too many bytes stand. True: Flower may store it."""
        size = len(request.object_content)
        with self._lock:
            node = self._nodes.setdefault(request.node.node_id, _Node())
            # After a restart of the SuperLink parts are still missing of answers that it has.
            if request.object_id not in node.parts and state.object_store.get(request.object_id) != b"":
                return False
            node.parts.setdefault(request.object_id, 0)
            others = sum(node.parts.values()) - node.parts[request.object_id]
            if others + size > self._most_bytes:
                _forget_gone(node, state, but=request.object_id)
                others = sum(node.parts.values()) - node.parts[request.object_id]
            if others + size > self._most_bytes:
                raise HTTPException(503, "too many bytes of this node wait to be fetched")
            node.parts[request.object_id] = size
        return True


def _forget_gone(node: _Node, state: Any, but: str = "") -> None:
    """Forget the parts that are no longer in the store: fetched, or gone with their study's run."""
    node.parts = {one: size for one, size in node.parts.items() if one == but or one in state.object_store}


def hold(handlers: Any, laid: Laid) -> None:
    """Put the bounds before Flower's module of Fleet handlers, which its router looks up at each call."""
    push_messages, push_object = handlers.push_messages, handlers.push_object

    def bounded_push_messages(request: PushMessagesRequest, state: Any) -> Any:
        return (
            push_messages(request=request, state=state)
            if laid.may_answer(request, state)
            else PushMessagesResponse()
        )

    def bounded_push_object(request: PushObjectRequest, state: Any) -> Any:
        stored = laid.may_store(request, state)
        return push_object(request=request, state=state) if stored else PushObjectResponse(stored=False)

    handlers.push_messages, handlers.push_object = bounded_push_messages, bounded_push_object
