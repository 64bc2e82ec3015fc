"""Tables of patients in which each patient counts as 1, however many events there are: sums before noise."""

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import TableShape

WEIGHT_UNITS = 2.0**26
"""A patient's weight, shared by the patient's events, in units that add up exactly."""


def bounded_tables(contract: Contract, shape: TableShape, cell: Integers, cohort: Cohort) -> Floats:
    """Sum up each hospital's tables, as contrasts: float64 [hospitals, rows × cells], each row times its public factor.

    cell: int64 [events], in which of the shape's cells each event counts.

    Guarantee: adding or removing one patient, with all events, moves a hospital's numbers by at most 1 in L2
    norm; the proof stands in ``protocol.terms.evaluation.row_factors``, the tests in test_evaluate.py and
    test_query.py. An event weighs a whole number of units, the patient's all together at most ``WEIGHT_UNITS`` = 2²⁶:
    sums over 2²³ patients and more are exact, whatever the order of additions (Casacuberta et al. 2022).
    """
    rows, cells = shape.rows, shape.cells
    hospital = cohort.hospital_of_patient[cohort.patient_of_event]
    weight = np.floor(WEIGHT_UNITS / np.maximum(cohort.events_per_patient, 1))[cohort.patient_of_event]
    columns = [field.name for field in contract.layout.features]
    tables = np.zeros((cohort.hospital_count, len(rows), cells))
    first = 0
    for attribute in dict.fromkeys(row.attribute for row in rows):
        count = sum(row.attribute == attribute for row in rows)
        group = cohort.bins[:, columns.index(attribute)] if attribute else np.zeros(len(cell), np.int64)
        place = (hospital * count + group) * cells + cell
        sums = np.bincount(place, weight, minlength=cohort.hospital_count * count * cells)
        tables[:, first : first + count] = sums.reshape(-1, count, cells)
        first += count
    released = contrasts(shape.bins).of(tables.reshape(*tables.shape[:2], -1, shape.bins))
    released *= (shape.factors / WEIGHT_UNITS)[:, np.newaxis, np.newaxis]
    return released.reshape(cohort.hospital_count, len(rows) * cells)
