"""Interactions that no contract names, read from one noised sum: a step of boosting on the residual of all pairs.

The last round of a study with ``model.kind=interactions`` releases the gradient of the cells of all pairs of fields
while their effects are zero: minus the mean residuals by pair of bins. Near the optimum these are H u, u the effects
and H = h · shares the information of a cell. A field's main effect shows in all of its pairs, so of each pair only
what neither field tells alone is read (Lengerich et al. 2020, "Purifying interaction effects with the functional
ANOVA"); what is left of main effects is a nuisance of known covariance.

Of many pairs few matter, and nobody knows which or how much. So a pair's effects are Gaussian of a variance out of a
grid, nothing among them, and how often each variance occurs is estimated from the released sums of all pairs by their
marginal likelihood: empirical Bayes (MacKay 1992, "Bayesian interpolation"; Stephens 2017, "False discovery rates: a
new deal", from whom the penalty towards nothing is taken). What is added to the model is the posterior mean. All of
it reads releases and public terms only, and costs no ε.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import MOST_INTERACTING_BINS, Cross
from wardround.protocol.model.interactions import cell_scale
from wardround.protocol.model.prior import BERNOULLI_VARIANCE, bins_covariance
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.newton import (
    chance_variance,
    mean_importance,
    released_shares,
)
from wardround.server.algorithm.noise_schedule import INTERACTIONS_SHARE

VARIANCES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of a pair's effects, in log-odds squared: from nothing to as much as a strong main effect has."""
NULL_COUNT = 10.0
"""Pairs without interaction that are counted beside the observed ones: with few pairs, doubt falls on nothing."""
FITTING_STEPS = 200
MAIN_VARIANCE = 0.3
"""Of what is left of main effects in a pair's residuals, in log-odds squared."""
TYPICAL_VARIANCE, LEAST_EVIDENCE = 0.05, 2.0
"""Interactions are asked for where one of this variance would stand out from noise by so many standard deviations."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Released:
    """What a study's releases tell of interactions.

    mean_row: float64 [width], the aggregated mean design row, with noise of row_noise_stddev in each entry. gradient:
    float64 [cells], the aggregated mean gradient of the scaled cells, with noise of noise_stddev.
    """

    mean_row: Floats
    row_noise_stddev: float
    gradient: Floats
    noise_stddev: float


@dataclass(frozen=True, eq=False)
class _Field:
    """One field's shares of bins [bins] and the prior covariance of its effects [bins, bins]."""

    shares: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A pair's residuals in the axes in which prior and noise are both diagonal, the noise's variance being 1.

    strength: float64 [cells], ≥ 0, of a prior of variance 1. along: [cells], the residuals. outward: [cells, cells],
    from shrunk residuals to effects.
    """

    strength: Floats
    along: Floats
    outward: Floats

    def log_likelihood(self) -> Floats:
        """Log marginal likelihood of the residuals under each of ``VARIANCES``, but for a constant."""
        spread = 1 + np.multiply.outer(VARIANCES, self.strength)
        return np.asarray(-0.5 * (np.log(spread) + self.along**2 / spread).sum(axis=1))

    def posterior_mean(self, chances: Floats) -> Floats:
        """Effects float64 [cells] in log-odds. chances: of each of ``VARIANCES``, given the residuals."""
        variances = np.array(VARIANCES)[:, None]
        shrunk = chances @ (variances / (1 + variances * self.strength))
        return np.asarray(self.outward @ (shrunk * self.along))


def evidence(terms: Terms) -> float:
    """Say by how many standard deviations of its noise a typical pair's energy would stand out, in the mean.

    From public quantities alone: noise (ε, δ, its mode, hospitals, declared patients) and the sizes of the fields.
    terms: of the same study without interactions, of whose budget they would take ``INTERACTIONS_SHARE``. 0 where the
    study could not have them. Of k alike cells with effects of variance v, mean residuals have the energy k (h/k)² v;
    noise and chance of variance s² in each give k s² ± s² √(2k).
    """
    pairs, rounds = terms.contract.layout.interactions, range(1, terms.training.rounds + 1)
    if terms.training.optimizer != "newton" or not pairs or terms.training.sampling_rate < 1:
        return 0.0
    budget = math.fsum((terms.hospital_noise_stddev(one) * noise_gain(terms)) ** -2 for one in rounds)
    noise = len(pairs) / (INTERACTIONS_SHARE * budget)
    chance = BERNOULLI_VARIANCE * chance_variance(terms)
    energies = [BERNOULLI_VARIANCE**2 * TYPICAL_VARIANCE / pair.size for pair in pairs]
    stand_out = [
        energy / ((noise + chance / pair.size) * math.sqrt(2 * pair.size))
        for pair, energy in zip(pairs, energies, strict=True)
    ]
    return math.fsum(stand_out) / len(pairs)


def why_additive(asked: ModelSettings, terms: Terms) -> str:
    """Say in one line why a study that asked for interactions has none; empty where it has them, or did not ask.

    terms: as composed. From public quantities, as the rule itself.
    """
    if not asked.structure.interactions or terms.model.structure.interactions:
        return ""
    training = terms.training
    if training.optimizer != "newton":
        why = f"they need training.optimizer=newton (here {training.optimizer})"
    elif training.sampling_rate < 1:
        why = f"they need training.sampling_rate=1 (here {training.sampling_rate:g})"
    elif not terms.contract.layout.interactions:
        why = (
            f"the contract has no two features of at most {MOST_INTERACTING_BINS} bins that it does not cross"
        )
    else:
        why = evidence_words(evidence(terms))
    return f"model={asked.kind} is additive here, without interactions: {why}"


def evidence_words(found: float) -> str:
    """Say what ``evidence`` means for a study that has so much of it."""
    stands_out = f"a typical one would stand out by {found:.1f} standard deviations of its noise"
    enough = found >= LEAST_EVIDENCE
    return f"{stands_out}, and {LEAST_EVIDENCE:g} are {'enough' if enough else 'needed'}"


def weights_of(terms: Terms, released: Released) -> Floats:
    """Give the weights of the interactions, float64 [cells], scaled as the model's: posterior means.

    Guarantee: the mean of a pair's effects over the bins of either field is zero, at the released shares.
    """
    spectra = list(_spectra(terms, released))
    likelihoods = np.array([spectrum.log_likelihood() for spectrum in spectra])
    chances = _posterior(likelihoods, fit_chances(likelihoods))
    effects = [one.posterior_mean(chance) for one, chance in zip(spectra, chances, strict=True)]
    # A logit takes a weight times the cells' scale.
    return np.concatenate(effects) / cell_scale(terms.contract.layout)


def fit_chances(log_likelihoods: Floats) -> Floats:
    """Estimate how often each of ``VARIANCES`` occurs, float64 [variances], from all pairs' likelihoods [pairs, ·].

    Expectation–maximisation of the marginal likelihood, with ``NULL_COUNT`` pairs of variance 0 beside.
    """
    chances = np.full(len(VARIANCES), 1 / len(VARIANCES))
    for _ in range(FITTING_STEPS):
        counts = _posterior(log_likelihoods, chances).sum(axis=0)
        counts[0] += NULL_COUNT
        chances = counts / counts.sum()
    return chances


def _posterior(log_likelihoods: Floats, chances: Floats) -> Floats:
    """Chance of each variance given a pair's residuals: float64 [pairs, variances]."""
    # EM may bring a chance down to zero: its logarithm is then minus infinity, as it should be.
    with np.errstate(divide="ignore"):
        joint = log_likelihoods + np.log(chances)
    joint = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))


