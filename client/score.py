"""Scores of messages: what a trained model says about the patients who pass the gate now, and nobody else.

Guarantee: a patient whom the gate sets aside gets no score (test_score.py); nothing here is ever released.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from client.cohort import Cohort
from client.features import encode
from client.gate.admit import admit
from client.personalize import (
    PersonalDesign,
    choose_personal,
    fit_personal,
    last_layer,
    offset_and_slope,
    personal_logits,
)
from client.reasons import MOST, Reasons
from client.tables.source import Tables
from protocol.contract import Contract
from protocol.errors import ConfigurationError
from protocol.model import last_activations, named_parameters, predict_logits
from protocol.model_file import StoredModel

_EVERY_EVENT = 2**31 - 1
YES = "yes"


def refuse_unreviewed(stored: StoredModel, today: date, real: bool) -> None:
    """Raise ConfigurationError for a model that is not marked releasable, is past its review, or simulated.

    The marks are texts in the model file: ``releasable`` (yes), ``review_by`` (an ISO date, the last good
    day), ``simulation``. real: whether the hospital's patients are; a missing mark counts as the worse one.
    """
    remedy = "ask the operator for a reviewed one, or give --accept-unreviewed REASON, which is recorded"
    if real and stored.facts.get("simulation", YES).lower() not in ("no", "false"):
        raise ConfigurationError(f"model: is marked as a simulation's; {remedy}")
    if stored.facts.get("releasable", "").lower() not in (YES, "true"):
        raise ConfigurationError(f"model: is not marked releasable; {remedy}")
    review = stored.facts.get("review_by", "")
    try:
        late = today > date.fromisoformat(review[:10])
    except ValueError:
        raise ConfigurationError(f"model: names no date by which it is reviewed; {remedy}") from None
    if late:
        raise ConfigurationError(f"model: was to be reviewed by {review[:10]}; {remedy}")


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of messages, known patients first.

    frame: row (position in the messages), patient_known, probability, reason_1 … (additive model only).
    personal: whether the hospital's own part was fitted and chosen.
    """

    frame: pl.DataFrame
    personal: bool


def score(
    tables: Tables, contract: Contract, stored: StoredModel, key: bytes, now: datetime, personal: bool = False
) -> Scores:
    """Score every message of the patients who pass the gate at ``now``, also those with no outcome yet.

    personal: fit the hospital's own part on its training patients, and use it if it predicts them better.
    """
    # All of a patient's messages are scored: the bound of K is one of learning.
    admitted = admit(tables, replace(contract, events_per_patient=_EVERY_EVENT), key, now)
    parts = [encode(part, contract) for part in (admitted.training, admitted.heldout, admitted.undecided)]
    own = _fitted(contract, stored, parts[0]) if personal else None
    slope = 1.0 if own is None else float(own[0, 1])
    additive = stored.model.kind == "additive"
    reasons = Reasons(contract, stored.model, stored.weights, slope) if additive else None
    frames = [_scored(contract, stored, part, own, reasons) for part in parts]
    frame = pl.concat(frames).sort("patient_known", "row", descending=[True, False])
    return Scores(frame, own is not None)


def _scored(
    contract: Contract,
    stored: StoredModel,
    cohort: Cohort,
    own: NDArray[np.float64] | None,
    reasons: Reasons | None,
) -> pl.DataFrame:
    logits = predict_logits(stored.model, contract.layout, stored.weights, cohort)
    if own is not None:
        logits = personal_logits(_design(contract, stored, cohort, logits), own, cohort)
    columns = {
        "row": pl.Series(cohort.rows, dtype=pl.Int64),
        "patient_known": pl.Series(cohort.known, dtype=pl.Boolean),
        "probability": pl.Series(np.round(expit(logits), 6), dtype=pl.Float64),
    }
    if reasons is not None:
        texts = reasons.of(cohort)
        columns |= {f"reason_{i + 1}": pl.Series(list(texts[:, i]), dtype=pl.String) for i in range(MOST)}
    return pl.DataFrame(columns)


def _fitted(contract: Contract, stored: StoredModel, training: Cohort) -> NDArray[np.float64] | None:
    """Fit the personal weights [1, J]; None where cross-validation prefers the shared model."""
    logits = predict_logits(stored.model, contract.layout, stored.weights, training)
    design = _design(contract, stored, training, logits)
    if training.patient_count == 0 or not choose_personal(design, training)[0]:
        return None
    return fit_personal(design, training)


def _design(
    contract: Contract, stored: StoredModel, cohort: Cohort, logits: NDArray[np.float64]
) -> PersonalDesign:
    if not stored.model.hidden:
        return offset_and_slope(logits)
    activations = last_activations(stored.model, contract.layout, stored.weights, cohort)
    shared = named_parameters(stored.model, contract.layout, stored.weights)["output.weight"]
    return last_layer(logits, activations, shared)


def with_identity(scores: pl.DataFrame, messages: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Put columns of the messages before their scores; messages must be the frame that was scored."""
    return pl.concat([messages.select(columns)[scores["row"]], scores], how="horizontal")
