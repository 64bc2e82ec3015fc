"""From hospitals' noised tables to what may be stated of the model: plans → screen → sum → measures.

The sum's noise is known, so every number comes with an interval that includes it. What the terms' group
attributes add beyond the groups: each attribute's tables add up to that of all events, so they are made to
agree (least squares; Hay et al. 2010, "Boosting the accuracy of differentially private histograms through
consistency"), which makes all of them more exact and costs nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from wardround.protocol.arrays import Floats, Numbers
from wardround.protocol.errors import ConfigurationError, ReleaseRejected
from wardround.protocol.secure_sum.grid import decode
from wardround.protocol.terms.agreement import agreement
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import (
    EvaluationSettings,
    TableShape,
    score_edges,
    table_shape,
)
from wardround.protocol.terms.query import query_shape
from wardround.protocol.terms.request import TABLES, QueryRequest, RequestKind, request_in, request_of
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm.aggregate import reason_to_discard
from wardround.server.algorithm.rounds import RoundState, finished
from wardround.server.algorithm.screen import NoRelease, expect, screen, summed_norm_bound
from wardround.server.algorithm.table_weights import noise_gain, normaliser, release_weights, tilt_of
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import Estimate, NoisedTables, estimate

CURVE_POINTS = 10


def due(state: RoundState, terms: Terms) -> bool:
    """Tell whether the terms evaluate the model as it stands after the last closed round."""
    # A void round leaves the model as it was: it was measured before it.
    if terms.evaluation is None or (state.round - 1 in state.void and not finished(state, terms)):
        return False
    return after_round(state, terms) in terms.evaluation.rounds


def after_round(state: RoundState, terms: Terms) -> int:
    """Give the round of the terms after which the model is as it stands; a study that ended is at the last."""
    return terms.training.rounds if finished(state, terms) else state.made


def plans(
    state: RoundState, terms: Terms, weights: Floats, round_number: int | None = None
) -> list[RoundPlan]:
    """Ask each planned hospital for its tables under ``weights``, after the last closed round by default."""
    announced = weights.astype("<f4")
    announced.flags.writeable = False
    return [
        RoundPlan(
            study=terms.study,
            hospital=hospital,
            round=after_round(state, terms) if round_number is None else round_number,
            terms_fingerprint=terms.fingerprint,
            weights=announced,
            ledger_head=state.ledger_heads.get(hospital) or None,
            account=TABLES.account,
            asks=TABLES.word if terms.secure_sum else "",
        )
        for hospital in terms.hospitals
    ]


@dataclass(frozen=True, eq=False)
class TableSum:
    """One evaluation as the server has it: the sum of screened releases, and who is in it.

    total: float64 [table_size], of the hospitals in ``accepted``, each times its public weight
    (``table_weights``). missing: those of whom nothing came. own: of a query under local noise each hospital's release,
    which is private by itself and tells how many patients that hospital has; empty in all others.
    """

    round: int
    weights_digest: str
    planned: int
    total: Floats
    accepted: tuple[str, ...]
    rejected: tuple[NoRelease, ...] = ()
    missing: tuple[str, ...] = ()
    own: Mapping[str, Floats] = field(default_factory=dict)


def sum_tables(terms: Terms, asked: RoundPlan, releases: Iterable[Release | NoRelease]) -> TableSum:
    """Screen and sum up the releases of one evaluation; ``asked`` is any of its plans.

    Those that do not pass are named and left out. One pass; holds one release at a time.
    """
    size, request = _size(terms), request_in(asked, terms)
    expected = expect(terms, asked.round, asked.weights_digest, size, request=request)
    total, accepted, rejected = _begin(terms, size), dict[str, None](), list[NoRelease]()
    weights, own = release_weights(terms), dict[str, Floats]()
    for release in releases:
        if isinstance(release, NoRelease):
            rejected.append(release)
            continue
        try:
            vector = screen(release, expected, accepted)
        except ReleaseRejected as error:
            rejected.append(NoRelease(error.hospital, error.reason))
            continue
        # A weighted sum, whatever the terms' rule: its noise is known exactly, and so are the intervals.
        total += vector if terms.secure_sum is not None else weights[release.hospital] * vector
        accepted[release.hospital] = None
        if isinstance(request, QueryRequest) and terms.secure_sum is None:
            own[release.hospital] = vector.astype(np.float64)
    heard = {*accepted, *(one.hospital for one in rejected)}
    missing = tuple(name for name in terms.hospitals if name not in heard)
    return TableSum(
        round=asked.round,
        weights_digest=asked.weights_digest,
        planned=len(terms.hospitals),
        total=total
        if terms.secure_sum is None
        else decode(total, request.sum_noise(terms, asked.round).grid),
        accepted=tuple(accepted),
        rejected=tuple(rejected),
        missing=missing,
        own=own,
    )


def _asked(terms: Terms) -> RequestKind:
    """Give the kind of request whose releases are tables; of a query, that of training patients."""
    return TABLES if terms.query is None else request_of(terms, 1)


def _shape(terms: Terms) -> TableShape:
    if terms.query is not None:
        return query_shape(terms.contract, terms.query)
    return table_shape(terms.contract, settings_of(terms))


def _size(terms: Terms) -> int:
    shape = _shape(terms)
    return len(shape.rows) * shape.cells


def _begin(terms: Terms, size: int) -> Numbers:
    """Zeros to add to: integers where hospitals release integers, whose sum is exact."""
    return np.zeros(size, np.float64 if terms.secure_sum is None else np.int64)


def tables_of(terms: Terms, found: TableSum) -> NoisedTables:
    """Give the tables of a sum.

    ConfigurationError where nobody answered, too few for a secure sum, or where its norm makes it void.
    """
    discarded = reason_to_discard(terms, len(found.accepted))
    if discarded:
        reasons = {one.reason for one in found.rejected}
        why = f" ({', '.join(sorted(reasons))})" if reasons else ""
        raise ConfigurationError(f"{what_of(terms, found.round)}: {discarded}{why}; ask once more")
    void = void_by_norm(terms, found)
    if void:
        raise ConfigurationError(f"{what_of(terms, found.round)}: no sum ({void})")
    return consistent_tables(terms, found.round, found.total, found.accepted)


def what_of(terms: Terms, round_number: int) -> str:
    """Say in words what tables a study's round gives."""
    return "query" if terms.query is not None else f"evaluation after round {round_number}"


