"""How the noise of a study is shared out over its rounds: less where a round weighs more, at the same ε.

Newton's final weights are read from Σ w_t ĝ_t ÷ Σ w_t (``server.algorithm.newton``), so that the noise in them has the
variance Σ w_t² σ_t² ÷ (Σ w_t)². At full participation ε depends on M = Σ 1/σ_t² alone (Dong, Roth and Su 2019). By
Cauchy and Schwarz

    (Σ w_t² σ_t²) (Σ 1/σ_t²) ≥ (Σ w_t)²,  with equality exactly where w_t σ_t ∝ 1/σ_t,  so  σ_t² = Σ w / (M w_t).

That is the least variance at this ε, whatever the gradients are. Equal noise has n Σ w² ÷ (Σ w)² times as much: a
third more for the weights 1, 2 … n. But the first gradients are then so noisy that later ones are linearised where
that noise led, which costs more than the last of the variance is worth. So σ_t² ∝ w_t^−½ here (``EXPONENT``): 7 %
above the least variance, and on the zoo 0.0003 to 0.001 AUC better than the least wherever there is much to learn.
(Neyman 1934 shares out a sample over strata by the same inequality; for gradient descent, Hong, Wang and Zhou 2022,
"Dynamic privacy budget allocation improves data efficiency of differentially private gradient descent".)

All of it follows from public settings.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, round_up
from wardround.protocol.privacy.gaussian_dp import gaussian_parameter
from wardround.protocol.terms.settings import EQUAL, TrainingSettings
from wardround.protocol.terms.terms import Terms

EXPONENT = 0.5
"""σ_t² ∝ w_t^−this: 0 is equal noise, 1 the least variance."""
MOMENT_WEIGHT = 1.0
"""Weight of a moment round, in that of a mean gradient: its noise moves the curvature and not the gradients' mean."""


INTERACTIONS_SHARE = 0.3
"""Of the budget Σ 1/σ², for the round that asks for interactions; chosen on the zoo (docs/lab/methods.md)."""


def round_weights(
    training: TrainingSettings, spare_rounds: int = 0, interactions: bool = False
) -> tuple[float, ...]:
    """Give the weight of each round in the final model, spare ones last; all 1 but for newton.

    interactions: whether the last round asks for them; it weighs as much as gives it ``INTERACTIONS_SHARE``.

    Which round a spare one stands in for: where a round is void all later ones move on by one number, so that the last
    gradient falls on the spare round, whatever was void. It weighs as the mean gradient all the same. Mostly no round
    is void, and the weight of the last of ten rounds would cost half as much of the budget again, for nothing. Privacy
    does not depend on it: a spare round is charged its own noise.
    """
    rounds, moments = training.rounds, training.moment_rounds
    if training.optimizer != "newton":
        return (1.0,) * (rounds + spare_rounds)
    gradients = range(1, rounds - moments - interactions + 1)
    mean = sum(gradients) / len(gradients)
    main, spare = (*(MOMENT_WEIGHT * mean,) * moments, *map(float, gradients)), (mean,) * spare_rounds
    others = math.fsum(weight**EXPONENT for weight in (*main, *spare))
    last = (others * INTERACTIONS_SHARE / (1 - INTERACTIONS_SHARE)) ** (1 / EXPONENT)
    return (*main, *(last,) * interactions, *spare)


def weighted_multipliers(weights: Sequence[float], epsilon: float, delta: float) -> tuple[float, ...]:
    """Give the noise multiplier of each round by its weight, for unsampled rounds that cost at most ``epsilon``.

    Guarantee: ``compose_epsilon`` of them is at most ``epsilon``, and within 0.1 % of it; each is rounded up in the
    fifth significant digit. ConfigurationError where epsilon or delta is out of range.
    """
    shares = [weight**EXPONENT for weight in weights]
    total, target = math.fsum(shares), epsilon
    while True:
        parameter = gaussian_parameter(target, delta)
        each = tuple(round_up(math.sqrt(total / share) / parameter) for share in shares)
        if compose_epsilon(map(PrivacyEvent, each), delta) <= epsilon:
            return each
        # Composing rounds up by a millionth, which rounding each multiplier up does not always make good.
        target *= 1 - 2e-6


def scaled(terms: Terms, factor: float) -> Terms:
    """Give the terms with every round's noise times a factor, in five digits, rounded up."""
    each = tuple(round_up(one * factor) for one in terms.round_noise_multipliers)
    return replace(terms, round_noise_multipliers=each, noise_multiplier=min(each))


def with_equal_noise(terms: Terms) -> Terms:
    """Give the terms with equal noise in every round, at the same ε (full participation); equal noise as it is."""
    privacy, each = replace(terms.privacy, schedule=EQUAL), terms.round_noise_multipliers
    if not each:
        return replace(terms, privacy=privacy)
    equal = math.sqrt(len(each) / math.fsum(one**-2 for one in each))
    return replace(terms, privacy=privacy, noise_multiplier=equal, round_noise_multipliers=())
