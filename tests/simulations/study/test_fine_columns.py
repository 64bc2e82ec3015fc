"""Finer columns for boosting: of the very events, consistent with the contract's bins, and from public bounds alone."""

from dataclasses import replace

import numpy as np
import pytest

from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature
from wardround.simulations.federation.federation import Federation, through_gate
from wardround.simulations.population.zoo import draw_zoo
from wardround.simulations.population.zoo_design import BY_NAME
from wardround.simulations.population.zoo_fields import zoo_contract
from wardround.simulations.study.fine_columns import fine_columns, fine_contract, fine_edges

# Twelve messages a patient: more than K, so that some are not drawn.
SMALL = replace(
    BY_NAME["zoo_09"], patients=400, hospitals=5, events=12.0, fields=14, words=60, skew=1.5, missing=0.2
)


@pytest.fixture(scope="module")
def pair() -> tuple[Federation, Federation]:
    drawn, contract = draw_zoo(SMALL, 1), zoo_contract(SMALL)

    def read(by: Contract) -> Federation:
        return through_gate(drawn.tables, by, drawn.hospitals, 1, drawn.as_of, {}, drawn.true_probability)

    return read(contract), read(fine_contract(contract))


def test_fine_columns_are_of_the_same_events_and_refine_the_contracts_bins(
    pair: tuple[Federation, Federation],
) -> None:
    coarse, fine = pair
    assert (
        fine.training.event_count > coarse.training.event_count
    )  # K are drawn for the one, all for the other
    kinds = {feature.name: feature.kind for feature in coarse.contract.features}
    ordered = [
        index for index, field in enumerate(coarse.contract.layout.features)
        if kinds[field.name] in ("numeric", "history")
    ]  # fmt: skip
    for cohort in (coarse.training, coarse.heldout):
        columns = fine_columns(cohort, fine)
        assert columns.shape == (cohort.event_count, len(ordered))
        for place, index in enumerate(ordered):
            own, missing = cohort.bins[:, index], coarse.contract.layout.features[index].size - 1
            values = columns[:, place]
            np.testing.assert_array_equal(np.isnan(values), own == missing)
            known = ~np.isnan(values)
            # Each fine value lies in one bin, and larger values in no smaller bin.
            order = np.lexsort((own[known], values[known]))
            assert (np.diff(own[known][order]) >= 0).all()
            assert len(np.unique(values[known])) >= len(np.unique(own[known]))
    assert len(np.unique(fine_columns(coarse.training, fine)[:, 0])) > 50


def test_an_event_that_is_not_there_has_no_values(pair: tuple[Federation, Federation]) -> None:
    coarse, fine = pair
    rows = coarse.training.rows.copy()
    rows[3] = 10**9
    columns = fine_columns(replace(coarse.training, rows=rows), fine)
    assert np.isnan(columns[3]).all()
    assert not np.isnan(columns).all()


@pytest.mark.parametrize(
    "feature",
    [
        Feature(name="a", kind="numeric", columns=("a",), edges=(18.0, 65.0), valid=(0.0, 115.0)),
        Feature(name="a", kind="numeric", columns=("a",), edges=(-2.5, 0.5)),
        Feature(name="a", kind="gap_days", columns=("a", "b"), edges=(1.0, 8.0), valid=(0.0, 365.0)),
        Feature(name="a", kind="hour", columns=("a",), edges=(9.0, 12.0)),
        Feature(name="a", kind="history", statistic="count", edges=(1.0, 2.0, 4.0)),
        Feature(name="a", kind="history", statistic="rate", edges=(0.34, 1.0)),
    ],
)
def test_edges_are_finer_and_hold_the_contracts_own(feature: Feature) -> None:
    edges = fine_edges(feature)
    assert set(feature.edges) <= set(edges)
    assert (np.diff(edges) > 0).all()
    assert 20 <= len(edges) <= 500
    if feature.valid is not None:
        assert edges[0] >= feature.valid[0]
        assert edges[-1] <= feature.valid[1]
    if feature.kind in ("gap_days", "hour"):
        assert all(edge == round(edge) for edge in edges)


def test_words_keep_their_vocabulary_and_crosses_go() -> None:
    contract = zoo_contract(SMALL)
    fine = fine_contract(contract)
    assert fine.crosses == ()
    words = {f.name: f.vocabulary for f in contract.features if f.vocabulary}
    assert {f.name: f.vocabulary for f in fine.features if f.vocabulary} == words
