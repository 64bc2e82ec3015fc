"""The server's half of the converter between plans and releases and Flower's messages.

The bytes are those of ``protocol.wire.wire``; Flower's records only hold them. A plan is cut in two, its header
and its weights, so that all plans of a round share one Flower array, which Flower sends and stores once.
The hospital's half is in ``simulations.federation.app``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from wardround.protocol.errors import MessageError
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.text.text import is_clause
from wardround.protocol.wire.wire import decode_release, encode_plan_head
from wardround.server.algorithm.screen import NoRelease


class MessageCodec(Protocol):
    """How a server writes the plans of a round, and reads what comes back."""

    def write(self, plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Write one message per plan to its hospital's node, to be dropped after ``seconds``."""

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
        """Read the reply of one hospital's node; never raises, whatever it holds."""


def plan_messages(plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
    """Write one message per plan of one round to its hospital's node; Flower drops it after ``seconds``."""
    heads = [{"header": encode_plan_head(plan)} for plan in plans]
    return messages_of(plans, heads, nodes, seconds)


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


def release_of(message: Message, hospital: str) -> Release | NoRelease:
    """Read the reply of one hospital's node, or say what stands there instead; never raises on bad content.

    A reply that names another hospital than its node's is no release: nobody speaks for others.
    """
    if message.has_error():
        return NoRelease(hospital, "error")
    answer = message.content.get("answer")
    if not isinstance(answer, ConfigRecord):
        return NoRelease(hospital, "malformed")
    clause, payload = answer.get("refused"), answer.get("release")
    if isinstance(clause, str) and is_clause(clause):
        return NoRelease(hospital, f"refused: {clause}")
    try:
        release = decode_release(payload) if isinstance(payload, bytes) else None
    except MessageError:
        release = None
    if release is None:
        return NoRelease(hospital, "malformed")
    return release if release.hospital == hospital else NoRelease(hospital, "wrong hospital")


@dataclass(frozen=True)
class PlainCodec:
    """Plans and releases without signatures: for simulations, whose hospitals are this process's own."""

    def write(self, plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Write plans as ``simulations.federation.app`` reads them."""
        return plan_messages(plans, nodes, seconds)

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
        """Read what ``simulations.federation.app`` wrote."""
        return release_of(message, hospital)


PLAIN_CODEC = PlainCodec()
