"""All methods by name, and the run of one at a verified ε."""

from collections.abc import Callable, Mapping

from protocol.errors import ConfigurationError
from protocol.settings import PrivacySettings
from simulations.challengers.channel import Attempt
from simulations.federation import Federation

Challenger = Callable[[Federation, PrivacySettings, int], Attempt]
"""(federation, privacy, seed of the noise) → logits of the held-out events, and what was released.

``privacy.epsilon``, ``delta`` and ``noise`` are the target; a challenger has a clip norm of its own.
"""

CHALLENGERS: Mapping[str, Challenger] = {}
"""Methods from elsewhere; what ships is run by the study's own rounds (``simulations.study``)."""
LOCAL_ONLY: frozenset[str] = frozenset()
"""Methods whose every release must be private by itself: there is no sum that could share the noise."""


def attempt(name: str, federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Run one challenger, and compose what it released.

    ConfigurationError where the composed ε exceeds ``privacy.epsilon``, or the method knows no shared noise.
    """
    if name in LOCAL_ONLY and privacy.noise != "local":
        raise ConfigurationError(f"privacy.noise={privacy.noise}: {name} has full noise at each hospital")
    found = CHALLENGERS[name](federation, privacy, seed)
    spent = found.epsilon(privacy.delta)
    if not spent <= privacy.epsilon:
        raise ConfigurationError(f"{name} spent ε={spent:.4g}, above privacy.epsilon={privacy.epsilon}")
    return found
