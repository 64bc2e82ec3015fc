"""What one enrolled hospital may lay down in the SuperLink's database.

Flower 1.42 stores what any enrolled node pushes: messages that answer nothing, under the server's own name; a
second tree of parts for an answer that it has; a session for each call. Here a node lays down answers to
messages that it was asked (``answer``), one tree of parts each, and what it has in the store at one time is
bounded, also across restarts.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import PushObjectRequest, PushObjectResponse

from wardround.server.network.answer import check_answer, check_part_name, parts_of
from wardround.server.network.doorkeeper import LARGEST_BODY
from wardround.server.network.laid_record import LaidRecord

MOST_BYTES = 4 * LARGEST_BODY  # of one hospital's parts in the store at one time, over all studies
MOST_PARTS = 768  # likewise: answers that nobody has fetched yet
MOST_TRIES = 8  # of pushing one answer
_TRACKED = 4096  # answers of one hospital whose tries are remembered


@dataclass
class _Node:
    parts: dict[str, int]  # bytes of each; 0 until it arrives
    tries: dict[str, int] = field(default_factory=dict)
    trees: dict[str, frozenset[str]] = field(default_factory=dict)


class Laid:
    """What each node has laid down. state: Flower's LinkState, asked for what stands."""

    def __init__(self, record: LaidRecord | None = None, most_bytes: int = MOST_BYTES) -> None:
        """record: what outlives this process. most_bytes: of one node's parts in the store at one time."""
        self._record, self._most_bytes = record or LaidRecord(), most_bytes
        self._nodes: dict[int, _Node] = {}
        self._lock = threading.Lock()

    def may_answer(self, request: PushMessagesRequest, state: Any) -> bool:
        """Return True if Flower may store this answer, False if it comes too late.

        HTTPException where it is no answer (its parts are not those of its first try, or more than an honest answer
        has), or where too many parts of this node wait already.
        """
        asked = check_answer(request, state)
        if asked is None:
            return False
        with self._lock:
            self._note(request.node.node_id, str(asked["message_id"]), parts_of(request), state)
        return True

    def _note(self, number: int, asked: str, tree: frozenset[str], state: Any) -> None:
        node = self._node(number)
        tries = node.tries.get(asked, 0) + 1
        if tries > MOST_TRIES or node.trees.get(asked, tree) != tree:
            raise HTTPException(400, "this answer was given before")
        new = tree - node.parts.keys()
        if len(node.parts) + len(new) > MOST_PARTS:
            self._forget_gone(number, state)
        if len(node.parts) + len(new) > MOST_PARTS:
            raise HTTPException(503, "too many answers of this node wait to be fetched")
        node.tries[asked], node.trees[asked] = tries, tree
        self._record.write(number, new)
        node.parts.update(dict.fromkeys(new, 0))
        for oldest in list(node.tries)[: len(node.tries) - _TRACKED]:
            del node.tries[oldest], node.trees[oldest]

    def may_store(self, request: PushObjectRequest, state: Any) -> bool:
        """Return True if Flower may store this part, False if it is of no answer; HTTPException: too many bytes."""
        part, number, size = request.object_id, request.node.node_id, len(request.object_content)
        with self._lock:
            node = self._node(number)
            if part not in node.parts:
                return False
            # A part is stored once. Were a later push of it counted in its place, an empty one would
            # make room for another large part, without end.
            size = max(size, node.parts[part])
            if _others(node, part) + size > self._most_bytes:
                self._forget_gone(number, state, but=part)
            if _others(node, part) + size > self._most_bytes:
                raise HTTPException(503, "too many bytes of this node wait to be fetched")
            self._record.write(number, [part], size)
            node.parts[part] = size
        return True

    def _node(self, number: int) -> _Node:
        if number not in self._nodes:
            self._nodes[number] = _Node(self._record.parts(number))
        return self._nodes[number]

    def _forget_gone(self, number: int, state: Any, but: str = "") -> None:
        """Forget the parts that are no longer in the store: fetched, or gone with their study's run."""
        node = self._node(number)
        gone = [part for part in node.parts if part != but and part not in state.object_store]
        self._record.forget(number, gone)
        for part in gone:
            del node.parts[part]


def _others(node: _Node, part: str) -> int:
    return sum(node.parts.values()) - node.parts[part]


def hold(handlers: Any, laid: Laid) -> None:
    """Put the bounds before Flower's module of Fleet handlers, which its router looks up at each call."""
    push_messages, push_object = handlers.push_messages, handlers.push_object

    def bounded_push_messages(request: PushMessagesRequest, state: Any) -> Any:
        if not laid.may_answer(request, state):
            return PushMessagesResponse()
        stored = push_messages(request=request, state=state)
        # Flower keeps a plan, with the round's weights, until its node confirms it. Who answers has read it.
        state.object_store.delete(request.messages_list[0].metadata.reply_to_message_id)
        return stored

    def bounded_push_object(request: PushObjectRequest, state: Any) -> Any:
        stored = laid.may_store(request, state)
        return push_object(request=request, state=state) if stored else PushObjectResponse(stored=False)

    handlers.push_messages, handlers.push_object = bounded_push_messages, bounded_push_object
    # Flower writes these names into its log as they came.
    for name, field_name in (
        ("pull_object", "object_id"),
        ("get_fab", "hash_str"),
        ("confirm_message_received", "message_object_id"),
    ):
        setattr(handlers, name, _named(getattr(handlers, name), field_name))


def _named(handler: Any, field_name: str) -> Any:
    def checked(request: Any, **others: Any) -> Any:
        check_part_name(getattr(request, field_name))
        return handler(request=request, **others)

    return checked
