"""The column of propensities: what it does to its own row, and that it does nothing to any other."""

import random
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import visits_contract
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.readable import check_types, count_unreadable
from wardround.client.connectors.source import Tables, read_tables
from wardround.client.connectors.swapped import swapped_columns
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import TableError

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KEY = b"a hospital's key"
FEATURES = {"past": {"kind": "history", "statistic": "count", "edges": [1, 2]}}
PLAIN = visits_contract(features=FEATURES)
CONTRACT = contract_from_mapping({**PLAIN, "propensity": {"column": "chance", "least": 0.1}})


def tables(visits):
    """visits: (patient, booked, due, came, chance)."""
    names = ("id", "booked", "due", "came", "chance")
    return Tables(pl.DataFrame([dict(zip(names, row, strict=True)) for row in visits]))


def weighed(read):
    """Give row → importance of what may be learned from or measured on."""
    admitted = admit(read, CONTRACT, KEY, NOW)
    found = {}
    for frame in (admitted.training, admitted.heldout):
        cohort = encode(frame, CONTRACT)
        found |= dict(zip(cohort.rows.tolist(), cohort.importance.tolist(), strict=True))
    return found


@pytest.mark.parametrize(
    ("cell", "importance"),
    [("0.1", 1.0), ("0.2", 0.5), ("1", 0.1), (" 1e-1 ", 1.0), ("0.05", 1.0), (0.5, 0.2), (1, 0.1)],
)
def test_an_event_weighs_by_its_cell(cell, importance):
    read = tables([("a", "2024-01-10", "2024-02-10", "1", cell)])
    assert weighed(read) == {0: pytest.approx(importance, rel=1e-15)}


@pytest.mark.parametrize(
    "cell", [None, "", "NA", "0", "-0.5", "1.0001", "50", "50%", "nan", "inf", "-inf", "1e400", "x", True + 1]
)
def test_a_cell_that_is_no_probability_makes_its_event_history_alone(cell):
    drawn = ("a", "2024-03-01", "2024-03-10", "1", 0.5 if isinstance(cell, int) else "0.5")
    read = tables([("a", "2024-01-10", "2024-02-10", "1", cell), drawn])
    admitted = admit(read, CONTRACT, KEY, NOW)
    (frame,) = (one for one in (admitted.training, admitted.heldout) if len(one))
    assert frame["row"].to_list() == [1]
    assert frame["feature:past"].to_list() == [1]  # it was sent, and its patient knows it
    assert admitted.counts["without a propensity"] == 1


def test_what_is_only_scored_needs_none():
    admitted = admit(tables([("a", "2024-05-30", "2024-07-01", None, None)]), CONTRACT, KEY, NOW)
    assert len(admitted.undecided) == 1
    assert np.isnan(encode(admitted.undecided, CONTRACT).importance).all()
    assert admitted.counts["without a propensity"] == 0


def test_a_contract_that_names_none_never_reads_the_column():
    plain = contract_from_mapping(PLAIN)
    read = tables([("a", "2024-01-10", "2024-02-10", "1", "no number")])
    admitted = admit(read, plain, KEY, NOW)
    frame = pl.concat([admitted.training, admitted.heldout])
    assert len(frame) == 1
    assert encode(frame, plain).importance is None
    assert "without a propensity" not in admitted.counts


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_other_patients_cells_and_the_order_of_rows_never_matter(seed):
    rng = random.Random(seed)
    cells = ["0.5", "0.1", "1", "", None, "x", "7", "0"]
    visits = [
        (rng.choice(["a", "b", "c"]), "2024-01-10", rng.choice(["2024-02-10", "2024-02-11"]), "1", rng.choice(cells))
        for _ in range(10)
    ]  # fmt: skip
    mine = {row for row, visit in enumerate(visits) if visit[0] == "a"}
    whole = weighed(tables(visits))
    others = [visit if row in mine else (*visit[:4], rng.choice(cells)) for row, visit in enumerate(visits)]
    changed = weighed(tables(others))
    assert {row: w for row, w in changed.items() if row in mine} == {
        row: w for row, w in whole.items() if row in mine
    }
    shuffled = rng.sample(visits, len(visits))
    assert sorted(weighed(tables(shuffled)).values()) == sorted(whole.values())


def test_a_cohort_keeps_it_through_every_cut():
    visits = [(name, "2024-01-10", "2024-02-10", "1", chance) for name, chance in
              (("a", "0.1"), ("b", "0.2"), ("c", "0.4"), ("d", "0.5"), ("e", "0.8"), ("f", "1"))]  # fmt: skip
    admitted = admit(tables(visits), CONTRACT, KEY, NOW)
    cohort = encode(pl.concat([admitted.training, admitted.heldout]).sort("token_high"), CONTRACT)
    chosen = np.array([1, 3, 4])
    assert cohort.take(chosen).importance.tolist() == cohort.importance[chosen].tolist()
    assert cohort.hospital(0).importance.tolist() == cohort.importance.tolist()


def test_a_column_in_percent_is_a_fault_that_names_the_remedy():
    read = tables([(f"p{i}", "2024-01-10", "2024-02-10", "1", "50") for i in range(20)])
    (found,) = [one for one in count_unreadable(read, CONTRACT) if one.column == "chance"]
    assert (found.unreadable, found.given) == (20, 20)
    with pytest.raises(
        TableError, match="column chance: 20 of 20 rows do not parse as a probability above 0"
    ):
        check_types(read, CONTRACT)
    with_comma = tables([(f"p{i}", "2024-01-10", "2024-02-10", "1", "0,5") for i in range(20)])
    with pytest.raises(TableError, match=r'set format\.decimal to ","'):
        check_types(with_comma, CONTRACT)


def test_columns_that_are_crossed_are_named():
    read = tables([(f"p{i}", "2024-01-10", "0.5", "1", "2024-02-10") for i in range(20)])
    assert swapped_columns(read, CONTRACT) == [(("messages", "due"), ("messages", "chance"))]


def test_a_table_without_the_column_says_so(tmp_path):
    (tmp_path / "messages.csv").write_text("id,booked,due,came\na,2024-01-10,2024-03-10,1\n")
    source = source_from_mapping({"messages": {"path": "messages.csv"}}, tmp_path)
    with pytest.raises(TableError, match="column chance is missing"):
        read_tables(source, CONTRACT).part("messages", CONTRACT).collect()
