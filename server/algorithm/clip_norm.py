"""The clip norm of a study where nobody chose one: smaller where noise would drown what is learned.

A design row has norm at most 1, so that a patient's first gradient is at most the residual C₀ of the rarer outcome
under a model that knows the expected rate (``Label.expected_residual``). At C₀ nothing is cut at the start, and a
larger bound would only add noise. A smaller one, c C₀, divides all noise by 1/c and biases what is learned: it cuts
the rare outcome first, and patients with few messages more than those with many, whose mean gradient is shorter.
Without noise the bias is all there is, and c = 1. Where noise rules, half the noise is worth more than what is cut;
but once nearly everybody is cut the signal falls as the noise does, and nothing is gained below. So c falls from 1 to
½ with

    ρ = √parameters · (noise in one coordinate of the mean gradient over all rounds) ÷ clip norm,

the norm of the noise in units of the largest gradient: ε, patients, hospitals, parameters and noise mode in one public
number, on which no clip norm has a bearing. ρ = 0.02, where c is halfway, was chosen on the choosing half of the zoo
(docs/lab/methods.md). Bias against noise in clipped means: Amin, Kulesza, Muñoz Medina and Vassilvitskii 2019,
"Bounding user contributions: a bias-variance trade-off in differential privacy".
"""

import math
from dataclasses import replace

from wardround.protocol.model.model import main_count
from wardround.protocol.terms.settings import BY_RULE
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.noise_choice import mean_noise_stddev
from wardround.server.algorithm.noise_schedule import with_equal_noise

LEAST_SHARE = 0.5
"""c where noise is all there is."""
HALFWAY = 0.02
"""ρ at which c is halfway between 1 and LEAST_SHARE."""


def with_clip_norm(terms: Terms, chosen: float) -> Terms:
    """Give the terms with the clip norm that was chosen, or (0) the rule's, in three digits."""
    if chosen != BY_RULE:
        return replace(terms, privacy=replace(terms.privacy, clip_norm=chosen))
    largest = terms.contract.label.expected_residual
    at_largest = replace(terms, privacy=replace(terms.privacy, clip_norm=largest))
    ruled = float(f"{largest * share_of(noise_to_signal(at_largest)):.3g}") if _applies(terms) else largest
    return replace(terms, privacy=replace(terms.privacy, clip_norm=ruled))


def share_of(ratio: float) -> float:
    """c, in [½, 1] and decreasing in ρ = ratio ≥ 0."""
    return LEAST_SHARE + (1 - LEAST_SHARE) / (1 + ratio / HALFWAY)


def noise_to_signal(terms: Terms) -> float:
    """ρ of a study with one local step, as if all rounds had equal noise."""
    parameters = main_count(terms.model, terms.contract.layout)
    return math.sqrt(parameters) * mean_noise_stddev(with_equal_noise(terms)) / terms.privacy.clip_norm


def _applies(terms: Terms) -> bool:
    """Whether the argument holds: rows of norm at most 1 (hidden layers add to that), and sums of gradients."""
    training = terms.training
    return terms.model.structure.convex and training.local_steps == 1 and training.aggregate == "sum"
