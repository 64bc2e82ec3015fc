"""Carry a study's rounds over a Flower Grid: announce, collect until the deadline, close, checkpoint, go on.

All mathematics is in ``server.rounds``; this is its thin coat. Flower's own ``Strategy.start`` cannot resume,
holds all replies of a round at once and looks for them every three seconds; here a round begins at any
number, replies go one by one into the stream that ``rounds.apply`` takes, and every wait ends.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flwr.serverapp import Grid

from protocol.errors import ConfigurationError, require
from protocol.terms import Release, Terms
from server import rounds
from server.checkpoint import save_state
from server.messages import plan_messages, release_of
from server.rounds import RoundState, RoundSummary
from server.screen import NoRelease

OnRound = Callable[[RoundSummary, RoundState], None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long to wait: for all nodes at the start, for a round's replies; and between two looks."""

    nodes_seconds: float = 120.0
    round_seconds: float = 600.0
    poll_seconds: float = 0.02

    def __post_init__(self) -> None:
        """Check that every wait is bounded."""
        for key, value in vars(self).items():
            require(0 < value <= 30 * 86_400, key, value, "must be greater than 0 and at most 30 days")


def run_rounds(
    grid: Grid,
    nodes: Mapping[str, int],
    terms: Terms,
    state: RoundState,
    *,
    limits: Limits,
    checkpoints: Path | None = None,
    on_round: OnRound | None = None,
) -> RoundState:
    """Run all rounds from ``state`` to the terms' last, and give the state after it.

    nodes maps each planned hospital to its Flower node. checkpoints: a folder for round states, each durable
    before its round is announced. on_round is called after each round with its summary and the new state.
    ConfigurationError where in some round no hospital gave a release: nothing is gained by going on.
    """
    while not rounds.finished(state, terms):
        if checkpoints is not None:
            save_state(checkpoints, state)
        state, summary = run_round(grid, nodes, terms, state, limits)
        if on_round is not None:
            on_round(summary, state)
        _stop_if_nobody_takes_part(summary, limits)
    if checkpoints is not None:
        save_state(checkpoints, state)
    return state


def run_round(
    grid: Grid, nodes: Mapping[str, int], terms: Terms, state: RoundState, limits: Limits
) -> tuple[RoundState, RoundSummary]:
    """Announce one round, take in what comes before its deadline, and close it."""
    deadline = time.monotonic() + limits.round_seconds
    plans = rounds.plans(state, terms)
    messages = plan_messages(plans, nodes, limits.round_seconds)
    sent = set(grid.push_messages(messages))
    pairs = zip(messages, plans, strict=True)
    waiting = {m.metadata.message_id: plan.hospital for m, plan in pairs if m.metadata.message_id in sent}
    return rounds.apply(state, terms, _answers(grid, waiting, deadline, limits.poll_seconds))


def wait_for_nodes(grid: Grid, count: int, limits: Limits) -> list[int]:
    """Give the ids of ``count`` nodes, ascending; ConfigurationError when they do not come in time."""
    deadline = time.monotonic() + limits.nodes_seconds
    while len(nodes := sorted(grid.get_node_ids())) < count:
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"{len(nodes)} of {count} hospitals are connected after {limits.nodes_seconds:.0f} s: "
                "start the others, or plan with fewer"
            )
        time.sleep(limits.poll_seconds)
    return nodes[:count]


def _answers(
    grid: Grid, waiting: dict[str, str], deadline: float, poll_seconds: float
) -> Iterator[Release | NoRelease]:
    """Yield replies as they come, until all are in or the deadline has passed."""
    while waiting:
        for message in grid.pull_messages(list(waiting)):
            hospital = waiting.pop(message.metadata.reply_to_message_id, None)
            if hospital is not None:
                yield release_of(message, hospital)
        if not waiting or time.monotonic() > deadline:
            return
        time.sleep(poll_seconds)


def _stop_if_nobody_takes_part(summary: RoundSummary, limits: Limits) -> None:
    if summary.accepted:
        return
    reasons = sorted({one.reason for one in summary.rejected})
    why = ", ".join(reasons) or f"no answer within {limits.round_seconds:.0f} s"
    raise ConfigurationError(
        f"round {summary.round}: 0 of {summary.planned} hospitals gave a release ({why}); mend it and resume"
    )
