"""From released mean design rows to the Fisher information of an additive model: post-processing, free of ε.

A design row is one-hot by field, so its mean is the share of every bin and of every crossed pair. These shares
determine most of the second moments S = E[x xᵀ]: within a field diag(shares), between two crossed features their
joint. What no cross tells is filled in by conditional independence given a feature that links both fields, or
by independence. Groups of a hierarchical feature are told by its bins: their moments are sums. Noised shares are
floored and renormalised, and the joints reconciled with the features' own shares by iterative proportional fitting
(Deming and Stephan 1940). The Fisher information of a logistic model is E[p(1 − p) x xᵀ], here with one public h in
the place of p(1 − p).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Coarse, Cross, Field, Layout
from wardround.protocol.model.design import group_sums
from wardround.protocol.model.prior import BERNOULLI_VARIANCE, RANGED_SPREAD

SHARE_FLOOR = 0.25
"""Least share of a bin, in standard deviations of the noise: a bin that noise hides is rare, not absent."""
FITTING_ROUNDS = 50


def bin_shares(layout: Layout, mean_row: Floats, noise_stddev: float) -> Floats:
    """Turn a noised, unscaled mean row into consistent shares: float64 [width].

    noise_stddev: of one entry's noise. Guarantee: the intercept is 1, every field's shares are at least 0 and
    add up to 1, a cross's add up to its parents' shares (within what FITTING_ROUNDS reach), a group has the sum of
    what lies in it, and means of ranged
    values lie in [−1, 1]. A row that lacks hospitals is made up for by renormalising.
    """
    shares = np.clip(mean_row, -1.0, 1.0)
    shares[0] = 1.0
    places = _places(layout)
    for field, place in places.values():
        floored = np.maximum(mean_row[place], SHARE_FLOOR * noise_stddev)
        total = floored.sum()
        shares[place] = floored / total if total > 0 else 1 / field.size
    _nest(layout, shares)
    for cross in layout.crosses:
        first, second = (shares[places[parent][1]] for parent in cross.parents)
        place = places[cross.name][1]
        shares[place] = fit_margins(shares[place].reshape(len(first), len(second)), first, second).ravel()
    return shares


def fit_margins(joint: Floats, first: Floats, second: Floats) -> Floats:
    """Scale rows and columns of a joint [a, b] in turn until they add up to both margins [a] and [b].

    Iterative proportional fitting: of all tables with these margins the nearest in relative entropy
    (Csiszár 1975). A row that is zero while its margin is not starts even.
    """
    fitted = np.where((joint.sum(axis=1) > 0)[:, None], joint, second)
    fitted = np.where((joint.sum(axis=0) > 0), fitted, first[:, None])
    for _ in range(FITTING_ROUNDS):
        fitted = fitted * _ratio(first, fitted.sum(axis=1))[:, None]
        # Rows were fitted last: where the columns agree as well, both margins hold.
        if np.allclose(fitted.sum(axis=0), second, rtol=0, atol=1e-12):
            break
        fitted = fitted * _ratio(second, fitted.sum(axis=0))
    return fitted


def second_moments(layout: Layout, shares: Floats) -> Floats:
    """Reconstruct S = E[x xᵀ] of unscaled rows from consistent shares: float64 [width, width], symmetric.

    Exact where features that are not crossed are independent of each other given the crosses; S may else have
    slightly negative eigenvalues.
    """
    if layout.coarse:
        lift, known = _lift(layout)
        plain = replace(layout, coarse=())
        return np.asarray(lift @ second_moments(plain, shares[known]) @ lift.T)
    # Independence to begin with; row and column 0, the intercept's, are then the shares themselves, as they must be.
    matrix = np.outer(shares, shares)
    places = _places(layout)
    joints = _joints_with_features(layout, shares)
    fields = layout.fields
    for position, field in enumerate(fields):
        own = places[field.name][1]
        # One-hot: two bins of one field are never active together, so their products have mean 0.
        matrix[own, own] = np.diag(shares[own])
        for other in fields[:position]:
            block = _linked(field, other, joints)
            if block is not None:
                beside = places[other.name][1]
                matrix[own, beside], matrix[beside, own] = block, block.T
    ranged = np.arange(layout.width - len(layout.values), layout.width)
    means = np.square(shares[ranged])
    matrix[ranged, ranged] = means + RANGED_SPREAD * (1 - means)
    return matrix


def fisher_information(moments: Floats, scale: Floats) -> Floats:
    """Fisher information of the scaled weights, h · B S B: float64 [width, width], positive semidefinite.

    moments: S; scale: the public column scale B [width]. Negative eigenvalues are set to zero: the nearest
    positive semidefinite matrix (Higham 1988).
    """
    # eigh, not eig: the matrix is symmetric, and its eigenvalues must come out real.
    values, vectors = np.linalg.eigh(BERNOULLI_VARIANCE * scale[:, None] * moments * scale)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def _nest(layout: Layout, shares: Floats) -> None:
    """Rescale the bins of hierarchical features, in place, to what their groups have; the widest groups count most.

    A group's share is as noisy as one bin's, and the sum of its many bins far noisier (Hay et al. 2010).
    """
    places = _places(layout)
    for coarse in reversed(layout.coarse):
        own, groups = places[coarse.of.name][1], places[coarse.name][1]
        ratio = _ratio(shares[groups], group_sums(coarse, shares[own]))
        shares[own] *= ratio[list(coarse.bins)]
        shares[own] /= shares[own].sum()
    for coarse in layout.coarse:
        shares[places[coarse.name][1]] = group_sums(coarse, shares[places[coarse.of.name][1]])


def _lift(layout: Layout) -> tuple[Floats, NDArray[np.intp]]:
    """L, float64 [width, columns without groups]: a whole row is L times its other columns; and where these stand."""
    places = _places(layout)
    grouped = np.zeros(layout.width, np.bool_)
    for coarse in layout.coarse:
        grouped[places[coarse.name][1]] = True
    known = np.flatnonzero(~grouped)
    lift = np.eye(layout.width)[:, known]
    for coarse in layout.coarse:
        start, own = (
            places[coarse.name][1].start,
            places[coarse.of.name][1],
        )  # features stand before all groups
        lift[start + np.array(coarse.bins), np.arange(own.start, own.stop)] = 1.0
    return lift, known


def _places(layout: Layout) -> dict[str, tuple[Field | Cross | Coarse, slice]]:
    """Each field's columns of the design, by name."""
    pairs = zip(layout.fields, layout.offsets, strict=True)
    return {field.name: (field, slice(start, start + field.size)) for field, start in pairs}


