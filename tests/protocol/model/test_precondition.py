"""The map before clipping: what it measures best, how long rows are by it, and how it is undone."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.builders import CHANNEL, small_contract, stream
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model import precondition as maps
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.precondition import precondition, preconditioner_of
from wardround.protocol.model.prior import EFFECT_STDDEV, columns_of_fields, prior_blocks
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms, terms_to_mapping

TREE = {"medicine": ["cardiology", "neurology"], "imaging": []}
LEVELS = (1e-6, 1e-4, 1e-2, 1.0, 1e6)


@pytest.fixture(scope="module")
def contract() -> Contract:
    plain = small_contract()
    plain["features"] |= {
        "channel": CHANNEL,
        "clinic": {"kind": "hierarchical", "column": "clinic", "tree": TREE},
        "score": {"kind": "numeric", "column": "score", "range": [0, 1]},
    }
    return contract_from_mapping({**plain, "crosses": [["age", "channel"]]})


def rows_of(contract: Contract):
    """All scaled rows with one bin in each field, and ranged values of −1, 0 and 1."""
    layout = contract.layout
    fields = [range(place.start, place.stop) for place in columns_of_fields(layout)[1:]]
    ranged = len(layout.values)
    for columns in product(*fields[: len(fields) - ranged]):
        for values in product((-1.0, 0.0, 1.0), repeat=ranged):
            row = np.zeros(layout.width)
            row[[0, *columns]] = 1
            row[layout.width - ranged :] = values
            yield row * column_scale(ModelSettings(), layout)


@pytest.mark.parametrize("level", LEVELS)
def test_rows_stay_as_long_in_the_mean_as_they_were_and_none_is_much_longer(
    contract: Contract, level: float
) -> None:
    rows = np.array(list(rows_of(contract)))
    seen = np.square(precondition(contract, level).apply(rows)).sum(axis=1)
    # Of a uniform value the square is a third in the mean, and so it is with these weights of −1, 0 and 1.
    values = rows[:, -1] / rows[:, 0]
    weights = np.where(values == 0, 2 / 3, 1 / 6)
    assert np.average(seen, weights=weights) == pytest.approx(1.0, rel=1e-9)
    assert seen.max() < 2.5


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_measured_is_undone(contract: Contract, level: float) -> None:
    known = precondition(contract, level)
    gradients = stream("undo").gaussian(3 * contract.layout.width).reshape(3, -1)
    np.testing.assert_allclose(known.undo(known.apply(gradients)), gradients, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(known.apply(gradients), gradients @ known.matrix.T, atol=1e-12)


def test_inner_products_by_bins_are_those_of_rows(contract: Contract) -> None:
    known, rows = precondition(contract, 1e-3), np.array(list(rows_of(contract)))[::7]
    ranged = len(contract.layout.values)
    always = np.arange(contract.layout.width - ranged, contract.layout.width)
    columns = np.array([[*np.flatnonzero(row[: len(row) - ranged]), *always] for row in rows], np.int32)
    entries = np.take_along_axis(rows, columns.astype(np.int64), axis=1)
    each = np.arange(len(rows))
    found = known.products(columns, entries, each, each[::-1])
    seen = known.apply(rows)
    np.testing.assert_allclose(found, (seen * seen[::-1]).sum(axis=1), atol=1e-12)
    squares = known.products(columns, entries, each, each)
    assert (known.bounds(columns, entries) >= squares * (1 - 1e-12)).all()


def test_noise_has_the_stated_covariance_once_undone(contract: Contract) -> None:
    known, width = precondition(contract, 1e-3), contract.layout.width
    noise = known.undo(stream("noise").gaussian(20_000 * width).reshape(-1, width))
    found, stated = noise.T @ noise / len(noise), known.noise_covariance
    size = np.sqrt(np.outer(np.diag(stated), np.diag(stated)))
    # Entries of a covariance from 20,000 draws are off by 0.01 at most times five.
    assert np.abs((found - stated) / size).max() < 0.05
    assert np.abs((found - 4 / 9 * stated) / size).max() > 0.05


def expected_error(contract: Contract, weights: list[np.ndarray], noise_stddev: float) -> float:
    """What is left unknown of the log-odds, from W by field, as the map's own argument has it."""
    scale = float(column_scale(ModelSettings(), contract.layout)[0])
    total = 0.0
    for design, prior, own in zip(
        maps._designs(contract.layout, scale), prior_blocks(contract), weights, strict=True
    ):
        covariance = EFFECT_STDDEV**2 * prior
        seen = design @ covariance @ design
        # In gradients: H P H + s²W⁻¹.
        told = (
            covariance
            @ design
            @ np.linalg.solve(seen + noise_stddev**2 * np.linalg.inv(own), design @ covariance)
        )
        total += float(np.trace(design @ (covariance - told)))
    return total


