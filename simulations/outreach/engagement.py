"""How many engage under each policy, by group, and for patients of whom nothing is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.outreach.choose.changes import GUARD
from wardround.client.outreach.choose.gain import field_shares
from wardround.client.outreach.reasons import shared_effects
from wardround.client.personal.ridge import fit_effects
from wardround.conf.compose import build
from wardround.conf.settings import StudySettings
from wardround.protocol.arrays import Booleans, Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.rounds import RoundState
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.simulations.federation.federation import Federation
from wardround.simulations.measures.engagement import ALL, KNOWN, POLICIES, UNKNOWN, Engagement
from wardround.simulations.outreach.options import Moments, moments_of, true_engagement
from wardround.simulations.outreach.own_parts import by_own_parts
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
from wardround.simulations.population.draw import Population, PopulationSettings, draw_population

MOST_ITERATIONS, TOLERANCE = 100, 1e-3
LEAST = 30
"""Moments below which a group is not reported."""


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


def check_error_known(settings: StudySettings, terms: Terms) -> None:
    """Refuse a study whose model states no error of its weights, before anything is trained."""
    known = not settings.outreach.wanted or terms.training.optimizer == "newton"
    line = (
        f"needs training.optimizer=newton (here {terms.training.optimizer}): no other states how far its weights may "
        "be off, and a hospital proposes nothing by a gain of unknown error"
    )
    require(known, "outreach.kind", settings.outreach.kind, line)


def study_engagement(
    settings: StudySettings, federation: Federation, terms: Terms, state: RoundState, weights: Floats
) -> Engagement | None:
    """Measure every policy for one study, whose tables are drawn once more; None where nobody asked for it.

    state: after the last round; weights: the model's, mitigated or not.
    """
    if not settings.outreach.wanted:
        return None
    population = draw_population(build(PopulationSettings, settings.data.population, "data"), settings.seed)
    training, heldout = federation.training, federation.heldout
    field = known_moments(population, terms, training, heldout, settings.seed, settings.outreach.patients)
    return engagement(field, terms, state, weights)


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
    shared = shared_effects(terms.model, terms.contract.layout, weights)
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
        chosen["private"] = by_model(contract, moments, shared, factor, single, shares, guard)
        chosen["own"] = by_own_parts(
            field.population, moments, terms, weights, factor, field.training, single, shares
        )
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
    gained = {name: found - values["single"] for name, found in values.items()}
    return Engagement(
        by={group: _over(values, np.mean, rows) for group, rows in groups.items()},
        counts={group: int(rows.sum()) for group, rows in groups.items()},
        changed={name: float((option != single).mean()) for name, option in chosen.items()},
        gain_errors={group: _over(gained, _error, rows) for group, rows in groups.items()},
    )


def _over(
    values: Mapping[str, Floats], measure: Callable[[Floats], float], rows: Booleans
) -> dict[str, float]:
    """Measure each policy on some moments, in the order of ``POLICIES``."""
    return {name: float(measure(values[name][rows])) for name in POLICIES if name in values}


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
