"""The rounds of a study: frozen state in, frozen state out. Who carries the messages is not known here.

``init(terms)`` gives the state before round 1; ``plans`` what to ask of each hospital; ``apply`` takes the
releases in, in one streaming pass (screen → aggregate → optimise). The same code runs in a simulation, on
Ray and in a real federation, and replays a study from its stored releases.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from wardround.protocol.arrays import Floats, Floats32, Integers
from wardround.protocol.errors import ConfigurationError, ReleaseRejected
from wardround.protocol.model.model import initial_weights, interaction_count, main_count
from wardround.protocol.terms.request import INTERACTIONS, MEAN_ROWS, RequestKind, request_of
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import interactions, optimize
from wardround.server.algorithm.aggregate import (
    Aggregate,
    IntegerSum,
    begin,
    begin_integers,
    reason_to_discard,
)
from wardround.server.algorithm.noise_choice import gradient_noise_stddev
from wardround.server.algorithm.optimize import OptimizerState, TailAverage
from wardround.server.algorithm.prior_mean import prior_mean
from wardround.server.algorithm.screen import Expected, NoRelease, expect, screen, summed_norm_bound


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundState:
    """All that the next round depends on.

    round: the round to announce next, from 1; past the terms' last one when the study is over. void: rounds of secure
    sums that gave none, each of which a spare one replaces.
    weights: float64 [parameters]. ledger_heads: by hospital, as its last accepted release carried it.
    """

    study: str
    terms_fingerprint: str
    round: int
    weights: Floats
    optimizer: OptimizerState
    tail: TailAverage
    ledger_heads: Mapping[str, str]
    void: tuple[int, ...] = ()

    @property
    def made(self) -> int:
        """How many of the terms' rounds are behind: closed ones, without those that were void."""
        return self.round - 1 - len(self.void)


@dataclass(frozen=True, kw_only=True)
class RoundSummary:
    """What the operator may know of one round: who took part, and norms of noised quantities.

    planned counts hospitals; missing are those of whom nothing came. discarded says why the round's sum was
    not used, and is empty otherwise; a discarded round is charged all the same. gradient_norm is that of the
    noised mean gradient (in a moment round, of the mean design row), update_norm that of the change in weights.
    """

    study: str
    round: int
    planned: int
    accepted: tuple[str, ...]
    rejected: tuple[NoRelease, ...]
    missing: tuple[str, ...]
    discarded: str
    gradient_norm: float
    update_norm: float


OnRound = Callable[["RoundSummary", "RoundState"], None]
"""Told of each closed round: what came of it, and the state after it."""


def init(terms: Terms) -> RoundState:
    """Give the state before round 1: weights as they are publicly expected to be (``prior_mean``)."""
    weights = np.asarray(initial_weights(terms.model, terms.contract.layout), np.float64)
    main = main_count(terms.model, terms.contract.layout)
    weights[:main] += prior_mean(terms)
    return RoundState(
        study=terms.study,
        terms_fingerprint=terms.fingerprint,
        round=1,
        weights=weights,
        optimizer=optimize.init(terms.training, main),
        tail=optimize.init_tail(len(weights)),
        ledger_heads={},
    )


def finished(state: RoundState, terms: Terms) -> bool:
    """Tell whether every round of the terms has been announced and closed, or all of their numbers are used up."""
    return state.made >= terms.training.rounds or state.round > terms.last_round


def asked_in(state: RoundState, terms: Terms) -> RequestKind:
    """Give the kind of request that the next round announces: mean rows first, whatever its number."""
    return request_of(terms, state.made + 1)


def plans(state: RoundState, terms: Terms) -> list[RoundPlan]:
    """Ask each planned hospital for one release; all plans share one read-only array of weights.

    ConfigurationError where the state belongs to other terms.
    """
    _check_belongs(state, terms)
    weights = _announced(state)
    return [_plan(state, terms, hospital, weights) for hospital in terms.training.public_patients]