def test_no_other_weights_of_the_same_size_leave_less_unknown(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As good as no floor, which is there for wrong guesses; without any, W has no inverse.
    monkeypatch.setattr(maps, "FLOOR", 1e-6)
    layout, noise = contract.layout, 3e-3
    scale = float(column_scale(ModelSettings(), layout)[0])
    designs = maps._designs(layout, scale)
    best = [field.matrix @ field.matrix for field in precondition(contract, noise).fields]

    def size(weights: list[np.ndarray]) -> float:
        return sum(float(np.trace(own @ design)) for own, design in zip(weights, designs, strict=True))

    assert size(best) == pytest.approx(maps.BERNOULLI_VARIANCE)
    least = expected_error(contract, best, noise)
    for seed in range(40):
        other = []
        for own in best:
            turn = stream("other", seed).gaussian(own.size).reshape(own.shape)
            other.append(own + (0.02 + seed % 4) * np.abs(own).max() * turn @ turn.T / own.shape[0])
        other = [own * size(best) / size(other) for own in other]
        assert expected_error(contract, other, noise) > least * (1 - 1e-6)
    plain = [np.eye(len(own)) for own in best]
    plain = [own * size(best) / size(plain) for own in plain]
    assert expected_error(contract, plain, noise) > 1.02 * least


def test_what_noise_would_hide_is_asked_less_and_nothing_is_left_out() -> None:
    words = {**CHANNEL, "vocabulary": [f"w{number}" for number in range(60)]}
    plain = small_contract()
    plain["features"] |= {"words": words}
    contract = contract_from_mapping(plain)

    def shares(level: float) -> dict[str, float]:
        known = precondition(contract, level)
        names = ["", *(field.name for field in contract.layout.fields)]
        return {
            name: float(np.linalg.eigvalsh(field.matrix).min())
            for name, field in zip(names, known.fields, strict=True)
        }

    quiet, loud = shares(1e-5), shares(0.02)
    # With much noise the 61 effects of words drown: they keep the floor alone.
    assert loud["words"] / loud["age"] < quiet["words"] / quiet["age"]
    assert min(*quiet.values(), *loud.values()) > 0.05


def test_terms_carry_the_level_and_other_studies_do_not_know_of_it(make_terms) -> None:
    plain = make_terms(optimizer="newton", moment_rounds=1, learning_rate=0.5, rounds=20)
    assert preconditioner_of(plain) is None
    assert "precondition" not in terms_to_mapping(plain)
    asked = replace(plain, precondition=0.01)
    assert terms_from_mapping(terms_to_mapping(asked)) == asked
    assert asked.fingerprint != plain.fingerprint
    known = preconditioner_of(asked)
    assert known is preconditioner_of(asked)
    assert known is not None
    np.testing.assert_array_equal(known.matrix, precondition(asked.contract, 0.01).matrix)


@pytest.mark.parametrize("level", [-1.0, 1e-7, 2e6, math.nan, math.inf])
def test_a_level_out_of_bounds_is_refused(make_terms, level: float) -> None:
    plain = make_terms(optimizer="newton", moment_rounds=1, learning_rate=0.5, rounds=20)
    with pytest.raises(ConfigurationError, match=r"precondition=.*must be 0, or from 1e-06 to 1e"):
        replace(plain, precondition=level)


def test_only_newton_s_gradients_are_preconditioned(make_terms) -> None:
    plain: Terms = make_terms(optimizer="sgd")
    with pytest.raises(ConfigurationError, match=r"precondition=0\.1.*newton"):
        replace(plain, precondition=0.1)


def test_a_hospital_factors_no_matrix_beyond_the_bound(make_terms) -> None:
    plain = make_terms(optimizer="newton", moment_rounds=1, learning_rate=0.5, rounds=20)
    words = {**CHANNEL, "vocabulary": [f"w{number}" for number in range(2_000)]}
    wide = contract_from_mapping(small_contract(features={"words": words}))
    assert wide.layout.width == 2_002
    assert replace(plain, contract=wide).precondition == 0
    with pytest.raises(ConfigurationError, match=r"columns of the contract=2002.*at most 2000"):
        replace(plain, contract=wide, precondition=0.1)
