"""A study's rounds in one process: plans go into one function call, releases come out of it.

The same plans, hospitals and rounds as anywhere else; no message is written, so that a round costs what its
arithmetic costs. ``simulations.federation.messages`` carries the same in Flower's messages.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from wardround.protocol.errors import Refusal
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import OnRound, RoundState, RoundSummary
from wardround.server.algorithm.screen import NoRelease

Answer = Callable[[Sequence[RoundPlan]], Sequence[Release | Refusal]]
Close = Callable[
    [RoundState, Terms, Sequence[RoundPlan], Iterable[Release | NoRelease]], tuple[RoundState, RoundSummary]
]
"""How a round is closed with the answers to its plans: plain (``apply``), or by masked sums."""


def run(
    terms: Terms,
    answer: Answer,
    *,
    state: RoundState | None = None,
    on_round: OnRound | None = None,
    close: Close | None = None,
) -> RoundState:
    """Run all rounds of a study in this process, from ``state`` or the beginning; gives the last state.

    answer takes the plans of one round and gives, in their order, each hospital's release or refusal. What it
    raises ends the run. on_round is called after each round with its summary and the new state. close: by default
    ``rounds.apply``.
    ConfigurationError where in some round no hospital gave a release.
    """
    state = state or rounds.init(terms)
    while not rounds.finished(state, terms):
        plans = rounds.plans(state, terms)
        state, summary = (close or _apply)(state, terms, plans, _answered(plans, answer))
        if on_round is not None:
            on_round(summary, state)
        # After on_round: the round in which nobody answered is reported, too.
        rounds.check_attended(summary)
    return state


def _apply(
    state: RoundState, terms: Terms, _plans: Sequence[RoundPlan], answers: Iterable[Release | NoRelease]
) -> tuple[RoundState, RoundSummary]:
    return rounds.apply(state, terms, answers)


def _answered(plans: Sequence[RoundPlan], answer: Answer) -> Iterator[Release | NoRelease]:
    """Give the answers as a server sees them: of a refusal the clause's name alone."""
    for plan, answered in zip(plans, answer(plans), strict=True):
        if isinstance(answered, Refusal):
            yield NoRelease(plan.hospital, f"refused: {answered.clause}")
        else:
            yield answered
