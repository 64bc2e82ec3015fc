"""Scores of messages: what a trained model says about the patients who pass the gate now, and nobody else.

Guarantee: a patient whom the gate sets aside gets no score (test_score.py); nothing here is ever released.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import polars as pl
from scipy.special import expit

from wardround.client.cohort import Cohort
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.outreach.reasons import MOST, Reasons, shared_effects, shared_interactions
from wardround.client.outreach.selection import Selection, selection_of
from wardround.client.personal.boosted import BoostedPart, boosted_logits, fit_boosted, tree_reasons
from wardround.client.personal.personal_mixture import mixture_effects, mixture_slope
from wardround.client.personal.personal_scores import USED_KIND, personal_design
from wardround.client.personal.personalize import PersonalDesign
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import predict_logits
from wardround.protocol.model.model_file import StoredModel

_EVERY_EVENT = 2**31 - 1
YES = "yes"


def is_simulated(stored: StoredModel) -> bool:
    """Whether a model is a simulation's; one without the mark counts as such."""
    # All but a plain no counts as simulated: a misspelt mark must not pass for a real model's.
    return stored.facts.get("simulation", YES).lower() not in ("no", "false")


def refuse_not_releasable(stored: StoredModel, today: date, real: bool) -> None:
    """Raise ConfigurationError for a model that is not marked releasable, is past its last day, or simulated.

    The marks are texts in the model file: ``releasable`` (yes), ``usable_until`` (an ISO date, the last good
    day), ``simulation``. real: whether the hospital's patients are; a missing mark counts as the worse one.
    """
    remedy = (
        "ask the operator for a releasable one, or give --accept-not-releasable REASON, which is recorded"
    )
    if real and is_simulated(stored):
        raise ConfigurationError(f"model: is marked as a simulation's; {remedy}")
    if stored.facts.get("releasable", "").lower() not in (YES, "true"):
        raise ConfigurationError(f"model: is not marked releasable; {remedy}")
    last_day = stored.facts.get("usable_until", "")
    try:
        late = today > date.fromisoformat(last_day[:10])
    except ValueError:
        raise ConfigurationError(f"model: does not say until when it is usable; {remedy}") from None
    if late:
        raise ConfigurationError(f"model: was usable until {last_day[:10]}; {remedy}")


def refuse_simulated(stored: StoredModel, real: bool) -> None:
    """Raise ConfigurationError where a simulation's model would choose messages to real patients; nobody may accept it.

    A model without the mark counts as a simulation's.
    """
    if real and is_simulated(stored):
        raise ConfigurationError(
            "model: is marked as a simulation's, and chooses no message to a real patient; use an operator's model"
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of messages, known patients first.

    frame: row (position in the messages), patient_known, probability, selected (where the model's groups have
    thresholds), reason_1 … (models of effects only). personal: whether the hospital's own part is in them.
    """

    frame: pl.DataFrame
    personal: bool


@dataclass(frozen=True, eq=False)
class _Scorer:
    contract: Contract
    stored: StoredModel
    own: BoostedPart | None
    selection: Selection | None
    reasons: Reasons | None


def score(
    tables: Tables, contract: Contract, stored: StoredModel, key: bytes, now: datetime, personal: bool = False
) -> Scores:
    """Score every message of the patients who pass the gate at ``now``, also those with no outcome yet.

    personal: add the hospital's own part, fitted now on its training patients (``client.personal.boosted``). It
    is not kept: who opts out is not in the next one.
    """
    parts = every_event(tables, contract, key, now)
    # Admitted again, with K: the own part learns, so the bound on a patient's events holds for it.
    training = encode(admit(tables, contract, key, now).training, contract) if personal else None
    scorer = _scorer(contract, stored, training)
    frame = pl.concat([_scored(scorer, part) for part in parts])
    frame = frame.sort("patient_known", "row", descending=[True, False])
    return Scores(frame, scorer.own is not None)


def every_event(tables: Tables, contract: Contract, key: bytes, now: datetime) -> list[Cohort]:
    """Encode every message of the patients who pass the gate: training, held-out, and those with no outcome yet."""
    # All of a patient's messages are scored: the bound of K is one of learning.
    admitted = admit(tables, replace(contract, events_per_patient=_EVERY_EVENT), key, now)
    return [encode(part, contract) for part in (admitted.training, admitted.heldout, admitted.undecided)]


def _scorer(contract: Contract, stored: StoredModel, training: Cohort | None) -> _Scorer:
    """Prepare what scores; training: patients to fit the hospital's own part on, None for the shared model."""
    layout, model = contract.layout, stored.model
    own = None
    if training is not None and training.patient_count:
        own = fit_boosted(layout, training, _design(contract, stored, training))
    reasons = None
    if model.structure.convex:
        effects = shared_effects(model, layout, stored.weights)
        cells = shared_interactions(model, layout, stored.weights)
        if own is not None:
            cells = cells * mixture_slope(own.mixture, 0)
            effects = mixture_effects(own.mixture, 0, effects)
        reasons = Reasons(contract, effects, cells)
    return _Scorer(contract, stored, own, selection_of(stored, contract), reasons)


def _scored(scorer: _Scorer, cohort: Cohort) -> pl.DataFrame:
    contract, stored, own = scorer.contract, scorer.stored, scorer.own
    shared = predict_logits(stored.model, contract.layout, stored.weights, cohort)
    logits = shared
    if own is not None:
        logits = boosted_logits(contract.layout, own, cohort, _design(contract, stored, cohort))
    columns = {
        "row": pl.Series(cohort.rows, dtype=pl.Int64),
        "patient_known": pl.Series(cohort.known, dtype=pl.Boolean),
        "probability": pl.Series(np.round(expit(logits), 6), dtype=pl.Float64),
    }
    if scorer.selection is not None:
        # By the shared logits: the thresholds were found on them, and not on a personal part's.
        columns["selected"] = pl.Series(scorer.selection.of(contract, cohort, shared), dtype=pl.Boolean)
    if scorer.reasons is not None:
        added = None if own is None else tree_reasons(contract.layout, own, cohort)
        texts = scorer.reasons.of(cohort, added)
        columns |= {f"reason_{i + 1}": pl.Series(list(texts[:, i]), dtype=pl.String) for i in range(MOST)}
    return pl.DataFrame(columns)


def _design(contract: Contract, stored: StoredModel, cohort: Cohort) -> PersonalDesign:
    return personal_design(USED_KIND, stored.model, contract.layout, stored.weights, cohort)


def with_identity(scores: pl.DataFrame, messages: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Put columns of the messages before their scores; messages must be the frame that was scored."""
    return pl.concat([messages.select(columns)[scores["row"]], scores], how="horizontal")
