"""A hospital's own boosted trees on top of its mixture: what acts together, which no additive candidate can say.

The trees begin at the mixture's logits, out of fold on the training patients (stacking: Wolpert 1992; Breiman 1996),
so they learn what it leaves over and not how it fits its own patients. How much they count is found as the mixture's
weights are, by exponential weights of cross-validated losses. A hospital of few patients keeps its mixture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personal_mixture import (
    FOLDS,
    TEMPER,
    AloneFits,
    PersonalMixture,
    fit_out_of_fold,
    losses_by_hospital,
    mixing_weights,
    mixture_logits,
)
from wardround.client.personal.personalize import PersonalDesign, fold_of_patient, hospital_of_event
from wardround.client.personal.trees import (
    Growth,
    TreeEvents,
    Trees,
    grow,
    no_trees,
    tree_contributions,
    tree_logits,
)
from wardround.protocol.arrays import Booleans, Floats, Integers
from wardround.protocol.contract.layout import Layout

GROWTH = Growth(trees=50, depth=3, rate=0.2, ridge=20.0, least_curvature=5.0)
"""Chosen on synthetic federations and the zoo's first half (docs/lab/methods.md)."""
LEAST_PATIENTS = 150
"""Training patients from which on a hospital grows trees: public, and no more than a bound on chance and time."""
SHARES = np.linspace(0.0, 1.0, 11)
SHARE_LEAN = 2.0
"""The share's prior is ∝ exp(−2 · share): where folds say nothing, trees count by a third."""
MOST_BINS = 32
EVENTS_AT_ONCE = 200_000


@dataclass(frozen=True, eq=False)
class BoostedPart:
    """Every hospital's mixture, its trees, and how much they count: ``shares`` float64 [hospitals] in 0..1."""

    mixture: PersonalMixture
    trees: Trees
    shares: Floats


def fit_boosted(
    layout: Layout, cohort: Cohort, design: PersonalDesign, alone: AloneFits | None = None
) -> BoostedPart:
    """Fit mixture and trees of every hospital, on training patients only; equal inputs give equal parts.

    design describes the frozen shared model on ``cohort``. Where there are fewer than ``LEAST_PATIENTS`` the share
    is 0: the mixture alone. alone: as in ``fit_mixture``.
    """
    mixture, fixed = fit_out_of_fold(layout, cohort, design, alone)
    events = tree_events(layout, cohort)
    large = np.diff(cohort.patients_from) >= LEAST_PATIENTS
    trees = _grow(cohort, events, fixed, np.ones(cohort.event_count, np.bool_), large)
    return BoostedPart(mixture, trees, _shares(cohort, events, fixed, large))


def boosted_logits(layout: Layout, part: BoostedPart, cohort: Cohort, design: PersonalDesign) -> Floats:
    """Logits float64 [events]: each hospital's mixture, and its share of what its trees add."""
    events = tree_events(layout, cohort)
    added = part.shares[events.hospital] * tree_logits(part.trees, events)
    return np.asarray(mixture_logits(layout, part.mixture, cohort, design) + added)


def tree_reasons(layout: Layout, part: BoostedPart, cohort: Cohort) -> Floats:
    """What the trees add for each feature and ranged value: float64 [events, features + values], in log-odds.

    Their share is in it. The rest of ``tree_logits`` is one number for each hospital (``tree_contributions``).
    """
    events = tree_events(layout, cohort)
    found, _ = tree_contributions(part.trees, events)
    return np.asarray(part.shares[events.hospital, None] * found)


def tree_events(layout: Layout, cohort: Cohort) -> TreeEvents:
    """Give trees the features' bins in their own order, ranged values in equal steps, no crosses.

    More than ``MOST_BINS`` bins are joined by neighbours. No label shapes a code, so folds need none of their own.
    """
    columns = []
    for index, field in enumerate(layout.features):
        bins = cohort.bins[:, index]
        columns.append(bins if field.size <= MOST_BINS else bins.astype(np.int64) * MOST_BINS // field.size)
    steps = np.floor((cohort.values.astype(np.float64).T + 1) * (MOST_BINS / 2))
    columns += list(np.clip(steps, 0, MOST_BINS - 1))
    codes = (
        np.stack(columns, axis=1).astype(np.int16) if columns else np.zeros((cohort.event_count, 1), np.int16)
    )
    return TreeEvents(codes, hospital_of_event(cohort), cohort.hospital_count, MOST_BINS)


def _shares(cohort: Cohort, events: TreeEvents, fixed: Floats, large: Booleans) -> Floats:
    """How much each hospital's trees count, float64 [hospitals]: the mean of ``SHARES`` by out-of-fold losses."""
    fold = fold_of_patient(cohort.tokens, FOLDS)[cohort.patient_of_event]
    added = np.zeros(cohort.event_count)
    for each in range(FOLDS):
        trees = _grow(cohort, events, fixed, fold != each, large)
        added[fold == each] = tree_logits(trees, events.of(fold == each))
    # TEMPER halves what the mixture's weights believe. Here folds count in full: trees that learned chance must go.
    costs = [
        (losses_by_hospital(cohort, fixed + share * added) + SHARE_LEAN * share) / TEMPER for share in SHARES
    ]
    return np.where(large, mixing_weights(np.stack(costs)) @ SHARES, 0.0)


def _grow(cohort: Cohort, events: TreeEvents, fixed: Floats, kept: Booleans, large: Booleans) -> Trees:
    """Grow the large hospitals' trees on the events that are kept: the others' say nothing."""
    trees = no_trees(cohort.hospital_count, GROWTH, MOST_BINS)
    weights = cohort.event_shares
    for group in _groups(cohort, large):
        own = np.isin(events.hospital, group) & kept
        part = events.of(own)
        within = TreeEvents(part.codes, np.searchsorted(group, part.hospital), len(group), MOST_BINS)
        trees.put(group, grow(within, cohort.labels[own], fixed[own], weights[own], GROWTH))
    return trees


def _groups(cohort: Cohort, large: Booleans) -> Iterator[Integers]:
    """Large hospitals with about ``EVENTS_AT_ONCE`` events together, at least one each: bounds the memory."""
    hospitals = np.flatnonzero(large)
    counts = np.diff(cohort.events_from[cohort.patients_from])[hospitals]
    number = np.cumsum(counts) // EVENTS_AT_ONCE
    for each in np.unique(number):
        yield hospitals[number == each]
