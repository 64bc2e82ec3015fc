"""Scores under a hospital's own part: fit on its training patients, then score any of its events.

The one entrance to personalisation. Weights come in and stay as they are; logits come out and stay in the
hospital. Nothing that computes a release imports it (test_personal_scores.py).
"""

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal import personalize
from wardround.client.personal.boosted import boosted_logits, fit_boosted
from wardround.client.personal.own_personal import own_personal_scores
from wardround.client.personal.personal_mixture import AloneFits, fit_mixture, mixture_logits
from wardround.protocol import plugins
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import last_activations, named_parameters, predict_logits
from wardround.protocol.terms.settings import ModelSettings

KINDS = ("none", "mixture", "intercept_slope", "last_layer", "boosted")
USED_KIND = "boosted"
"""What ``wardround-hospital score --personal`` fits, and what the accuracy benchmark measures."""


def personal_scores(
    kind: str,
    model: ModelSettings,
    layout: Layout,
    weights: Floats,
    training: Cohort,
    target: Cohort,
    alone: AloneFits | None = None,
) -> Floats:
    """Logits float64 [target events] of the frozen shared model with each hospital's own part.

    training and target hold the same hospitals; only training patients are learned from. ``mixture`` weighs
    shared, personal and local by cross-validation; ``boosted`` puts trees of the hospital's own on top of it;
    ``intercept_slope`` and ``last_layer`` keep the shared model where cross-validation does not prefer the own part.
    Any other kind names a plugin (``client.personal.own_personal``). alone: what is known already of ``mixture`` and
    ``boosted`` for these training patients (``AloneFits``); it is filled, and the scores are the same without.
    """
    plugins.check_known("personalization", kind, KINDS)
    if kind == "none":
        return predict_logits(model, layout, weights, target)
    if kind not in KINDS:
        of_training = predict_logits(model, layout, weights, training)
        of_target = predict_logits(model, layout, weights, target)
        return own_personal_scores(kind, layout, of_training, of_target, training, target)
    known = personal_design(kind, model, layout, weights, training)
    asked = personal_design(kind, model, layout, weights, target)
    if kind == "boosted":
        return boosted_logits(layout, fit_boosted(layout, training, known, alone), target, asked)
    if kind == "mixture":
        return mixture_logits(layout, fit_mixture(layout, training, known, alone), target, asked)
    fitted = personalize.fit_personal(known, training)
    helps = personalize.choose_personal(known, training)
    own = np.where(helps[:, None], fitted, known.shared)
    return personalize.personal_logits(asked, own, target)


def personal_design(
    kind: str, model: ModelSettings, layout: Layout, weights: Floats, cohort: Cohort
) -> personalize.PersonalDesign:
    """Describe the model's personal part on these events: offset and slope, or the last layer where it has one."""
    logits = predict_logits(model, layout, weights, cohort)
    if not model.hidden or kind == "intercept_slope":
        return personalize.offset_and_slope(logits)
    shared = named_parameters(model, layout, weights)["output.weight"]
    return personalize.last_layer(logits, last_activations(model, layout, weights, cohort), shared)
