"""A federation's hospitals answering plans by their own wards, as the carriers have them."""

from collections.abc import Callable, Sequence
from typing import Any

from wardround.client.round.answer_request import answer_request
from wardround.protocol.terms.request import TABLES, UPDATE
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.server.algorithm.screen import NoRelease
from wardround.simulations.federation.federation import OPERATOR, Federation

Answers = Callable[[Sequence[RoundPlan]], list[Any]]


def answering(
    of: Terms, place: Federation, absent: Callable[[RoundPlan], bool] = lambda plan: False
) -> Answers:
    """Answer plans by the hospitals' own wards; who is absent gives a word in a release's place."""
    wards = {ward.hospital: ward for ward in place.wards(of)}
    admit = {UPDATE.account: place.admit, TABLES.account: place.admit_heldout}

    def answer(asked: Sequence[RoundPlan]) -> list[Any]:
        found = answer_request(asked, [wards[one.hospital] for one in asked], of, OPERATOR, admit)
        pairs = zip(asked, found, strict=True)
        return [NoRelease(p.hospital, "late") if absent(p) else one for p, one in pairs]

    return answer
