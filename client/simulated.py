"""Seeded randomness of a simulated hospital: the same in one process, on Ray, and in its own agent."""

from collections.abc import Callable

from protocol.randomness import Keystream, derive_key
from protocol.terms import RoundPlan


def simulated_stream(seed: int, hospital: str) -> Callable[[RoundPlan], Keystream]:
    """Give a hospital's randomness in a simulation: its own for every study and round, fixed by the seed."""

    def stream(plan: RoundPlan) -> Keystream:
        return Keystream(derive_key("noise", seed, hospital, plan.study, plan.terms_fingerprint, plan.round))

    return stream