def apply(
    state: RoundState, terms: Terms, releases: Iterable[Release | NoRelease]
) -> tuple[RoundState, RoundSummary]:
    """Close a round: take in its releases and give the next round's state, with a summary.

    One pass. With ``training.aggregate=sum`` it holds one release at a time, so memory does not grow with the
    number of hospitals. The sums are float64 and in the order of arrival. Releases that do not pass ``screen``
    are named in the summary and left out. Guarantee: what goes into the weights is at most one release per
    planned hospital, screened.
    """
    _check_belongs(state, terms)
    parameters = len(state.weights)
    # Any hospital's plan: all hold the same weights.
    digest = _plan(state, terms, terms.hospitals[0], _announced(state)).weights_digest
    aggregate = begin(terms, parameters, state.round)
    heads, rejected = _take_in(releases, expect(terms, state.round, digest, parameters), aggregate)
    discarded = reason_to_discard(terms, len(heads), terms.training.aggregate)
    if isinstance(aggregate, IntegerSum):
        return close_sum(state, terms, heads, rejected, discarded or aggregate.total)
    gradient = np.zeros(parameters) if discarded else aggregate.gradient()
    return _close(state, terms, heads, rejected, discarded, gradient)


def close_sum(
    state: RoundState,
    terms: Terms,
    heads: Mapping[str, str],
    rejected: tuple[NoRelease, ...],
    found: Integers | str,
) -> tuple[RoundState, RoundSummary]:
    """Close a round of secure sums: give the next round's state, with a summary.

    heads: of the survivors' ledgers, by hospital. found: the exact sum of their integers, int64 [parameters], or why
    there is none. A sum whose norm no honest survivors could have is void as well.
    """
    if not isinstance(found, str):
        # The digest plays no part in a bound on the norm.
        expected = expect(terms, state.round, "", len(found))
        empty = begin_integers(terms, 0, state.round)
        total = IntegerSum(found, empty.grid, empty.unit)
        if np.linalg.norm(total.decoded()) <= summed_norm_bound(expected, heads):
            return _close(state, terms, heads, rejected, "", total.gradient())
        found = "norm out of bound"
    void = replace(state, void=(*state.void, state.round))
    return _close(void, terms, heads, rejected, found, np.zeros(len(state.weights)))


def _close(
    state: RoundState,
    terms: Terms,
    heads: Mapping[str, str],
    rejected: tuple[NoRelease, ...],
    discarded: str,
    gradient: Floats,
) -> tuple[RoundState, RoundSummary]:
    """Take the round's step, unless it is discarded. Its number is used up either way.

    Hospitals have charged it, and would answer its number with the same bytes.
    """
    after = replace(state, round=state.round + 1, ledger_heads={**state.ledger_heads, **heads})
    if not discarded:
        after = _step(after, terms, gradient)
    return after, _summary(state, after, terms, tuple(heads), rejected, discarded, gradient)


def reported_weights(state: RoundState) -> Floats:
    """Give the weights to report: the tail's average, or the last weights before the tail begins."""
    return state.tail.mean if state.tail.count else state.weights


def check_attended(summary: RoundSummary, silence: str = "no answer") -> None:
    """ConfigurationError where no hospital gave a release in this round: nothing is gained by going on."""
    if summary.accepted:
        return
    reasons = sorted({one.reason for one in summary.rejected})
    raise ConfigurationError(
        f"round {summary.round}: 0 of {summary.planned} hospitals sent a release "
        f"({', '.join(reasons) or silence}); fix this, then resume"
    )


def skip_to(state: RoundState, round_number: int, *, spare: bool = False) -> RoundState:
    """Give up the rounds before ``round_number``: announced, charged, and their results lost.

    spare: the terms have spare rounds, which replace these as they replace void ones.
    """
    lost = tuple(range(state.round, round_number)) if spare else ()
    return replace(state, round=round_number, void=(*state.void, *lost))


def _check_belongs(state: RoundState, terms: Terms) -> None:
    if state.terms_fingerprint != terms.fingerprint:
        raise ConfigurationError(
            f"round state of study {state.study!r} has other terms: {state.terms_fingerprint[:12]}, not "
            f"{terms.fingerprint[:12]}; resume with its own terms, or start in an empty folder"
        )
    if finished(state, terms):
        raise ConfigurationError(
            f"round={state.round}: the terms of {terms.study!r} end at {terms.last_round}"
        )


