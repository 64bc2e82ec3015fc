"""Tables that agree: each attribute's groups add up to the table of all, which makes all of them more exact.

Least squares (Hay et al. 2010, "Boosting the accuracy of differentially private histograms through consistency"); it
is post-processing, and costs nothing. The server reads tables with it, and both sides state by it what will be known.
"""

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.evaluation import TableShape


def agreement(shape: TableShape) -> Floats:
    """Give the least-squares map [rows, rows] onto tables whose groups add up to the table of all."""
    rows, factors = shape.rows, shape.factors
    attributes = dict.fromkeys(row.attribute for row in rows)
    members = {name: np.array([row.attribute == name for row in rows], float) for name in attributes}
    # A sum of k tables has k times the variance of one, which is (σ ÷ factor)².
    precision = {name: float(factors[own > 0][0] ** 2 / own.sum()) for name, own in members.items()}
    whole = sum(precision[name] * own for name, own in members.items()) / sum(precision.values())
    agree = np.zeros((len(rows), len(rows)))
    for own in members.values():
        # Every table of an attribute takes an equal part of what its sum lacks.
        agree += np.diag(own) + np.outer(own / own.sum(), whole - own)
    return agree


def agreed_variance(shape: TableShape) -> Floats:
    """Give the covariance [rows, rows] of one cell's noise after ``agreement``, where that of a release is 1."""
    agree = agreement(shape)
    covariance: Floats = (agree / shape.factors**2) @ agree.T
    return covariance