def _joints_with_features(layout: Layout, shares: Floats) -> Mapping[tuple[str, str], tuple[Floats, Floats]]:
    """By (feature, field): the joint [feature's bins, field's bins] and the field given the feature.

    Known where the field is the feature, is crossed with it, or is a cross of it.
    """
    places = _places(layout)
    joints: dict[tuple[str, str], Floats] = {}
    for feature in layout.features:
        joints[feature.name, feature.name] = np.diag(shares[places[feature.name][1]])
    for cross in layout.crosses:
        first, second = cross.parents
        sizes = places[first][0].size, places[second][0].size
        joint = shares[places[cross.name][1]].reshape(sizes)
        joints[first, second], joints[second, first] = joint, joint.T
        within = joint[None] * np.eye(sizes[0])[:, :, None]
        joints[first, cross.name] = within.reshape(sizes[0], -1)
        within = joint[None] * np.eye(sizes[1])[:, None, :]
        joints[second, cross.name] = within.reshape(sizes[1], -1)
    return {
        key: (joint, joint * _ratio(np.ones(len(joint)), shares[places[key[0]][1]])[:, None])
        for key, joint in joints.items()
    }


def _linked(
    field: Field | Cross | Coarse,
    other: Field | Cross | Coarse,
    joints: Mapping[tuple[str, str], tuple[Floats, Floats]],
) -> Floats | None:
    """Joint of two fields by way of a feature that is linked with both; None where there is no such feature.

    P(f, g) = Σ_q P(q) P(f | q) P(g | q): exact where q is part of either, conditional independence otherwise.
    """
    shared = [name for name in _features_of(field) if name in _features_of(other)]
    for name in dict.fromkeys([*shared, *_features_of(field), *_features_of(other)]):
        if (name, field.name) in joints and (name, other.name) in joints:
            return np.asarray(joints[name, field.name][0].T @ joints[name, other.name][1])
    return None


def _features_of(field: Field | Cross | Coarse) -> tuple[str, ...]:
    return field.parents or (field.name,)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)