def _take_in(
    releases: Iterable[Release | NoRelease], expected: Expected, aggregate: Aggregate
) -> tuple[dict[str, str], tuple[NoRelease, ...]]:
    """Screen and add one after the other; give the ledger heads of the accepted, and the rejected."""
    heads: dict[str, str] = {}
    rejected: list[NoRelease] = []
    for release in releases:
        if isinstance(release, NoRelease):
            rejected.append(release)
            continue
        try:
            # heads names who is in the sum already: a second release of one hospital would double its say.
            vector = screen(release, expected, heads)
        except ReleaseRejected as error:
            rejected.append(NoRelease(error.hospital, error.reason))
            continue
        aggregate.add(release.hospital, vector)
        heads[release.hospital] = release.ledger_head
    return heads, tuple(rejected)


def _announced(state: RoundState) -> Floats32:
    weights = state.weights.astype("<f4")
    weights.flags.writeable = False
    return weights


def _plan(state: RoundState, terms: Terms, hospital: str, weights: Floats32) -> RoundPlan:
    return RoundPlan(
        study=state.study,
        hospital=hospital,
        round=state.round,
        terms_fingerprint=state.terms_fingerprint,
        weights=weights,
        ledger_head=state.ledger_heads.get(hospital) or None,
        asks=asked_in(state, terms).word if terms.secure_sum else "",
    )


def _step(state: RoundState, terms: Terms, gradient: Floats) -> RoundState:
    # Not `asked_in`: the state has moved on, so that `made` counts this round already.
    asked = request_of(terms, state.made)
    main = len(gradient) - interaction_count(terms.model, terms.contract.layout)
    if asked is MEAN_ROWS:
        return replace(state, optimizer=optimize.take_moments(state.optimizer, gradient[:main]))
    if asked is INTERACTIONS:
        return _with_interactions(state, terms, gradient[main:])
    optimizer, trained = optimize.apply(state.optimizer, terms, state.weights[:main], gradient[:main])
    weights = np.concatenate([trained, state.weights[main:]])
    # Weights travel as float32: beyond its range every hospital would be sent infinities.
    # "not … <" and not "≥": a comparison with NaN is false.
    if not np.abs(weights).max(initial=0.0) < np.finfo(np.float32).max:
        raise ConfigurationError(
            f"training.learning_rate={terms.training.learning_rate}: the weights left float32; lower it"
        )
    tail = optimize.extend_tail(state.tail, terms.training, state.made, weights)
    return replace(state, weights=weights, optimizer=optimizer, tail=tail)


def _with_interactions(state: RoundState, terms: Terms, gradient: Floats) -> RoundState:
    """Add what the round for interactions tells to the model to report; none without the shares of newton's first."""
    optimizer = state.optimizer
    if not optimizer.row_count:
        return state
    # The state has moved on: the round that closes has the number before.
    release = interactions.Released(
        mean_row=optimizer.mean_row,
        row_noise_stddev=optimize.row_noise_stddev(optimizer, terms),
        gradient=gradient,
        noise_stddev=gradient_noise_stddev(terms, state.round - 1),
    )
    main = len(state.weights) - len(gradient)
    found = np.concatenate([reported_weights(state)[:main], interactions.weights_of(terms, release)])
    return replace(state, weights=found, tail=optimize.init_tail(len(found)))


def _summary(
    before: RoundState,
    after: RoundState,
    terms: Terms,
    accepted: tuple[str, ...],
    rejected: tuple[NoRelease, ...],
    discarded: str,
    gradient: Floats,
) -> RoundSummary:
    heard = {*accepted, *(one.hospital for one in rejected)}
    planned = terms.training.public_patients
    return RoundSummary(
        study=terms.study,
        round=before.round,
        planned=len(planned),
        accepted=accepted,
        rejected=rejected,
        missing=tuple(hospital for hospital in planned if hospital not in heard),
        discarded=discarded,
        gradient_norm=float(np.linalg.norm(gradient)),
        update_norm=float(np.linalg.norm(after.weights - before.weights)),
    )
