"""What a node pushes as an answer, held to what it was asked, before Flower stores or logs any of it.

Flower 1.42 takes times that are no numbers: the database keeps nothing in their place, and from then on the
operator can fetch nobody's answers. It writes names and types into its log as they came.
"""

import math
import re
from typing import Any

from fastapi import HTTPException
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.utils import int64_to_uint64

from wardround.server.network.streamed_grid import LARGEST_PARTS

MOST_REASON = 1000  # characters of why a node failed
_PART = re.compile("[0-9a-f]{64}")


def check_part_name(name: str) -> None:
    """HTTPException where ``name`` is not the digest that Flower names its parts by."""
    if not _PART.fullmatch(name):
        raise HTTPException(400, "not the name of a part")


def parts_of(request: PushMessagesRequest) -> frozenset[str]:
    """Give the names of an answer's parts."""
    return frozenset(one.object_id for one in iterate_object_tree(request.message_object_trees[0]))


def check_answer(request: PushMessagesRequest, state: Any) -> dict[str, Any] | None:
    """Give the message that this request answers; None where it is over; HTTPException where it is no answer.

    What Flower would add up over all nodes, and the reason of a failure beyond MOST_REASON, are taken out.
    """
    if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
        raise HTTPException(400, "one answer at a time")
    message, number = request.messages_list[0], request.node.node_id
    _check_form(message, request)
    asked: dict[str, Any] | None = state.get_valid_message_ins(message.metadata.reply_to_message_id)
    # Flower's database keeps its unsigned numbers as signed ones of 64 bits.
    if asked is None or int64_to_uint64(asked["dst_node_id"]) != number:
        return None
    same_run = int64_to_uint64(asked["run_id"]) == message.metadata.run_id
    if not same_run or message.metadata.message_type != asked["message_type"]:
        raise HTTPException(400, "not an answer to what was asked")
    del request.clientapp_runtime_list[:]
    if message.HasField("error"):
        message.error.reason = message.error.reason[:MOST_REASON]
    return asked


def _check_form(message: Message, request: PushMessagesRequest) -> None:
    metadata, tree = message.metadata, request.message_object_trees[0]
    parts = parts_of(request)
    for name in (*parts, metadata.message_id, metadata.reply_to_message_id):
        check_part_name(name)
    if (
        metadata.src_node_id != request.node.node_id
        or metadata.message_id != tree.object_id
        or len(parts) > LARGEST_PARTS
        or len(metadata.group_id) > 20  # the number of a round
        or message.content.ByteSize()  # what is answered comes as parts
        or not (math.isfinite(metadata.created_at) and math.isfinite(metadata.ttl))
    ):
        raise HTTPException(400, "not an answer of this node")
