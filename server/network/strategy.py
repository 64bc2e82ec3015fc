"""Carry a study's rounds over a Flower Grid: announce, collect until the deadline, close, checkpoint, go on.

All mathematics is in ``server.algorithm.rounds``; this module only carries it. Flower's own ``Strategy.start``
cannot resume, holds all replies of a round at once and looks for them every three seconds; here a round begins at any
number, replies go one by one into the stream that ``rounds.apply`` takes, and every wait ends.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from wardround.protocol.errors import require
from wardround.protocol.retry import Backoff
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState, RoundSummary
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network.messages import Answered, MessageCodec, Question

PlanCodec = MessageCodec[RoundPlan, Release | NoRelease]
"""Plans out, plain releases in."""


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """How long to wait: for all nodes at the start, for a round's replies; and between two looks."""

    nodes_seconds: float = 120.0
    round_seconds: float = 600.0
    poll_seconds: float = 0.2

    def __post_init__(self) -> None:
        """Check that every wait is bounded."""
        for key, value in vars(self).items():
            require(0 < value <= 30 * 86_400, key, value, "must be greater than 0 and at most 30 days")


@dataclass(frozen=True)
class Presence:
    """A hospital's connected node, and since when it is (as Flower spells it)."""

    node: int
    since: str


Connected = Callable[[], Mapping[str, Presence | None]]
"""Gives the presence of each enrolled hospital: None where it is not connected now. Nobody waits for others."""
_LOST = {ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE}
ABSENT_SECONDS = 10.0  # how long a round waits for hospitals that are not even connected
LOOK_AGAIN_SECONDS = 1.0  # between two looks at who is connected
LONGEST_ASK_SECONDS = (
    30.0  # between two messages to one hospital that goes on losing them, each with all weights
)


def run_round(
    grid: Grid,
    nodes: Mapping[str, int],
    terms: Terms,
    state: RoundState,
    limits: TimeLimits,
    *,
    codec: PlanCodec,
    connected: Connected | None = None,
) -> tuple[RoundState, RoundSummary]:
    """Announce one round, take in what comes before its deadline, and close it.

    codec: how plans and answers are written. With ``connected``, a hospital that connects, or connects again,
    before the deadline is asked then: its earlier message is lost with the process that had taken it, and by
    the repeat rule the second is free.
    """
    answers = collect(grid, nodes, rounds.plans(state, terms), limits, codec=codec, connected=connected)
    return rounds.apply(state, terms, answers)


def collect(
    grid: Grid,
    nodes: Mapping[str, int],
    asks: Sequence[Question],
    limits: TimeLimits,
    *,
    codec: MessageCodec[Question, Answered],
    connected: Connected | None = None,
) -> Iterator[Answered]:
    """Ask each hospital once, and yield one answer of each as they come before the deadline.

    asks: plans, or requests of a secure sum. Whoever has enough may stop taking answers.
    """
    deadline = time.monotonic() + limits.round_seconds
    collection = _Collection(grid, {one.hospital: one for one in asks}, codec, deadline)
    if connected is None:
        collection.ask(nodes)
    yield from collection.answers(limits.poll_seconds, connected)


def _lost_on_the_way(message: Message) -> bool:
    """Whether Flower, not the hospital, says that nothing will come of a message: its node went away."""
    return message.has_error() and message.error.code in _LOST


class _Collection(Generic[Question, Answered]):
    """One round's messages on their way."""

    def __init__(
        self,
        grid: Grid,
        asks: Mapping[str, Question],
        codec: MessageCodec[Question, Answered],
        deadline: float,
    ) -> None:
        self._grid, self._asks, self._codec, self._deadline = grid, asks, codec, deadline
        self._waiting: dict[str, str] = {}  # hospitals by the message that asked them
        self._open = set(asks)
        self._asked: dict[str, Presence] = {}
        self._pauses = {name: Backoff(LOOK_AGAIN_SECONDS, LONGEST_ASK_SECONDS) for name in asks}
        self._ask_from = dict.fromkeys(asks, -math.inf)

    def ask(self, nodes: Mapping[str, int]) -> None:
        """Send what is asked of these hospitals to their nodes."""
        asks = [asked for hospital, asked in self._asks.items() if hospital in nodes]
        # At least a second: Flower refuses a message that has no time left to live.
        messages = self._codec.write(asks, nodes, max(self._deadline - time.monotonic(), 1.0))
        sent = set(self._grid.push_messages(messages)) if messages else set()
        pairs = zip(messages, asks, strict=True)
        ids = {m.metadata.message_id: asked.hospital for m, asked in pairs if m.metadata.message_id in sent}
        self._waiting.update(ids)

    def answers(self, poll_seconds: float, connected: Connected | None) -> Iterator[Answered]:
        """Yield one answer of each hospital as they come, until all are in or the deadline has passed."""
        look_at, begun = 0.0, time.monotonic()
        there, enrolled = set(self._open), set(self._open)
        # Where one can look, whoever is not here yet may still come; else only what was sent can be answered.
        while self._open if connected else self._waiting:
            if connected is not None and time.monotonic() >= look_at:
                roll = connected()
                present = {hospital: presence for hospital, presence in roll.items() if presence}
                there, enrolled = set(present), set(roll)
                self._ask_who_came(present)
                look_at = time.monotonic() + LOOK_AGAIN_SECONDS
            yield from self._pulled()
            everybody_there = time.monotonic() - begun > ABSENT_SECONDS and not self._open & there
            # Of a hospital that is not enrolled, or no longer, no answer would count.
            nobody_left = not self._open & enrolled
            if everybody_there or nobody_left or time.monotonic() > self._deadline:
                return
            if self._waiting or connected is not None:
                time.sleep(poll_seconds)

    def _ask_who_came(self, present: Mapping[str, Presence]) -> None:
        now = time.monotonic()
        came = {h: p for h, p in present.items() if h in self._open and self._asked.get(h) != p}
        came = {h: p for h, p in came.items() if now >= self._ask_from[h]}
        self._asked.update(came)
        self._ask_from.update({h: now + self._pauses[h].next_pause() for h in came})
        if came:
            self.ask({hospital: presence.node for hospital, presence in came.items()})

    def _pulled(self) -> Iterator[Answered]:
        for message in self._grid.pull_messages(list(self._waiting)) if self._waiting else ():
            hospital = self._waiting.pop(message.metadata.reply_to_message_id, None)
            if hospital is None or hospital not in self._open:
                continue
            if _lost_on_the_way(message):
                self._asked.pop(hospital, None)  # its node may well be there: asked again at the next look
                continue
            self._open.discard(hospital)
            yield self._codec.read(message, hospital)
