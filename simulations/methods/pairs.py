"""Interactions that no contract names, learned from one release more: a step of boosting on the residual of all pairs.

The shared model is trained as ever, at a part of the budget. The rest pays for one sum over patients: for each pair of
fields with few bins, the residuals by pair of bins. A field's main effect shows in all of its pairs, so of each
pair only what neither field tells alone is read, its interaction in the sense of the functional ANOVA (GA²M: Lou,
Caruana, Gehrke and Hooker 2013, "Accurate intelligible models with pairwise interactions"; Lengerich et al. 2020,
"Purifying interaction effects with the functional ANOVA"). Of many pairs few matter and nobody knows which: a pair's
effects are nothing, or Gaussian of one of four sizes (George and McCulloch 1993, "Variable selection via Gibbs
sampling"), and what is added is their posterior mean. Without the chance of nothing, the noise of the other
pairs costs more than is learned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import expit

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats
from wardround.protocol.model.model import column_scale, predict_logits
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, round_up
from wardround.protocol.privacy.gaussian_dp import gaussian_parameter
from wardround.protocol.privacy.mechanism import clip_factors
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import newton
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.fisher import BERNOULLI_VARIANCE, bin_shares
from wardround.server.algorithm.rounds import reported_weights
from wardround.simulations.federation.federation import Federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.methods.additive import logits_of
from wardround.simulations.methods.boosting import VALUE_BINS, Histogram, histograms
from wardround.simulations.methods.channel import Attempt, Channel
from wardround.simulations.methods.personal import ADDITIVE, composed
from wardround.simulations.study.study import answering

MOST_BINS = 14
"""Fields of more bins have no pairs: a word's own pairs are too rare for any noise."""
SHARE = 0.3
"""Of the budget, 1/σ², for the pairs."""
EXPECTED_PAIRS = 5.0
"""So many of all pairs are expected to interact."""
SIZES = (0.01, 0.03, 0.1, 0.3)
"""Variances in log-odds of a pair that does, each as likely."""
MAIN_VARIANCE = 0.3
"""Of what is left of main effects in a pair's residuals."""
TYPICAL_VARIANCE, LEAST_EVIDENCE = 0.05, 2.0
"""Pairs are asked for where one of this variance is expected to stand out from noise by so many of its deviations."""


@dataclass(frozen=True, eq=False)
class PairedField:
    """A field with few bins: its bins in both cohorts, their shares [bins] and prior covariance [bins, bins]."""

    training: Histogram
    heldout: Histogram
    shares: Floats
    covariance: Floats


