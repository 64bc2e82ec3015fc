"""A noisy Newton method for the additive model: each gradient is read by a Gaussian prior and public noise.

Near its optimum w* the mean loss has the gradient H(w − w*), H the Fisher information (``server.algorithm.fisher``),
and the server sees the average of all rounds' gradients with noise of a public standard deviation s. It also differs
from what all patients like these would give, by chance: with covariance H/n for n patients of one message each (the
information is the gradient's variance), and by no more with several. With the prior w* ~ N(0, τ²K), the posterior
mean's gain of that linear Gaussian model is F = τ²K H (H τ²K H + H/n + s²I)⁻¹ (Rasmussen and Williams 2006, §2.1 and
§2.7; a Wiener filter). Without H/n less noise would be worse: as s falls to zero nothing would be shrunk. The step

    w ← w − η (w + F (ĝ − H w)),        η = 2 ÷ (t + 1) in gradient t,

makes w the posterior mean given the average of all t gradients, each linearised where it was taken and weighted
by its number, so that later ones, taken nearer to w*, say more (weights as in Lacoste-Julien, Schmidt and Bach
2012). There is no step size to choose and no average over a tail: badly and well conditioned directions arrive
together, and a parameter that noise hides stays near zero at no cost to others. (w is counted from what is publicly
expected of it, ``server.algorithm.prior_mean``: the prior's mean. Where rounds have noise of their own, the gradients
also tell how far each field's effects spread, ``server.algorithm.field_spread``.) Noisy second-order steps:
Avella-Medina, Bradshaw and Loh 2023; Ganesh et al. 2023, "Faster differentially private convex optimization via
second-order methods". All of it reads releases only. Where engagement is rare or usual H is smaller
(``server.algorithm.curvature``).
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.model.prior import EFFECT_STDDEV, prior_covariance
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.aggregate import release_weights
from wardround.server.algorithm.curvature import curvature_share
from wardround.server.algorithm.field_spread import by_column
from wardround.server.algorithm.fisher import bin_shares, fisher_information, second_moments

AS_EXPECTED: Floats = np.zeros(0)
"""No factors: every field's effects spread as the prior has it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gain:
    """F and H in factors that serve any noise level: F = outward (Λ + s²I)⁻¹ inward.

    M (H τ²K H + H/n) Mᵀ = V Λ Vᵀ, M what gradients were preconditioned by (``protocol.model.precondition``; else 1).
    inward: Vᵀ M, float64 [D, D]; outward: τ²K H Mᵀ V, [D, D]; strength: the diagonal of Λ, [D], ≥ 0; fisher: H.
    """

    inward: Floats
    outward: Floats
    strength: Floats
    fisher: Floats

    def posterior(self, innovations: Floats, noise_stddev: float | Floats) -> Floats:
        """F times each row: [..., D] -> [..., D]. noise_stddev: s > 0, one number or [..., 1] by row."""
        return np.asarray(
            (innovations @ self.inward.T) / (self.strength + np.square(noise_stddev)) @ self.outward.T
        )

    def step(self, weights: Floats, gradients: Floats, noise_stddev: float | Floats, rate: float) -> Floats:
        """Make one step of each row, η = rate: [..., D] -> [..., D]."""
        innovations = gradients - weights @ self.fisher
        return np.asarray(weights - rate * (weights + self.posterior(innovations, noise_stddev)))


def scaled_prior(contract: Contract, factors: Floats = AS_EXPECTED) -> Floats:
    """τ²K with each field's variance times its factor (``server.algorithm.field_spread``): float64 [width, width].

    τ² is larger where H is smaller (``server.algorithm.curvature``).
    """
    spread = np.sqrt(by_column(contract.layout, factors) / curvature_share(contract))
    return np.asarray(EFFECT_STDDEV**2 * spread[:, None] * prior_covariance(contract) * spread)


def design_fisher(terms: Terms, shares: Floats) -> Floats:
    """H of an additive model whose design has these shares of bins (``server.algorithm.fisher``): [width, width]."""
    layout = terms.contract.layout
    fisher = fisher_information(second_moments(layout, shares), column_scale(terms.model, layout))
    return curvature_share(terms.contract) * fisher


def gain_of(terms: Terms, fisher: Floats, factors: Floats = AS_EXPECTED) -> Gain:
    """Factor the gain for any noise level; of the order of width³ operations, of many more than one solution needs."""
    known, pulled = preconditioner_of(terms), scaled_prior(terms.contract, factors) @ fisher
    seen = np.eye(len(fisher)) if known is None else known.matrix
    # Positive semidefinite: an eigenvalue below 0 is rounding, and could cancel s² in the denominator.
    strength, vectors = np.linalg.eigh(seen @ (fisher @ pulled + chance_variance(terms) * fisher) @ seen.T)
    turned = seen.T @ vectors
    return Gain(inward=turned.T, outward=pulled @ turned, strength=np.maximum(strength, 0), fisher=fisher)


