"""What each hospital would choose with its own part beside the shared model: ``outreach propose --personal``."""

from collections.abc import Mapping

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.outreach.proposals.own_part import KIND
from wardround.client.outreach.reasons import shared_effects
from wardround.client.personal.own_effects import own_effects
from wardround.client.personal.personal_mixture import fit_mixture
from wardround.client.personal.personal_scores import personal_design
from wardround.client.personal.personalize import PersonalDesign
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.terms.terms import Terms
from wardround.simulations.outreach.options import Moments
from wardround.simulations.outreach.policies import by_model
from wardround.simulations.population.draw import Population


def by_own_parts(
    population: Population,
    moments: Moments,
    terms: Terms,
    weights: Floats,
    error_factor: Floats,
    training: Cohort,
    standard: Integers,
    shares: Mapping[str, Floats],
) -> Integers:
    """Choose for each moment by its hospital's own part: index of OPTIONS, int64 [moments].

    training: every hospital's training patients, in the population's order of hospitals. A hospital without any keeps
    the shared model. Other arguments as of ``by_model``.
    """
    contract, layout = terms.contract, terms.contract.layout
    shared = shared_effects(terms.model, layout, weights)
    design = personal_design(KIND, terms.model, layout, weights, training)
    mixture = fit_mixture(layout, training, design)
    names = population.messages["hospital"].gather(moments.rows).to_numpy()
    ends = training.events_from[training.patients_from]
    found = np.zeros(len(moments), np.int64)
    for place, name in enumerate(population.hospitals):
        mine = np.flatnonzero(names == name)
        if not len(mine):
            continue
        effects, factor = shared, error_factor
        own = training.hospital(place)
        if own.patient_count:
            part = _part(design, slice(int(ends[place]), int(ends[place + 1])))
            fitted = own_effects(layout, mixture, place, own, part, shared, error_factor)
            effects, factor = fitted.effects, fitted.error_factor
        found[mine] = by_model(contract, moments.take(mine), effects, factor, standard[mine], shares)
    return found


def _part(design: PersonalDesign, events: slice) -> PersonalDesign:
    return PersonalDesign(design.fixed[events], design.inputs[events], design.shared, design.precision)
