"""The secure sums of a study: which there are, the noise of one hospital in each, and the label of one."""

from wardround.protocol.secure_sum.label import Slot, SumLabel
from wardround.protocol.terms.request import request_in, requests_of
from wardround.protocol.terms.secure_sum import SumNoise
from wardround.protocol.terms.sum_label import label_of, slot_of
from wardround.protocol.terms.terms import RoundPlan, Terms


def slots_of(terms: Terms) -> tuple[Slot, ...]:
    """Give a study's slots in their order: training, spare ones last, then tables; none without secure sums.

    A slot's number is that of the round whose plan asks for it. Tables have no spare.
    """
    if terms.secure_sum is None:
        return ()
    return tuple(
        slot_of(kind.account, number) for kind in requests_of(terms) for number in kind.rounds(terms)
    )


def sum_noise(terms: Terms, plan: RoundPlan) -> SumNoise:
    """Give grid and share of noise of the sum that a plan asks for; ValueError where the terms have no secure sums.

    They follow from the plan's round alone, whatever it asks: spare rounds have noise of their own, as the others.
    """
    return request_in(plan, terms).sum_noise(terms, plan.round)


def sum_label(plan: RoundPlan, roster: bytes, terms: Terms) -> SumLabel:
    """Say what sum a plan asks for, from everything that its members must have been told alike.

    roster: ``Roster.digest``. Members and server read it here, so that they cannot have other labels of one plan.
    """
    noise = sum_noise(terms, plan)
    return label_of(plan, roster, noise.dimension, noise.grid)
