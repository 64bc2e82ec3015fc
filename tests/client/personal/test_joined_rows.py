"""Rows in two factors: the same design, hospital by hospital, in far fewer entries."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tests.builders import cohort_of
from wardround.client.personal.joined_rows import JoinedRows, joined_rows
from wardround.client.personal.ridge import design_matrix
from wardround.protocol.contract.layout import Coarse, Cross, Field, Layout

FIELDS = tuple(Field(name, tuple("abcd")) for name in ("age", "channel", "day", "hour", "sex"))
CODES = Field("code", tuple(f"w{index}" for index in range(40)))
GROUPS = Coarse("code (group)", CODES, tuple("abcde"), tuple(index // 8 for index in range(40)))
LAYOUT = Layout(
    (*FIELDS, CODES),
    (Cross(FIELDS[0], FIELDS[4]), Cross(FIELDS[1], CODES)),
    ("lead", "rate"),
    (GROUPS,),
)


@pytest.mark.parametrize(("first", "stop"), [(0, 5), (0, 1), (2, 5)])
def test_joined_rows_are_the_design(first: int, stop: int) -> None:
    cohort = cohort_of(LAYOUT, [300, 0, 40, 1, 900], engaged=0.4)
    plain, joined = design_matrix(LAYOUT, cohort, first, stop), joined_rows(LAYOUT, cohort, first, stop)
    assert_same_rows(joined, plain)
    rng = np.random.default_rng(1)
    effects, amounts = rng.normal(size=plain.shape[1]), rng.normal(size=plain.shape[0])
    np.testing.assert_allclose(joined.dot(effects), plain @ effects, rtol=0, atol=1e-12)
    np.testing.assert_allclose(joined.add_up(amounts), plain.T @ amounts, rtol=0, atol=1e-11)
    sizes = np.abs(plain)
    bound = sizes.T @ (np.abs(amounts) * np.asarray(sizes.sum(axis=1)).ravel())
    np.testing.assert_allclose(joined.add_up_sizes(np.abs(amounts)), bound, rtol=1e-12)


def test_events_that_are_alike_share_their_parts() -> None:
    cohort = cohort_of(LAYOUT, [4000], engaged=0.4)
    plain, joined = design_matrix(LAYOUT, cohort, 0, 1), joined_rows(LAYOUT, cohort, 0, 1)
    assert joined.members.nnz + joined.parts.nnz < 0.7 * plain.nnz
    cohort.bins[:] = cohort.bins[0]
    alike = joined_rows(LAYOUT, cohort, 0, 1)
    # One part for all bins, and two ranged values of each event.
    assert alike.members.nnz == 3 * cohort.event_count
    assert alike.parts.shape[0] == 3


def test_numbers_of_codes_that_no_table_could_hold_are_sorted() -> None:
    fields = tuple(Field(f"f{index}", tuple(f"w{word}" for word in range(400))) for index in range(4))
    layout = Layout(fields, (Cross(*fields[:2]), Cross(*fields[2:])), ())
    cohort = cohort_of(layout, [60, 0], engaged=0.4)
    joined = joined_rows(layout, cohort, 0, 2)
    assert_same_rows(joined, design_matrix(layout, cohort, 0, 2))


def assert_same_rows(joined: JoinedRows, plain: csr_matrix) -> None:
    product = joined.members @ joined.parts
    assert product.shape == plain.shape
    assert abs(product - plain).sum() == 0
    assert plain.nnz
