"""The label of a sum: the same for all its members, another for whatever they could be told apart by."""

from dataclasses import fields, replace

import numpy as np
import pytest

from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.terms.sum_label import label_of, slot_of
from wardround.protocol.terms.terms import RoundPlan

GRID = Grid(-10, 2**40, 1024)
PLAN = RoundPlan(
    study="tea", hospital="north", round=2, terms_fingerprint="ab" * 32, weights=np.zeros(3, np.float32)
)
OTHER = {
    "study": "tee",
    "round": 3,
    "terms_fingerprint": "cd" * 32,
    "weights": np.ones(3, np.float32),
    "account": "held_out",
}


def digest(plan=PLAN, roster=bytes(32), dimension=3, grid=GRID):
    return label_of(plan, roster, dimension, grid).digest()


def test_members_of_one_sum_have_one_label_whoever_they_are():
    assert digest(replace(PLAN, hospital="south", ledger_head="12" * 32)) == digest()


@pytest.mark.parametrize("name", [one.name for one in fields(RoundPlan) if one.name in OTHER])
def test_whatever_else_a_plan_says_is_in_the_label(name):
    assert digest(replace(PLAN, **{name: OTHER[name]})) != digest()


def test_every_field_of_a_plan_is_in_the_label_or_known_to_differ_by_member():
    label = label_of(PLAN, bytes(32), 3, GRID)
    apart = {"study", "terms_fingerprint", "weights", "hospital", "ledger_head"}
    assert {one.name for one in fields(RoundPlan)} == apart | set(label.plan)


def test_roster_size_and_grid_are_in_the_label():
    others = [digest(roster=bytes(31) + b"1"), digest(dimension=4), digest(grid=Grid(-11, 2**40, 1024))]
    assert len({digest(), *others}) == 4


def test_slots_of_both_accounts():
    assert label_of(PLAN, bytes(32), 3, GRID).slot == slot_of("training", 2) == Slot("training", "round", 2)
    assert slot_of("held_out", 2) == Slot("held_out", "tables", 2)
