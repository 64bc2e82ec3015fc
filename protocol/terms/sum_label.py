"""Which slot of the secure sum a round's plan is about, and the label that all its members must have alike."""

from dataclasses import fields

from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.secure_sum.label import Slot, SumLabel
from wardround.protocol.terms.terms import RoundPlan

TRAINING_SUM, TABLES_SUM = "round", "tables"
"""The kinds of slot. What a training round asks (an update or mean rows) costs the same and stands in the plan."""


def slot_of(account: str, number: int) -> Slot:
    """Give the slot of an account's round."""
    return Slot(account, TRAINING_SUM if account == "training" else TABLES_SUM, number)


def label_of(plan: RoundPlan, roster: bytes, dimension: int, grid: Grid) -> SumLabel:
    """Say what the sum that a plan asks for is about. roster: ``Roster.digest``; dimension: d, numbers in the sum.

    All fields of a plan that members must have been told alike are in it, also those that plans get one day.
    """
    return SumLabel(
        study=plan.study,
        terms=plan.terms_fingerprint,
        roster=roster,
        slot=slot_of(plan.account, plan.round),
        plan={name: getattr(plan, name) for name in _ALIKE},
        weights=plan.weights_digest,
        dimension=dimension,
        grid=grid,
    )


# Weights, study and terms have places of their own in the label.
_APART = ("study", "hospital", "terms_fingerprint", "weights", "ledger_head")
_ALIKE = tuple(one.name for one in fields(RoundPlan) if one.name not in _APART)