def newton_pairs(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Train the shared model by the product's rounds, then release all pairs once, where that is expected to tell."""
    terms = composed(federation, privacy, seed)
    share = SHARE if evidence(terms, federation) >= LEAST_EVIDENCE else 0.0
    whole = gaussian_parameter(privacy.epsilon * (1 - 1e-5), privacy.delta)
    if share:
        rest = compose_epsilon([PrivacyEvent(1 / (whole * math.sqrt(1 - share)))], privacy.delta)
        terms = composed(federation, replace(privacy, epsilon=rest), seed)
    state = run(terms, answering(federation, terms))
    weights, events = reported_weights(state), training_events(terms)
    logits = logits_of(federation, weights)
    if not share:
        return Attempt(logits, events)
    channel = Channel.open(federation, privacy, seed, "newton_pairs")
    fields = few_bins(federation, _shares(terms, state.optimizer.mean_row))
    clip_norm, multiplier = terms.privacy.clip_norm, round_up(1 / (whole * math.sqrt(share)))
    training = federation.training
    residuals = training.labels - expit(predict_logits(ADDITIVE, terms.contract.layout, weights, training))
    sums = pair_sums([field.training for field in fields], residuals, training, clip_norm)
    mean = channel.mean(sums, clip_norm, multiplier)
    added = _read(fields, mean, channel.mean_stddev(clip_norm, multiplier), newton.chance_variance(terms))
    return Attempt(logits + added, (*events, *channel.spent))


def evidence(terms: Terms, federation: Federation) -> float:
    """By how many standard deviations of its noise a typical pair's energy would stand out: public; 0 without newton.

    k alike pairs of bins with effects of variance v have the energy k (h/k)² v in the mean residuals, noise of
    variance s² in each has k s² ± s² √(2k).
    """
    sizes = [field.size for field in _histograms(federation, federation.training) if field.size <= MOST_BINS]
    if terms.training.optimizer != "newton" or len(sizes) < 2:
        return 0.0
    cells = [one * other for one, other in combinations(sizes, 2)]
    rounds = range(1, terms.training.rounds + 1)
    budget = math.fsum((terms.hospital_noise_stddev(one) * noise_gain(terms)) ** -2 for one in rounds)
    variance = len(cells) / (SHARE * budget)
    energies = [BERNOULLI_VARIANCE**2 * TYPICAL_VARIANCE / count for count in cells]
    stand_out = [
        energy / (variance * math.sqrt(2 * count)) for energy, count in zip(energies, cells, strict=True)
    ]
    return math.fsum(stand_out) / len(cells)


def few_bins(federation: Federation, shares: Floats) -> list[PairedField]:
    """Give the fields that have pairs. shares: float64 [width], as released; a ranged value's bins count alike."""
    contract, layout = federation.contract, federation.contract.layout
    known, asked = (_histograms(federation, one) for one in (federation.training, federation.heldout))
    kinds = {feature.name: feature.kind for feature in contract.features}
    own = [shares[start : start + f.size] for f, start in zip(layout.features, layout.offsets, strict=False)]
    own += [np.full(VALUE_BINS, 1 / VALUE_BINS)] * len(layout.values)
    priors = [newton.bins_covariance(kinds[field.name], field.size) for field in layout.features]
    priors += [newton.ordered_covariance(VALUE_BINS)] * len(layout.values)
    fields = [PairedField(*parts) for parts in zip(known, asked, own, priors, strict=True)]
    return [field for field in fields if len(field.shares) <= MOST_BINS]


def pair_sums(fields: Sequence[Histogram], residuals: Floats, cohort: Cohort, clip_norm: float) -> Floats:
    """Sum per-patient mean residuals by hospital and pair of bins, pairs end on end: float64 [hospitals, cells].

    Divided by the root of the number of pairs, so that an event's row has norm at most its residual. Guarantee: one
    patient moves one row by at most clip_norm in L2.
    """
    pairs = [_joint(first, second, cohort) for first, second in combinations(fields, 2)]
    shares = 1 / (cohort.events_per_patient[cohort.patient_of_event] * math.sqrt(max(len(pairs), 1)))
    cells = [np.bincount(pair.cells, residuals * shares) for pair in pairs]
    squares = np.zeros(cohort.patient_count)
    for pair, amounts in zip(pairs, cells, strict=True):
        squares += np.bincount(pair.owners, amounts**2, minlength=cohort.patient_count)
    factors, blocks = clip_factors(np.sqrt(squares), clip_norm), []
    for pair, amounts in zip(pairs, cells, strict=True):
        bins = np.empty(len(amounts), np.int64)
        bins[pair.cells] = pair.bins
        places = cohort.hospital_of_patient[pair.owners] * pair.size + bins
        clipped = amounts * factors[pair.owners]
        sums = np.bincount(places, clipped, minlength=cohort.hospital_count * pair.size)
        blocks.append(sums.reshape(cohort.hospital_count, pair.size))
    return np.hstack(blocks)


def pair_effects(
    first: PairedField, second: PairedField, residuals: Floats, variance: float, chance: float, pairs: int
) -> Floats:
    """Posterior mean of a pair's interaction, float64 [cells], from its mean residuals with noise of this variance.

    Mean residuals are h · shares · effects near the optimum. Main effects are a nuisance of known covariance, which is
    added to the noise: what they could explain is not read as an interaction. chance: 1 ÷ patients.
    """
    information = BERNOULLI_VARIANCE * np.kron(first.shares, second.shares)
    nuisance = np.kron(first.covariance, np.ones_like(second.covariance)) + 1
    nuisance = nuisance + np.kron(np.ones_like(first.covariance), second.covariance)
    noise = MAIN_VARIANCE * information[:, None] * nuisance * information
    noise[np.diag_indices_from(noise)] += variance + chance * information
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    prior = np.kron(_centred(first), _centred(second))
    seen = whiten * information
    strength, axes = np.linalg.eigh(seen @ prior @ seen.T)
    strength, along = np.maximum(strength, 0), axes.T @ (whiten @ residuals)
    active = min(0.5, EXPECTED_PAIRS / pairs)
    sizes = np.array((0.0, *SIZES))[:, None]
    chances = np.log([1 - active] + [active / len(SIZES)] * len(SIZES))
    chances = chances - 0.5 * (np.log1p(sizes * strength) + along**2 / (1 + sizes * strength)).sum(axis=1)
    posterior = np.exp(chances - chances.max())[:, None]
    shrunk = (posterior * sizes / (1 + sizes * strength)).sum(axis=0) / posterior.sum()
    return np.asarray(prior @ (seen.T @ (axes @ (shrunk * along))))


def _read(fields: Sequence[PairedField], mean: Floats, noise_stddev: float, chance: float) -> Floats:
    """Add up all pairs' effects for each held-out event: float64 [held-out events]."""
    pairs = list(combinations(fields, 2))
    unit, start = math.sqrt(len(pairs)), 0
    found = np.zeros(len(fields[0].heldout.bins))
    for first, second in pairs:
        stop = start + first.heldout.size * second.heldout.size
        residuals = unit * mean[start:stop]
        effects = pair_effects(first, second, residuals, (unit * noise_stddev) ** 2, chance, len(pairs))
        found += effects[first.heldout.bins * second.heldout.size + second.heldout.bins]
        start = stop
    return found


def _histograms(federation: Federation, cohort: Cohort) -> list[Histogram]:
    """Features and ranged values: those of boosting without the intercept, crosses and groups."""
    layout, every = federation.contract.layout, histograms(federation.contract, cohort)
    features = len(layout.features)
    return [*every[1 : 1 + features], *every[len(every) - len(layout.values) :]]


def _joint(first: Histogram, second: Histogram, cohort: Cohort) -> Histogram:
    return Histogram.of(cohort, first.bins * second.size + second.bins, first.size * second.size)


def _centred(field: PairedField) -> Floats:
    """Prior covariance of effects that have mean zero over the field's bins."""
    centre = np.eye(len(field.shares)) - field.shares
    return np.asarray(centre @ field.covariance @ centre.T)


def _shares(terms: Terms, mean_row: Floats) -> Floats:
    """Shares of the bins, from the moment round."""
    layout = terms.contract.layout
    unit = terms.privacy.clip_norm * column_scale(terms.model, layout)
    noise = terms.hospital_noise_stddev(1) * noise_gain(terms)
    return bin_shares(layout, mean_row / unit, noise / float(unit.min()))
