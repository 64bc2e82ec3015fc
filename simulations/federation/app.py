"""A simulated hospital's ClientApp in Flower: it turns a message into a plan, and an answer into a reply.

It decides nothing: whoever is given as ``answer`` does (``client.round.participate`` in a simulation). The
server's half of the converter is in ``server.network.messages``; the bytes are those of ``protocol.wire.wire``.
"""

from collections.abc import Callable

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.wire.wire import decode_plan, encode_release

AnswerOne = Callable[[RoundPlan, Context], Release | Refusal]


def hospital_app(answer: AnswerOne) -> ClientApp:
    """Make the ClientApp that answers round plans with ``answer(plan, context)``."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        try:
            plan = plan_of(message)
        except MessageError:
            return reply(message, Refusal("plan", "the message holds no plan"))
        return reply(message, answer(plan, context))

    return app


def plan_of(message: Message) -> RoundPlan:
    """Read a plan; MessageError where the message holds anything else."""
    record, weights = message.content.get("plan"), message.content.get("weights")
    if (
        not isinstance(record, ConfigRecord)
        or not isinstance(weights, ArrayRecord)
        or "weights" not in weights
    ):
        raise MessageError("message: must hold a plan and its weights")
    header = record.get("header")
    if not isinstance(header, bytes):
        raise MessageError("message: the plan's header must be bytes")
    return decode_plan(header + weights["weights"].data)


def reply(message: Message, answer: Release | Refusal) -> Message:
    """Write the reply: a release, or the bare name of the clause that refuses."""
    if isinstance(answer, Refusal):
        record = ConfigRecord({"refused": answer.clause})
    else:
        record = ConfigRecord({"release": encode_release(answer)})
    return Message(RecordDict({"answer": record}), reply_to=message)
