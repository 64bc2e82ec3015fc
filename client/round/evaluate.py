"""Private evaluation at a hospital: policy → charge → gate → scores of the shared model → noised tables.

Only the weights that the plan carries are scored, never a personal part (rule 10), and only patients whom
the gate keeps out of training. The same order as in ``client.round.participate``: charged before anything is read.
"""

from collections.abc import Sequence

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.round.bounded_tables import bounded_tables
from wardround.client.round.participate import answer_plans
from wardround.client.round.ward import Admit, Answered, Ward
from wardround.protocol.arrays import Floats, Numbers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import predict_logits
from wardround.protocol.model.own_module import own_logits
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.integer_release import noised_integers
from wardround.protocol.terms.evaluation import (
    EvaluationSettings,
    score_bins,
    score_edges,
    table_shape,
)
from wardround.protocol.terms.request import TABLES, RequestKind
from wardround.protocol.terms.terms import RoundPlan, Terms


def evaluate(
    plans: Sequence[RoundPlan], wards: Sequence[Ward], terms: Terms, operator: str, admit_heldout: Admit
) -> list[Answered]:
    """Answer one evaluation plan per ward, in order: with noised tables, or with the refusal of a clause.

    admit_heldout gives the wards' held-out patients, and is called once all of them have been charged, on
    the held-out account. Guarantees as ``participate``'s (test_evaluate.py).
    """
    return answer_plans(TABLES, plans, wards, terms, operator, admit_heldout, _tables_of_round)


def _tables_of_round(
    terms: Terms,
    request: RequestKind,
    weights: Floats,
    cohort: Cohort,
    streams: Sequence[Keystream],
    hospitals: Sequence[str],
    round_number: int,
) -> Numbers:
    """Every round asks for the same tables."""
    return noised_tables(terms, weights, cohort, streams, hospitals)


def noised_tables(
    terms: Terms, weights: Floats, cohort: Cohort, streams: Sequence[Keystream], hospitals: Sequence[str]
) -> Numbers:
    """Compute each hospital's scaled, noised tables: float64 [hospitals, table_size], int64 in secure sums.

    weights: float64 [1 or hospitals, parameters]. Guarantee: Gaussian noise of ``terms.table_noise_stddev``
    on sums that one patient moves by at most 1 (``scaled_tables``), an empty hospital's included.
    """
    settings = _settings(terms)
    logits = _logits(terms, weights, cohort)
    tables = scaled_tables(terms.contract, settings, logits, cohort)
    # A child: training draws from the stream of the same round in a simulation.
    own = [stream.child("tables") for stream in streams]
    if terms.secure_sum is not None:
        return noised_integers(tables, terms.table_noise.grid, terms.table_noise.shares.variance, own)
    return add_noise(tables, terms.table_noise_stddev, own)


def scaled_tables(contract: Contract, settings: EvaluationSettings, logits: Floats, cohort: Cohort) -> Floats:
    """Sum up the tables before noise: float64 [hospitals, table_size], each times its public factor.

    Guarantee: adding or removing one patient moves a hospital's row by at most 1 in L2 norm (``bounded_tables``).
    """
    cell = score_bins(logits, score_edges(contract, settings)) + settings.score_bins * (cohort.labels > 0.5)
    return bounded_tables(contract, table_shape(contract, settings), cell, cohort)


def _logits(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    """Score the events under each hospital's plan; a score that cannot be computed is not a number."""
    model, layout = terms.model, terms.contract.layout
    with np.errstate(over="ignore", invalid="ignore"):
        if model.structure.own_module and not terms.simulation:
            # Event by event: what one scores must not depend on who else is there, not even in its last bit.
            return own_logits(model, layout, weights[0], cohort, at_once=1)
        if len(weights) == 1:
            return predict_logits(model, layout, weights[0], cohort)
        parts = [predict_logits(model, layout, own, cohort.hospital(i)) for i, own in enumerate(weights)]
    return np.concatenate(parts)


def _settings(terms: Terms) -> EvaluationSettings:
    if terms.evaluation is None:
        raise ConfigurationError("evaluation: these terms evaluate nothing")
    return terms.evaluation