def noise_covariance(terms: Terms, fisher: Floats, noise_stddev: float) -> Floats:
    """Give H/n + s²W⁻¹, what a mean gradient differs by from all patients' like these, float64 [width, width].

    W⁻¹: what became of noise that is alike in every coordinate (``protocol.model.precondition``); else 1.
    """
    known, covariance = preconditioner_of(terms), chance_variance(terms) * fisher
    if known is not None:
        return np.asarray(covariance + noise_stddev**2 * known.noise_covariance)
    covariance[np.diag_indices_from(covariance)] += noise_stddev**2
    return np.asarray(covariance)


def chance_variance(terms: Terms) -> float:
    """Give 1/n: Σ w² n over hospitals, w the weight of each patient of theirs in a round's mean gradient."""
    declared, weights = terms.training.public_patients, release_weights(terms)
    return math.fsum(weights[name] ** 2 * count for name, count in declared.items())


_latest_fisher: dict[tuple[str, bytes, float], Floats] = {}


def cached_fisher(terms: Terms, mean_row: Floats, row_noise_stddev: float) -> Floats:
    """Give H for a released mean row, read-only, kept from the last call where nothing has changed.

    mean_row: float64 [width] as aggregated, in units of the clip norm × scaled rows, with noise of
    ``row_noise_stddev``.
    """
    key = (terms.fingerprint, mean_row.tobytes(), row_noise_stddev)
    if key not in _latest_fisher:
        shares = released_shares(terms, mean_row, row_noise_stddev)
        # Events that weigh less tell less: gradients and their derivatives are smaller by the same factor.
        fisher = mean_importance(terms, mean_row) * design_fisher(terms, shares)
        fisher.flags.writeable = False
        # One at a time: it has up to 32 MB, and a study needs one.
        _latest_fisher.clear()
        _latest_fisher[key] = fisher
    return _latest_fisher[key]


_latest_gain: dict[tuple[str, bytes, float, bytes], Gain] = {}


def cached_gain(
    terms: Terms, mean_row: Floats, row_noise_stddev: float, factors: Floats = AS_EXPECTED
) -> Gain:
    """Give the gain for a released mean row and factors, kept from the last call where nothing has changed."""
    key = (terms.fingerprint, mean_row.tobytes(), row_noise_stddev, factors.tobytes())
    if key not in _latest_gain:
        gain = gain_of(terms, cached_fisher(terms, mean_row, row_noise_stddev), factors)
        # One gain at a time: it holds three matrices of up to 32 MB, and a study needs one.
        _latest_gain.clear()
        _latest_gain[key] = gain
    return _latest_gain[key]


def mean_importance(terms: Terms, mean_row: Floats) -> float:
    """Give what an event counts on average, by the released mean row's first entry: 1 in a contract without propensity.

    The intercept's column is 1 in every row, so its mean is that of the events' weights; none is below ``least``.
    """
    propensity = terms.contract.propensity
    if propensity is None:
        return 1.0
    unit = terms.privacy.clip_norm * column_scale(terms.model, terms.contract.layout)
    return float(np.clip(mean_row[0] / unit[0], propensity.least, 1.0))


def released_shares(terms: Terms, mean_row: Floats, row_noise_stddev: float) -> Floats:
    """Give the shares of bins that a released mean row tells, float64 [width]; arguments as of ``cached_fisher``."""
    layout = terms.contract.layout
    unit = terms.privacy.clip_norm * column_scale(terms.model, layout)
    # Shares are of the events' weights: the whole is what they weigh.
    unit = unit * mean_importance(terms, mean_row)
    # The smallest unit gives the largest noise: no bin's floor is below its own noise's.
    return bin_shares(layout, mean_row / unit, row_noise_stddev / float(unit.min()))


def rate(count: int) -> float:
    """η of gradient ``count``, counted from 1: makes each gradient weigh in proportion to its number."""
    return 2 / (count + 1)


def averaged_noise_stddev(terms: Terms, gain: float, count: int | None = None) -> float:
    """s: standard deviation of one coordinate of the weighted average of the first ``count`` gradients, by default all.

    gain: ``aggregate.noise_gain``, from one hospital's noise to a round's. With equal noise, weights 1, 2 … n have
    Σt² ÷ (Σt)² = (4n + 2) ÷ (3n (n + 1)): a third more variance than equal ones. Rounds with noise of their own
    (``server.algorithm.noise_schedule``) count as the terms number them: where one is void, all later ones have a
    little less.
    """
    moments = terms.training.moment_rounds
    count = terms.gradient_rounds if count is None else count
    if not terms.round_noise_multipliers:
        gradient = terms.hospital_noise_stddev(1) * gain
        return gradient * math.sqrt((4 * count + 2) / (3 * count * (count + 1)))
    weighted = [t * terms.hospital_noise_stddev(moments + t) for t in range(1, count + 1)]
    return gain * math.hypot(*weighted) / math.fsum(range(1, count + 1))
