"""Plans and releases as Flower messages without signatures: for simulations, whose hospitals are this process's own.

The hospital's half of the converter is in ``simulations.federation.app``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message

from wardround.protocol.errors import MessageError
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.text.text import is_clause
from wardround.protocol.wire.wire import decode_release, encode_plan_head
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network.messages import messages_of


def plan_messages(plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
    """Write one message per plan of one round to its hospital's node; Flower drops it after ``seconds``."""
    heads = [{"header": encode_plan_head(plan)} for plan in plans]
    return messages_of(plans, heads, nodes, seconds)


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
    """How a simulation's server writes plans and reads releases."""

    def write(self, plans: Sequence[RoundPlan], nodes: Mapping[str, int], seconds: float) -> list[Message]:
        """Write plans as ``simulations.federation.app`` reads them."""
        return plan_messages(plans, nodes, seconds)

    def read(self, message: Message, hospital: str) -> Release | NoRelease:
        """Read what ``simulations.federation.app`` wrote."""
        return release_of(message, hospital)


PLAIN_CODEC = PlainCodec()
