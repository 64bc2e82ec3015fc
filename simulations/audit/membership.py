"""Membership inference: a guess, from a final model alone, of who was among the patients that it was trained on.

Each model is trained on a random half of the training patients, so that the other half are alike but took no part
(Carlini et al. 2022). The attacker knows the terms and all records, and not who took part. The private study runs as
always; beside it the same model is fitted to the same patients without privacy, which shows what the attack can do.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.privacy.gaussian_dp import gaussian_parameter
from wardround.protocol.terms.cost import epsilon_against
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.rounds import reported_weights
from wardround.simulations.audit.bounds import Interval
from wardround.simulations.federation.federation import Federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.measures.metrics import auc
from wardround.simulations.study.descents import pooled_model
from wardround.simulations.study.study import answering
from wardround.simulations.study.whole_gradients import whole_gradients

FALSE_POSITIVE_RATE = 0.001
_PATIENTS_AT_ONCE = 4096
_MEMORY_BYTES = 1 << 28
_LEAST_VARIANCE = 1e-6
"""Of the mean variance of a coordinate: a column that no patient has divides nothing by zero."""

Fit = Callable[[Federation, Terms], Floats]
"""A federation of the patients who take part, and its terms -> weights [parameters] that the attacker reads."""


@dataclass(frozen=True)
class MembershipFinding:
    """What an attack on models told of who took part.

    auc: its mean over models, with an interval of their spread. true_positive_rate: of patients who took part, the
    share told from the others at FALSE_POSITIVE_RATE. most: the AUC that no attack exceeds under the stated ε; None
    where nothing is stated.
    """

    words: str
    auc: Interval
    true_positive_rate: float
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the stated ε is not refuted."""
        return self.most is None or self.auc.low <= self.most


def memberships(
    federation: Federation, terms: Terms, models: int, confidence: float, seed: int
) -> tuple[MembershipFinding, ...]:
    """Attack so many models with the study's privacy, and as many without; none where ``models`` is 0."""
    if not models:
        return ()
    halves, own = halved(federation, models, seed), half_terms(terms)
    found = []
    for words, fit, most in (
        ("the final model", private_fit, largest_auc(terms)),
        ("the same without privacy", plain_fit, None),
    ):
        weights = np.stack([fit(place, own) for place in _taking_part(federation, halves, seed)])
        scores = membership_scores(federation.training, terms, weights)
        found.append(_finding(words, scores, halves, confidence, most))
    return tuple(found)


def halved(federation: Federation, models: int, seed: int) -> Booleans:
    """Draw who takes part, bool [models, patients]: each patient with probability ½, by themselves."""
    rng = np.random.default_rng([seed, models])
    return rng.random((models, federation.training.patient_count)) < 0.5


def half_terms(terms: Terms) -> Terms:
    """The study's terms, of half as many patients: all else, σ and ε too, is the same."""
    declared = terms.training.public_patients
    halves = {name: max(1, count // 2) for name, count in declared.items()}
    return replace(terms, training=replace(terms.training, public_patients=halves))


def private_fit(federation: Federation, terms: Terms) -> Floats:
    """The study itself, round by round, by the hospitals' own code."""
    return reported_weights(run(terms, answering(federation, terms)))


def plain_fit(federation: Federation, terms: Terms) -> Floats:
    """The study's model on all records in one place, without privacy."""
    return pooled_model(terms, terms.contract.layout, federation.training)


def largest_auc(terms: Terms) -> float | None:
    """Give the largest AUC of any attack on the final model under the stated ε; None where what leaves is no Gaussian.

    A μ-GDP mechanism lets nobody do better than tell N(0, 1) from N(μ, 1), whose AUC is Φ(μ/√2). Its curve is concave,
    so that the curve over many patients, each with their own, stays below it too.
    """
    if terms.training.sampling_rate < 1:
        return None
    stated = epsilon_against(terms, UPDATE, terms.last_round)["model"]
    return float(ndtr(gaussian_parameter(stated, terms.privacy.delta) / math.sqrt(2)))


def membership_scores(patients: Cohort, terms: Terms, weights: Floats) -> Floats:
    """Score each patient by each model, weights float64 [models, parameters] -> float64 [models, patients].

    The likelihood ratio in closed form, up to a factor. With g_i the patients' gradients where the models' mean is,
    the gradient of all patients at a model is about -Σ ±g_i (+ who took part), and noise where it was private. For
    patient i that sum is a Gaussian of mean ±g_i and covariance Σ g gᵀ + s: the ratio is g_iᵀ (Σ g gᵀ + s)⁻¹ v.
    s, the noise, is measured: what the models vary by beyond what halves do. A model's own v is taken against the
    mean of all, its own included, which only scales v.
    """
    model, layout = terms.model, terms.contract.layout
    gradients = whole_gradients(model, layout, patients.pooled(), _MEMORY_BYTES)
    moves = -np.stack([gradients(each[np.newaxis])[0] for each in weights])
    moves -= moves.mean(axis=0)
    centre = weights.mean(axis=0, keepdims=True)
    covariance = np.zeros((weights.shape[1], weights.shape[1]))
    for rows in _each_gradient(patients, terms, centre):
        covariance += rows.T @ rows
    expected = float(np.trace(covariance))
    varied = float((moves**2).sum()) / (len(weights) - 1)
    spread = max(varied - expected, _LEAST_VARIANCE * expected) / len(covariance)
    ratios = np.linalg.solve(covariance + spread * np.eye(len(covariance)), moves.T)
    return np.concatenate([rows @ ratios for rows in _each_gradient(patients, terms, centre)]).T


def _each_gradient(patients: Cohort, terms: Terms, weights: Floats) -> Iterator[Floats]:
    """Give each patient's gradient, some patients at a time: float64 [some, parameters]."""
    for start in range(0, patients.patient_count, _PATIENTS_AT_ONCE):
        some = patients.take(np.arange(start, min(start + _PATIENTS_AT_ONCE, patients.patient_count)))
        # A patient as a hospital: then a hospital's sum is a patient's gradient, by the product's own code.
        some = replace(some, patients_from=np.arange(some.patient_count + 1))
        yield whole_gradients(terms.model, terms.contract.layout, some, _MEMORY_BYTES)(weights)


def _taking_part(federation: Federation, halves: Booleans, seed: int) -> Iterator[Federation]:
    """Give the federation of each half, each with noise of its own."""
    for number, half in enumerate(halves):
        training = federation.training.take(np.flatnonzero(half))
        yield replace(federation, training=training, seed=((seed + 1) << 96) + number)


def _finding(
    words: str, scores: Floats, halves: Booleans, confidence: float, most: float | None
) -> MembershipFinding:
    pairs = list(zip(scores, halves, strict=True))
    areas = np.array([auc(half.astype(np.float64), score) for score, half in pairs])
    reach = float(ndtri((1 + confidence) / 2)) * float(areas.std(ddof=1)) / math.sqrt(len(areas))
    mean = float(areas.mean())
    rate = float(np.mean([told_apart(score[half], score[~half]) for score, half in pairs]))
    return MembershipFinding(words, Interval(mean, mean - reach, mean + reach), rate, most)


def told_apart(members: Floats, others: Floats) -> float:
    """Give the share of members above the score that FALSE_POSITIVE_RATE of the others exceed."""
    threshold = np.quantile(others, 1 - FALSE_POSITIVE_RATE)
    return float(np.mean(members > threshold))