def _spectra(terms: Terms, released: Released) -> Iterator[Spectrum]:
    """Give each interaction's residuals, in the order of the layout."""
    fields, start = _fields(terms, released), 0
    scale, chance = cell_scale(terms.contract.layout), chance_variance(terms)
    curvature = BERNOULLI_VARIANCE * mean_importance(terms, released.mean_row)
    for pair in terms.contract.layout.interactions:
        # The gradient is of scaled cells, and goes up the loss.
        residuals = -released.gradient[start : start + pair.size] / scale
        yield _spectrum(pair, fields, residuals, (released.noise_stddev / scale) ** 2, chance, curvature)
        start += pair.size


def _spectrum(
    pair: Cross,
    fields: dict[str, _Field],
    residuals: Floats,
    variance: float,
    chance: float,
    curvature: float,
) -> Spectrum:
    """Whiten a pair's residuals [cells], whose noise has this variance. chance: 1 ÷ patients; curvature: h."""
    first, second = (fields[parent] for parent in pair.parents)
    information = curvature * np.kron(first.shares, second.shares)
    nuisance = np.kron(first.covariance, np.ones_like(second.covariance)) + 1
    nuisance = nuisance + np.kron(np.ones_like(first.covariance), second.covariance)
    noise = MAIN_VARIANCE * information[:, None] * nuisance * information
    noise[np.diag_indices_from(noise)] += variance + chance * information
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    prior = np.kron(_centred(first), _centred(second))
    seen = whiten * information
    strength, axes = np.linalg.eigh(seen @ prior @ seen.T)
    along = axes.T @ (whiten @ residuals)
    return Spectrum(np.maximum(strength, 0), along, prior @ seen.T @ axes)


def _fields(terms: Terms, released: Released) -> dict[str, _Field]:
    """Give the fields that may interact, by name."""
    contract, layout = terms.contract, terms.contract.layout
    shares = released_shares(terms, released.mean_row, released.row_noise_stddev)
    kinds = {feature.name: feature.kind for feature in contract.features}
    return {
        field.name: _Field(shares[start : start + field.size], bins_covariance(kinds[field.name], field.size))
        for start, field in zip(layout.offsets, layout.features, strict=False)
    }


def _centred(field: _Field) -> Floats:
    """Prior covariance of effects that have mean zero over the field's bins."""
    centre = np.eye(len(field.shares)) - field.shares
    return np.asarray(centre @ field.covariance @ centre.T)
