"""Every event with what each method says of it: the table behind all scores of a run."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats
from wardround.protocol.model.model import predict_probabilities
from wardround.simulations.report.scores import METHOD_KEYS, SHARED
from wardround.simulations.report.summary import Results

HELD_OUT, TRAINING = "held_out", "training"
SPLITS = (HELD_OUT, TRAINING)


def predictions_table(results: Results) -> pl.DataFrame:
    """One row per event, held-out patients first; simulations only.

    split; hospital; patient: a keyed hash of the identifier, hex; row: position in the table that was read;
    known: the patient had a history at the event; label: 1.0 engaged, 0.0 not; then a column per method with
    its probability. Held-out rows stand in the order in which AUCs are computed, with the same float64 values.
    Of training patients there are the shared private model's probabilities alone.
    """
    heldout = {key: scores for key, scores in results.probabilities.items() if key in METHOD_KEYS}
    if results.true_probability is not None:
        heldout = {METHOD_KEYS[0]: results.true_probability, **heldout}
    frames = [_rows(HELD_OUT, results, results.heldout, heldout)]
    if results.training is not None:
        frames.append(
            _rows(TRAINING, results, results.training, {SHARED: _shared(results, results.training)})
        )
    return pl.concat(frames, how="diagonal")


def _rows(split: str, results: Results, cohort: Cohort, probabilities: Mapping[str, Floats]) -> pl.DataFrame:
    patient = cohort.patient_of_event
    tokens = np.array([token.tobytes().hex() for token in cohort.tokens], dtype=object)
    hospitals = np.array(list(results.hospitals), dtype=object)[cohort.hospital_of_patient]
    columns = {
        "split": pl.Series([split]).new_from_index(0, cohort.event_count),
        "hospital": pl.Series(hospitals[patient], dtype=pl.String),
        "patient": pl.Series(tokens[patient], dtype=pl.String),
        "row": pl.Series(cohort.rows, dtype=pl.Int64),
        "known": pl.Series(cohort.known, dtype=pl.Boolean),
        "label": pl.Series(cohort.labels, dtype=pl.Float64),
    }
    ordered = [key for key in METHOD_KEYS if key in probabilities]
    return pl.DataFrame(columns | {key: pl.Series(probabilities[key], dtype=pl.Float64) for key in ordered})


def _shared(results: Results, cohort: Cohort) -> Floats:
    return predict_probabilities(results.model, results.contract.layout, results.weights, cohort)
