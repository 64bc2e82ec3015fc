"""The zoo: a balanced design, contracts that no table shaped, and tables whose truth is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from wardround.simulations.federation.federation import through_gate
from wardround.simulations.measures.metrics import auc
from wardround.simulations.population.patients import stream
from wardround.simulations.population.zoo import draw_zoo, intercept_for
from wardround.simulations.population.zoo_design import (
    BY_NAME,
    FACTORS,
    LEVELS,
    PARTS,
    ZOO,
    levels,
)
from wardround.simulations.population.zoo_fields import fields_of, named_pairs, round_edges, zoo_contract
from wardround.simulations.population.zoo_truth import Logit, Recorded, draw_plan, main_effect, step

SMALL = replace(
    BY_NAME["zoo_09"],
    patients=3000,
    hospitals=12,
    events=2.5,
    fields=14,
    words=60,
    skew=1.5,
    missing=0.2,
    shift=0.5,
)


def test_each_factor_has_each_level_once_and_each_part_covers_its_range() -> None:
    table = np.array(levels())
    assert table.shape == (36, len(FACTORS)) == (36, 15)
    for column in table.T:
        assert sorted(column[:24]) == list(range(LEVELS))
        # Of two neighbouring levels one is in each part.
        for part in (column[:12], column[12:24], column[24:]):
            assert sorted(part // 2) == list(range(12))
    assert [one.part for one in ZOO] == [part for part in PARTS for _ in range(12)]


def test_no_factor_is_confounded_with_another() -> None:
    table = np.array(levels())
    above = np.triu_indices(len(FACTORS), 1)
    assert np.abs(np.corrcoef(table[:24].T)[above]).max() < 0.03
    assert np.abs(np.corrcoef(table.T)[above]).max() < 0.1
    # Twelve runs cannot hold fifteen factors apart: half as much as would confound two is what there is.
    for part in (table[:12], table[12:24], table[24:]):
        assert np.abs(np.corrcoef(part.T)[above]).max() < 0.5


def test_no_fresh_federation_is_one_that_was_seen() -> None:
    rows = [tuple(row) for row in levels()]
    assert len(set(rows)) == 36
    same = replace(BY_NAME["zoo_13"], number=25)
    # Equal in every factor, and yet other tables and other interactions: the number seeds them.
    assert not draw_zoo(same, 1).patients.equals(draw_zoo(BY_NAME["zoo_13"], 1).patients)


def test_the_zoo_spans_what_was_asked_for_and_holds_nothing_that_nobody_would_study() -> None:
    for name, low, high in (
        ("hospitals", 3, 300),
        ("patients", 500, 500_000),
        ("fields", 5, 60),
        ("words", 40, 1000),
    ):
        values = [getattr(one, name) for one in ZOO]
        assert (min(values), max(values)) == (low, high)
    rates = [one.base_rate for one in ZOO]
    assert (min(rates), max(rates)) == pytest.approx((0.03, 0.95))
    for one in ZOO:
        messages = one.patients * one.events
        assert one.patients >= 8 * one.hospitals
        assert messages * min(one.base_rate, 1 - one.base_rate) >= 59
        assert messages <= 1.51e6
        assert messages * one.fields <= 3.01e7
        assert one.delta * one.patients <= 0.1


def test_every_contract_is_read_and_names_every_field_but_no_hidden_interaction() -> None:
    for one in ZOO:
        contract = zoo_contract(one)
        assert {f.name for f in contract.features} == {f.name for f in fields_of(one)} | {
            "past_engaged",
            "past_missed",
        }
        assert len(fields_of(one)) == one.fields
        assert {f.table for f in fields_of(one)} == {"messages", "patients"}
        plan = draw_plan(stream(1, 1), one)
        crossed = [set(pair) for pair in named_pairs(one)]
        assert all(set(group) not in crossed for group in (*plan.pairs, *plan.triples))
        assert len(plan.strength) == max(1, round(one.active * one.fields))


@pytest.mark.parametrize(
    ("low", "high", "edges"),
    [(0.18, 550.0, [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]), (6.0, 13.0, [7, 8, 9, 10, 11, 12])],
)
def test_edges_are_round_numbers_that_a_person_would_write(
    low: float, high: float, edges: list[float]
) -> None:
    assert round_edges(low, high) == pytest.approx(edges)


def test_equal_seed_equal_tables_and_another_seed_others() -> None:
    first, again, other = draw_zoo(SMALL, 3), draw_zoo(SMALL, 3), draw_zoo(SMALL, 4)
    assert first.messages.equals(again.messages)
    assert first.patients.equals(again.patients)
    np.testing.assert_array_equal(first.true_probability, again.true_probability)
    assert not first.patients.equals(other.patients)


def test_tables_are_as_the_design_says() -> None:
    drawn = draw_zoo(SMALL, 1)
    assert drawn.patients.height == 3000
    assert drawn.messages.height == pytest.approx(7500, abs=1)
    assert drawn.messages["hospital"].n_unique() == 12
    sizes = drawn.patients["hospital"].value_counts(sort=True)["count"].to_list()
    share = [size / sizes[0] for size in sizes[:3]]
    assert share == pytest.approx([rank**-SMALL.size_exponent for rank in (1, 2, 3)], rel=0.05)
    cells = pl.concat(
        [drawn.messages.select(pl.col("^(words|number|range|category|yes).*$")).unpivot()], how="vertical"
    )
    assert cells["value"].null_count() / cells.height == pytest.approx(SMALL.missing, abs=0.08)
    numbers = drawn.patients.select(pl.col("^(number|range).*$")).to_series().drop_nulls().log()
    assert float(numbers.std() or 0) == pytest.approx(SMALL.skew, rel=0.15)


def test_the_true_probability_is_calibrated_and_at_the_designs_rate() -> None:
    drawn = draw_zoo(replace(SMALL, patients=12_000, trait=1.0), 2)
    came = drawn.messages["came"].cast(pl.Int64).to_numpy()
    assert came.mean() == pytest.approx(SMALL.base_rate, abs=0.02)
    order = np.argsort(drawn.true_probability)
    for part in np.array_split(order, 10):
        expected = drawn.true_probability[part]
        noise = np.sqrt((expected * (1 - expected)).sum()) / len(part)
        assert abs(came[part].mean() - expected.mean()) < 4 * noise


def test_tables_pass_the_gate_with_all_patients_and_what_is_known_of_the_past_tells() -> None:
    drawn, contract = draw_zoo(replace(SMALL, trait=1.2), 5), zoo_contract(SMALL)
    found = through_gate(drawn.tables, contract, drawn.hospitals, 5, drawn.as_of, {}, drawn.true_probability)
    assert found.training.patient_count + found.heldout.patient_count == 3000
    assert not {reason: n for reason, n in found.counts.items() if n and "set aside" in reason}
    # Every word of a table is in the vocabulary: "other" holds gaps alone.
    assert found.true_probability is not None
    assert auc(found.heldout.labels, found.true_probability) > 0.65
    past = [f.name for f in contract.layout.features].index("past_engaged")
    known = found.heldout.known
    engaged_before = (found.heldout.bins[known, past] > 0).astype(float)
    assert auc(found.heldout.labels[known], engaged_before) > 0.52


def test_a_gap_has_no_effect_and_effects_are_standard() -> None:
    number, words = fields_of(SMALL)[1], fields_of(SMALL)[0]
    rng = stream(1, 2)
    gap = rng.random(4000) < 0.3
    for one, recorded in (
        (number, Recorded(np.zeros(0, np.int64), rng.normal(size=4000), gap)),
        (words, Recorded(rng.integers(0, words.size, 4000), np.zeros(0), gap)),
    ):
        for values in (main_effect(rng, one, recorded), step(rng, one, recorded)):
            assert not values[gap].any()
            assert values[~gap].std() > 0.3


def test_the_log_odds_have_the_designs_signal_and_hidden_shares() -> None:
    rng, shares = stream(7, 1), {}
    for hidden in (False, True):
        federation = replace(SMALL, signal=1.4, pairs=0.3 * hidden, triples=0.2 * hidden)
        logit = Logit(draw_plan(stream(7, 2), federation), np.zeros(5000))
        for one in fields_of(federation):
            codes = rng.integers(0, one.size, 5000) if one.size else np.zeros(0, np.int64)
            recorded = Recorded(codes, rng.normal(size=5000), np.zeros(5000, np.bool_))
            logit.add(rng, one, recorded, None, np.ones(5000))
        total = logit.total(federation)
        assert total.std() == pytest.approx(1.4, rel=0.08)
        shares[hidden] = np.corrcoef(total, logit.main)[0, 1] ** 2
    assert shares[False] == pytest.approx(0.9, abs=0.06)
    assert shares[True] == pytest.approx(0.4, abs=0.08)


def test_the_intercept_gives_the_rate_with_and_without_a_trait() -> None:
    logit = np.random.default_rng(0).normal(size=20_000)
    for trait in (0.0, 1.2):
        found = intercept_for(0.07, logit, trait)
        drawn = logit + found + trait * np.random.default_rng(1).binomial(4, 0.5, 20_000) - 2 * trait
        assert (1 / (1 + np.exp(-drawn))).mean() == pytest.approx(0.07, abs=0.005)
