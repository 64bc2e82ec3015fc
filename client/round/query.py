"""A query at a hospital: policy → charge → gate → one noised table of an account. No model is read or trained.

The same order as in ``client.round.participate``: charged before anything is read.
"""

from collections.abc import Sequence

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.round.bounded_tables import bounded_tables
from wardround.client.round.participate import answer_plans
from wardround.client.round.ward import Admit, Answered, Ward
from wardround.protocol.arrays import Floats, Integers, Numbers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.integer_release import noised_integers
from wardround.protocol.terms.query import UPLIFT, QuerySettings, query_shape
from wardround.protocol.terms.request import QUERY, RequestKind
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.terms.uplift import uplift_scale


def answer_query(
    plans: Sequence[RoundPlan],
    wards: Sequence[Ward],
    terms: Terms,
    operator: str,
    admit: Admit,
    request: RequestKind = QUERY,
) -> list[Answered]:
    """Answer one query's plan per ward, in order: with a noised table, or with the refusal of a clause.

    admit gives the wards' patients of the request's account, and is called once all of them have been charged.
    Guarantees as ``participate``'s (test_query.py).
    """
    return answer_plans(request, plans, wards, terms, operator, admit, _table_of_plan)


def _table_of_plan(
    terms: Terms,
    request: RequestKind,
    weights: Floats,
    cohort: Cohort,
    streams: Sequence[Keystream],
    hospitals: Sequence[str],
    round_number: int,
) -> Numbers:
    """Read nothing of a plan: what is asked stands in the terms."""
    return noised_query(terms, cohort, streams, request.word)


def noised_query(
    terms: Terms, cohort: Cohort, streams: Sequence[Keystream], word: str = QUERY.word
) -> Numbers:
    """Compute each hospital's noised table: float64 [hospitals, query_size], int64 in secure sums.

    word: of the request, which names the noise's own stream.

    Guarantee: Gaussian noise of ``terms.hospital_noise_stddev(1)`` on sums that one patient moves by at most 1
    (``bounded_tables``), an empty hospital's included. ConfigurationError where the terms ask nothing.
    """
    if terms.query is None:
        raise ConfigurationError(
            "query: these terms train a model, and ask for no table of training patients"
        )
    table = query_table(terms.contract, terms.query, cohort)
    own = [stream.child(word) for stream in streams]
    if terms.secure_sum is not None:
        noise = terms.update_noise(1)
        return noised_integers(table, noise.grid, noise.shares.variance, own)
    return add_noise(table, terms.hospital_noise_stddev(1), own)


def query_table(contract: Contract, query: QuerySettings, cohort: Cohort) -> Floats:
    """Sum up each hospital's table before noise: float64 [hospitals, query_size].

    Guarantee: adding or removing one patient moves a hospital's row by at most 1 in L2 norm (test_query.py,
    test_uplift_query.py).
    """
    cells = query_cells(query, cohort)
    tables = bounded_tables(contract, query_shape(contract, query), cells, cohort)
    return uplift_scale(contract).released(tables) if query.kind == UPLIFT else tables


def query_cells(query: QuerySettings, cohort: Cohort) -> Integers:
    """Give the cell of each event, int64 [events]: of ``feasibility`` its label, of ``uplift`` its arm and label.

    ValueError for an uplift query of patients whose arms were not read.
    """
    label = (cohort.labels > 0.5).astype(np.int64)
    if query.kind != UPLIFT:
        return label
    if cohort.arms is None:
        raise ValueError("uplift: these patients were read without their arms")
    return 2 * cohort.arms.astype(np.int64) + label
