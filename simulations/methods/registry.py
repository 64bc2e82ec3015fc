"""All methods by name, and the run of one at a verified ε."""

from collections.abc import Callable, Mapping

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods.boosting import boosting
from wardround.simulations.methods.channel import Attempt
from wardround.simulations.methods.local_steps import fedavg, fedprox, mean_regularised
from wardround.simulations.methods.newton import newton, variant
from wardround.simulations.methods.opacus_fedavg import opacus_fedavg
from wardround.simulations.methods.personal import ADAM, WIDE_DEEP, personal

Challenger = Callable[[Federation, PrivacySettings, int], Attempt]
"""(federation, privacy, seed of the noise) → logits of the held-out events, and what was released.

``privacy.epsilon``, ``delta`` and ``noise`` are the target; a challenger has a clip norm of its own.
"""

CHALLENGERS: Mapping[str, Challenger] = {
    "boosting": boosting,
    "newton_gram": newton(variant(), "newton_gram"),
    "newton_gram_identity": newton(variant(prior="identity"), "newton_gram_identity"),
    "newton_gram_hierarchical": newton(variant(prior="hierarchical"), "newton_gram_hierarchical"),
    "newton_gram_weighted": newton(variant(weight_exponent=0.25, clip_norm=0.35), "newton_gram_weighted"),
    "fedavg_tuned": fedavg,
    "opacus_fedavg": opacus_fedavg,
    "fedprox": fedprox,
    "mean_regularised": mean_regularised,
    "wide_deep": personal("none", WIDE_DEEP, ADAM),
    "frozen_body": personal("last_layer", WIDE_DEEP, ADAM),
    "offset_and_slope": personal("intercept_slope"),
    "mixture": personal("mixture"),
    "boosted": personal("boosted"),
}
"""Methods from elsewhere; what ships is run by the study's own rounds (``simulations.study.study``)."""
LOCAL_ONLY = frozenset({"fedavg_tuned", "opacus_fedavg", "fedprox", "mean_regularised"})
"""Methods whose every release must be private by itself: there is no sum that could share the noise."""


def attempt(name: str, federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Run one challenger, and compose what it released.

    ConfigurationError where the composed ε exceeds ``privacy.epsilon``, or the method knows no shared noise.
    """
    if name in LOCAL_ONLY and not privacy.mode.alone:
        raise ConfigurationError(
            f"privacy.noise={privacy.noise}: {name} always adds full noise at each hospital"
        )
    found = CHALLENGERS[name](federation, privacy, seed)
    spent = found.epsilon(privacy.delta)
    # Not `>`: an ε that is no number is refused, too.
    if not spent <= privacy.epsilon:
        raise ConfigurationError(f"{name} spent ε={spent:.4g}, above privacy.epsilon={privacy.epsilon}")
    return found
