"""A study's rounds in one process: plans go into one function call, releases come out of it.

The same plans, hospitals and rounds as anywhere else; no message is written, so that a round costs what its
arithmetic costs. ``simulations.federation.messages`` carries the same in Flower's messages.
"""

from collections.abc import Callable, Iterator, Sequence

from wardround.protocol.errors import Refusal
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import OnRound, RoundState
from wardround.server.algorithm.screen import NoRelease

Answer = Callable[[Sequence[RoundPlan]], Sequence[Release | Refusal]]


def run(
    terms: Terms,
    answer: Answer,
    *,
    state: RoundState | None = None,
    on_round: OnRound | None = None,
) -> RoundState:
    """Run all rounds of a study in this process, from ``state`` or the beginning; gives the last state.

    answer takes the plans of one round and gives, in their order, each hospital's release or refusal. What it
    raises ends the run. on_round is called after each round with its summary and the new state.
    ConfigurationError where in some round no hospital gave a release.
    """
    state = state or rounds.init(terms)
    while not rounds.finished(state, terms):
        state, summary = rounds.apply(state, terms, _answered(rounds.plans(state, terms), answer))
        if on_round is not None:
            on_round(summary, state)
        # After on_round: the round in which nobody answered is reported, too.
        rounds.check_attended(summary)
    return state


def _answered(plans: Sequence[RoundPlan], answer: Answer) -> Iterator[Release | NoRelease]:
    """Give the answers as a server sees them: of a refusal the clause's name alone."""
    for plan, answered in zip(plans, answer(plans), strict=True):
        if isinstance(answered, Refusal):
            yield NoRelease(plan.hospital, f"refused: {answered.clause}")
        else:
            yield answered
