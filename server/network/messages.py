"""The server's half of the converter between what is asked and answered, and Flower's messages.

The bytes are those of ``protocol.wire.wire``; Flower's records only hold them. A plan is cut in two, its header
and its weights, so that all plans of a round share one Flower array, which Flower sends and stores once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.sum_wire import SumRequest


class Asked(Protocol):
    """What is asked of one hospital: a plan, or a request of a secure sum."""

    @property
    def hospital(self) -> str:
        """Name the hospital."""


Question = TypeVar("Question", bound=Asked, contravariant=True)
Answered = TypeVar("Answered", covariant=True)


class MessageCodec(Protocol[Question, Answered]):
    """How a server writes what it asks of hospitals, and reads what comes back."""

    def write(self, asks: Sequence[Question], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Write one message for each to its hospital's node, to be dropped after ``seconds``."""

    def read(self, message: Message, hospital: str) -> Answered:
        """Read the reply of one hospital's node; never raises, whatever it holds."""


def messages_of(
    plans: Sequence[RoundPlan], heads: Sequence[dict[str, bytes]], nodes: Mapping[str, int], seconds: float
) -> list[Message]:
    """Write messages that each hold a head of their own, and share one array of weights."""
    if not plans:
        return []
    data = np.ascontiguousarray(plans[0].weights, dtype="<f4").tobytes()
    # Raw numbers under a type of our own: nobody will take them for .npy, whose header is parsed as Python.
    weights = ArrayRecord({"weights": Array("float32", plans[0].weights.shape, "float32.le", data)})
    return [
        _message(head, weights, nodes[plan.hospital], plan.round, seconds)
        for plan, head in zip(plans, heads, strict=True)
    ]


MOST_IN_HEAD = 2**20
"""Bytes of a request that travel in its head. Flower stores and fetches a message part by part, a request each."""


def sum_message(request: SumRequest, head: bytes, node: int, seconds: float) -> Message:
    """Write one request of a secure sum; where a plan has its weights stands its body, or nothing.

    The shim, which joins the two, is one for both. A small body stands in the head: then all messages share their empty
    array, and the SuperLink handles fewer parts of each.
    """
    small = len(request.body) <= MOST_IN_HEAD
    data, first = (b"", head + request.body) if small else (request.body, head)
    array = ArrayRecord({"weights": Array("uint8", (len(data),), "uint8.raw", data)})
    return _message({"head": first}, array, node, request.round, seconds)


def _message(
    head: Mapping[str, bytes], body: ArrayRecord, node: int, round_number: int, seconds: float
) -> Message:
    content = RecordDict({"plan": ConfigRecord(dict(head)), "weights": body})
    return Message(content, node, MessageType.TRAIN, ttl=seconds, group_id=str(round_number))
