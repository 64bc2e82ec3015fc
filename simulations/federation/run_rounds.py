"""All rounds of a study over any Flower Grid whose nodes are there, as simulations run them."""

import time
from collections.abc import Mapping
from pathlib import Path

from flwr.serverapp import Grid

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import OnRound, RoundState
from wardround.server.network.strategy import TimeLimits, run_round
from wardround.server.store.checkpoint import save_state
from wardround.simulations.federation.plain_codec import PLAIN_CODEC


def run_rounds(
    grid: Grid,
    nodes: Mapping[str, int],
    terms: Terms,
    state: RoundState,
    *,
    limits: TimeLimits,
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
        state, summary = run_round(grid, nodes, terms, state, limits, codec=PLAIN_CODEC)
        if on_round is not None:
            on_round(summary, state)
        # After on_round: the round in which nobody answered is reported, too.
        rounds.check_attended(summary, f"no answer within {limits.round_seconds:.0f} s")
    if checkpoints is not None:
        save_state(checkpoints, state)
    return state


def wait_for_nodes(grid: Grid, count: int, limits: TimeLimits) -> list[int]:
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
