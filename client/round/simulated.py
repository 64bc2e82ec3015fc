"""Seeded randomness of a simulated hospital: the same in one process, on Ray, and in its own agent."""

from collections.abc import Callable

from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.terms import RoundPlan


def simulated_stream(seed: int, hospital: str) -> Callable[[RoundPlan], Keystream]:
    """Give a hospital's randomness in a simulation: its own for every study and round, fixed by the seed."""

    def stream(plan: RoundPlan) -> Keystream:
        return Keystream(derive_key("noise", seed, hospital, plan.study, plan.terms_fingerprint, plan.round))

    return stream
