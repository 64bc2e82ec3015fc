"""The server's half of the converter between plans and releases and Flower's messages.

The bytes are those of ``protocol.wire.wire``; Flower's records only hold them. A plan is cut in two, its header
and its weights, so that all plans of a round share one Flower array, which Flower sends and stores once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.server.algorithm.screen import NoRelease


class MessageCodec(Protocol):
    """How a server writes the plans of a round, and reads what comes back."""

    def write(self, plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Write one message per plan to its hospital's node, to be dropped after ``seconds``."""

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
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
        Message(
            RecordDict({"plan": ConfigRecord(dict(head)), "weights": weights}),
            nodes[plan.hospital],
            MessageType.TRAIN,
            ttl=seconds,
            group_id=str(plan.round),
        )
        for plan, head in zip(plans, heads, strict=True)
    ]