def void_by_norm(terms: Terms, found: TableSum, request: RequestKind | None = None) -> str:
    """Say that a secure sum of tables has a norm that no honest hospitals could have; empty where it has not.

    request: what was asked, by default the one kind whose releases are tables. Without secure sums each release was
    screened by itself (``screen``).
    """
    if terms.secure_sum is None:
        return ""
    asked = request or _asked(terms)
    expected = expect(terms, found.round, found.weights_digest, len(found.total), request=asked)
    within = np.linalg.norm(found.total) <= summed_norm_bound(expected, found.accepted)
    return "" if within else "norm out of bound"


def read_tables(terms: Terms, asked: RoundPlan, releases: Iterable[Release | NoRelease]) -> NoisedTables:
    """Screen, sum up and read the releases of one evaluation. Raises as ``tables_of`` does."""
    return tables_of(terms, sum_tables(terms, asked, releases))


def consistent_tables(
    terms: Terms, round_number: int, total: Floats, accepted: Sequence[str]
) -> NoisedTables:
    """Undo factors and contrasts of a weighted sum of releases [table_size], and make its tables agree."""
    shape, weights = _shape(terms), release_weights(terms)
    rows, factors = shape.rows, shape.factors
    agree = agreement(shape)
    # Of those who answered, each with independent noise of this size.
    stddev = _asked(terms).noise_stddev(terms, round_number) * noise_gain(terms, accepted, weights)
    sums = total.reshape(len(rows), -1) * normaliser(terms, accepted, weights)
    mixed = contrasts(shape.bins)
    counts = mixed.undone((agree @ (sums / factors[:, np.newaxis])).reshape(len(rows), -1, shape.bins))
    return NoisedTables(
        round=round_number,
        rows=rows,
        counts=counts,
        covariance=(agree * (stddev / factors) ** 2) @ agree.T,
        between_bins=mixed.covariance,
        # No model gave a query's patients scores: one bin holds them all.
        edges=np.zeros(0) if terms.query is not None else score_edges(terms.contract, settings_of(terms)),
        hospitals=len(accepted),
        tilt=tilt_of(terms, accepted, weights),
    )


def settings_of(terms: Terms) -> EvaluationSettings:
    """Give the terms' evaluation; ConfigurationError where there is none."""
    if terms.evaluation is None:
        raise ConfigurationError("evaluation: these terms evaluate nothing (evaluation=private turns it on)")
    return terms.evaluation


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What may be stated of the model over all held-out patients, each weighing the same.

    roc: (false positive rate, true positive rate) from the highest scores down. calibration: per range of
    scores its mean prediction and the observed share. confidence: level of all intervals shown.
    """

    round: int
    hospitals: int
    patients: Estimate
    prevalence: Estimate
    auc: Estimate
    log_loss: Estimate
    calibration_gap: Estimate
    roc: tuple[tuple[Estimate, Estimate], ...]
    calibration: tuple[tuple[float, Estimate], ...]
    confidence: float


def evaluate_tables(tables: NoisedTables, confidence: float) -> Evaluation:
    """Read every overall measure off the tables."""
    shape, bins = tables.shape, tables.bins
    # Fewer bins than points give the same edge twice.
    edges = np.unique(np.linspace(0, bins, CURVE_POINTS + 1).astype(int))
    return Evaluation(
        round=tables.round,
        hospitals=tables.hospitals,
        patients=estimate(tables, measures.patients(bins)),
        prevalence=estimate(tables, measures.prevalence(bins)),
        auc=estimate(tables, measures.auc(shape)),
        log_loss=estimate(tables, measures.log_loss(shape)),
        calibration_gap=estimate(tables, measures.calibration_gap(shape)),
        roc=tuple(
            (
                estimate(tables, measures.false_positive_rate(bins, int(edge))),
                estimate(tables, measures.true_positive_rate(bins, int(edge))),
            )
            for edge in edges[::-1]
        ),
        calibration=tuple(_calibration_point(tables, int(low), int(high)) for low, high in pairwise(edges)),
        confidence=confidence,
    )


def _calibration_point(tables: NoisedTables, low: int, high: int) -> tuple[float, Estimate]:
    inside = np.zeros((2, tables.bins))
    inside[:, low:high] = 1
    observed = estimate(tables, measures.ratio(inside * np.array([[0.0], [1.0]]), inside, measures.SHARE))
    # Of all events there; where noise left none, of the bins alike.
    weights = np.maximum(tables.counts[0][:, low:high], 1e-9)
    return float(np.average(tables.shape.prediction[:, low:high], weights=weights)), observed
