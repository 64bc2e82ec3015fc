"""How many engage under each policy, by group, and for patients of whom nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.outreach.choose.changes import GUARD
from wardround.client.outreach.choose.gain import field_shares
from wardround.client.personal.ridge import fit_effects
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model import column_scale
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.rounds import RoundState
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.simulations.outreach.options import Moments, moments_of, true_engagement
from wardround.simulations.outreach.policies import (
    NOT_FOR_GAIN,
    USUAL,
    best_of_topic,
    best_single,
    by_hand,
    by_model,
    by_permitted_truth,
    by_truth,
    option_index,
)
from wardround.simulations.population.draw import Population

ALL, UNKNOWN, KNOWN = "all", "unknown users", "known users"
POLICIES = {
    "random": "any message of the topic, at random",
    "standard": "the usual message",
    "single": "the best single message",
    "of_topic": "the best message of each topic",
    "by_hand": "rules by hand",
    "private": "the private model",
    "open": "a model without privacy",
    "oracle": "the best by all that a gain may use",
    "all_knowing": "the best by all, employment too",
}
MOST_ITERATIONS, TOLERANCE = 100, 1e-3
LEAST = 30
"""Moments below which a group is not reported."""


@dataclass(frozen=True, eq=False)
class Engagement:
    """Mean true chance of engaging. by: group → policy → value. counts: group → moments. share: by policy, changed.

    changed: share of moments whose message is not the best single one.
    """

    by: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, int]
    changed: Mapping[str, float]

    def gain(self, policy: str, group: str = ALL) -> float:
        """Give what a policy gains over the best single message, in probability."""
        return self.by[group][policy] - self.by[group]["single"]

    def share(self, policy: str) -> float:
        """Give a policy's gain as a share of the oracle's."""
        return self.gain(policy) / self.gain("oracle")


@dataclass(frozen=True, eq=False)
class KnownMoments:
    """Moments of one population, with the truth about them: what all models of one contract are measured on.

    open_effects: float64 [width], of the model without privacy.
    """

    population: Population
    moments: Moments
    truth: Floats
    training: Cohort
    open_effects: Floats

    def shares(self, contract: Contract) -> dict[str, Floats]:
        """Give the shares of what a gain may not use, among all training patients' messages."""
        return field_shares(contract.layout, self.training, NOT_FOR_GAIN)


def known_moments(
    population: Population, terms: Terms, training: Cohort, heldout: Cohort, seed: int, most: int
) -> KnownMoments:
    """Take moments of at most so many held-out patients, and the truth of every option."""
    moments = moments_of(population, terms.contract, seed, heldout, most)
    layout = terms.contract.layout
    # Not to the last digit, as where AUCs are compared: an effect's third digit chooses no message.
    effects = fit_effects(layout, training.pooled(), iterations=MOST_ITERATIONS, tolerance=TOLERANCE)[0]
    return KnownMoments(population, moments, true_engagement(population, moments), training, effects)


def engagement(
    field: KnownMoments, terms: Terms, state: RoundState, weights: Floats, guard: float = GUARD
) -> Engagement:
    """Measure every policy. state: after the last round; weights: the model's, mitigated or not."""
    moments, truth = field.moments, field.truth
    single = best_single(moments, truth)
    scale = column_scale(terms.model, terms.contract.layout)
    factor = posterior_factor(terms, state.optimizer)
    chosen: dict[str, Integers] = {
        "standard": np.full(len(moments), option_index(np.array(USUAL))),
        "single": single,
        "of_topic": best_of_topic(moments, truth),
        "by_hand": by_hand(field.population, moments, single),
        "oracle": by_permitted_truth(field.population, moments, truth),
        "all_knowing": by_truth(truth),
    }
    contract, shares = terms.contract, field.shares(terms.contract)
    if factor is not None:
        chosen["private"] = by_model(contract, moments, weights * scale, factor, single, shares, guard)
    effects = field.open_effects
    # A model without privacy has no noise to guard against.
    chosen["open"] = by_model(contract, moments, effects, np.zeros((len(effects), 1)), single, shares)
    return _measured(moments, truth, chosen, single)


def _measured(
    moments: Moments, truth: Floats, chosen: Mapping[str, Integers], single: Integers
) -> Engagement:
    values = {name: truth[np.arange(len(moments)), option] for name, option in chosen.items()}
    values["random"] = truth.mean(axis=1)
    groups = {ALL: np.ones(len(moments), bool), KNOWN: moments.known, UNKNOWN: ~moments.known}
    for attribute, (labels, codes) in moments.groups.items():
        groups |= {f"{attribute}: {label}": codes == code for code, label in enumerate(labels)}
    groups = {name: rows for name, rows in groups.items() if rows.sum() >= LEAST}
    return Engagement(
        by={
            group: {name: float(values[name][rows].mean()) for name in POLICIES if name in values}
            for group, rows in groups.items()
        },
        counts={group: int(rows.sum()) for group, rows in groups.items()},
        changed={name: float((option != single).mean()) for name, option in chosen.items()},
    )
