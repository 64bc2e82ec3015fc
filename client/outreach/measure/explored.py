"""What drawn modules show of the model's choice: one doubly robust estimate. Pure.

On the occasions where chance picked among equal modules, the value of a rule that picks module π(x) is

    μ(x, π) + 1[drawn = π] · (outcome − μ(x, π)) / propensity,

averaged over patients. The propensities are known, so it is unbiased whatever the outcome model μ is; a better μ makes
it narrower (Robins, Rotnitzky and Zhao 1994). μ is fitted on other patients' outcomes alone (cross-fitting,
Chernozhukov et al. 2018), so that no patient's outcome has a part in its own correction.

**No carry-over** is assumed: a patient's outcome depends on the module of that occasion, and not on those before.
"""

from dataclasses import dataclass

import numpy as np

from wardround.client.outreach.measure.difference import Difference, mean_and_error, mean_of_each
from wardround.protocol.arrays import Floats, Integers

FOLDS = 5
_RIDGE = 1.0  # in rows: what an outcome model of few rows is drawn to the mean with


@dataclass(frozen=True, eq=False)
class Explored:
    """Occasions on which chance picked among equal modules; row by row.

    patients: int64 [rows]. features: float64 [rows, features]. drawn, chosen, standard: int64 [rows], the module that
    went out, that the model would have chosen, and the standard one. propensity: float64 [rows], of any one of the
    equal modules. outcomes: float64 [rows].
    """

    patients: Integers
    features: Floats
    drawn: Integers
    chosen: Integers
    standard: Integers
    propensity: Floats
    outcomes: Floats


def choice_over_standard(rows: Explored) -> Floats:
    """Give each patient's score; their mean estimates what the model's choice adds to the standard module.

    Patients count once, by their own mean, and are the clusters: float64 [patients].
    """
    predicted = _cross_fitted(rows)
    values = [_value(rows, predicted, module) for module in (rows.chosen, rows.standard)]
    return mean_of_each(rows.patients, values[0] - values[1])[1]


def one_mean(scores: Floats) -> Difference:
    """Give the mean of patients' scores with its standard error, as a difference to zero."""
    mean, error = mean_and_error(scores)
    return Difference(mean, error, (len(scores), len(scores)), (mean, 0.0))


def _value(rows: Explored, predicted: Floats, module: Integers) -> Floats:
    model = predicted[np.arange(len(module)), module]
    value: Floats = model + (rows.drawn == module) * (rows.outcomes - model) / rows.propensity
    return value


def _cross_fitted(rows: Explored) -> Floats:
    """Predict every module's outcome on every row, by patients of other folds: float64 [rows, modules]."""
    modules = 1 + max(int(one.max(initial=0)) for one in (rows.drawn, rows.chosen, rows.standard))
    # Patients come as places in tokens' order, which is chance's: every fifth one makes folds without a draw.
    fold = np.unique(rows.patients, return_inverse=True)[1] % FOLDS
    predicted = np.zeros((len(rows.drawn), modules))
    for held in range(FOLDS):
        others, own = fold != held, fold == held
        for module in range(modules):
            used = others & (rows.drawn == module)
            predicted[own, module] = _ridge(rows.features[used], rows.outcomes[used], rows.features[own])
    return predicted


def _ridge(features: Floats, outcomes: Floats, asked: Floats) -> Floats:
    """Fit a line by ridge regression and predict; without rows, predict zero, which costs width alone."""
    if len(outcomes) == 0:
        return np.zeros(len(asked))
    centre, mean = features.mean(0), float(outcomes.mean())
    centred = features - centre
    weights = np.linalg.solve(
        centred.T @ centred + _RIDGE * np.eye(features.shape[1]), centred.T @ (outcomes - mean)
    )
    predicted: Floats = mean + (asked - centre) @ weights
    return predicted
