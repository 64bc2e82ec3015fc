"""A Flower Grid without processes: the messages of a round go together into one call.

They are real Flower messages through the same converter as anywhere else; only the carrying is a function
call, so that the hospitals of a round can be computed as one batch. ``simulations.federation.in_process`` leaves the
messages out as well: they cost more than the arithmetic of a small hospital.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import OnRound, RoundState
from wardround.server.network.strategy import TimeLimits
from wardround.simulations.federation.app import plan_of, reply
from wardround.simulations.federation.in_process import Answer
from wardround.simulations.federation.run_rounds import run_rounds


def run_over_messages(terms: Terms, answer: Answer, *, on_round: OnRound | None = None) -> RoundState:
    """Run all rounds of a study over Flower messages; gives the last state, that of ``in_process.run``."""
    grid = InProcessGrid(len(terms.hospitals), answer)
    nodes = dict(zip(terms.hospitals, grid.get_node_ids(), strict=True))
    return run_rounds(grid, nodes, terms, rounds.init(terms), limits=TimeLimits(), on_round=on_round)


class InProcessGrid(Grid):
    """Nodes 1 to ``node_count``; pulling a round's messages computes all of its answers in one call."""

    def __init__(self, node_count: int, answer: Answer) -> None:
        """Take the number of nodes and what answers a batch of plans."""
        self._node_count = node_count
        self._answer = answer
        self._ids = map(str, count(1))
        self._pending: dict[str, Message] = {}
        self._run = Run.create_empty(run_id=1)
        # Flower stamps messages with the identity of its process, which here is this one.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1

    def set_run(self, run: Run) -> None:
        """Set the run that this grid belongs to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that this grid belongs to."""
        return self._run

    def get_node_ids(self) -> Iterable[int]:
        """Give all nodes: they are always there."""
        return range(1, self._node_count + 1)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message as Flower's own constructor does."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take messages in; nothing is computed yet."""
        ids = []
        for message in messages:
            identity = next(self._ids)
            message.metadata.__dict__["_message_id"] = identity  # as Flower's own grids do
            self._pending[identity] = message
            ids.append(identity)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        """Compute the answers to these messages together and yield the replies one by one."""
        found = (self._pending.pop(identity, None) for identity in message_ids)
        messages = [message for message in found if message is not None]
        if messages:
            answers = self._answer(_plans_of(messages))
            for message, answer in zip(messages, answers, strict=True):
                yield reply(message, answer)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull; nothing can be late."""
        return self.pull_messages(self.push_messages(messages))


def _plans_of(messages: Sequence[Message]) -> list[RoundPlan]:
    """Read the plans; those whose messages share one record of weights share one array."""
    shared: dict[int, RoundPlan] = {}
    plans = []
    for message in messages:
        plan = plan_of(message)
        first = shared.setdefault(id(message.content["weights"]), plan)
        plans.append(plan if first is plan else replace(plan, weights=first.weights))
    return plans
