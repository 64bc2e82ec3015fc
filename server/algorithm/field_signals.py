"""How well a study's gradients tell the effects of one field: prior variance beside squared error, by direction.

For one field with n bins of equal shares p = 1/n, the Fisher information of its centred effects is c = ρ h b² p: h is
``prior.BERNOULLI_VARIANCE``, ρ ``server.algorithm.curvature``'s factor of it and b the column scale. With noise of a
standard deviation s in each coordinate of what hospitals send, centred effects are known with the error covariance

    E = (s ÷ c)² C W⁻¹ C,    C = I − 11ᵀ/n,

W by what gradients were mapped before clipping (``protocol.model.precondition``; without a map, 1). Under the prior
w ~ N(0, τ²K/ρ) of ``server.algorithm.newton``, with S = τ² C K C ÷ ρ, the posterior mean keeps tr S (S + E)⁻¹ S of the
variance tr S (Rasmussen and Williams 2006, §2.7): in the directions that make both diagonal (the generalised
eigenvectors, with r = variance ÷ error), the mean of r ÷ (r + 1), each weighing as its share of the variance.

What is counted for a cross lies beyond its two features (C is then the product of both features' own), and what it adds
to their own effects is left out. Of a hierarchical feature each level is a field, judged by what it adds to the level
above. Left out are shares that are not equal, what a level's own bins say of the groups that they lie in, and the
chance in who the patients are, which comes on top of noise.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import eigh, helmert

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Cross
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.precondition import FieldMap, precondition
from wardround.protocol.model.prior import (
    BERNOULLI_VARIANCE,
    EFFECT_STDDEV,
    ORDERED_KINDS,
    RANGED_SPREAD,
    bins_covariance,
)
from wardround.protocol.terms.settings import ModelSettings
from wardround.server.algorithm.curvature import curvature_share

MOST_BINS_IN_ORDER = 500
"""Bins whose eigenvalues are computed where nothing is mapped; a field with more of them is taken to have no order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldSignals:
    """What is known of one field: a feature, a cross, a level of a tree, or a ranged value (bins = 1).

    ratios: float64 [directions], variance ÷ squared error. shares: float64 [directions], of the variance; sum 1.
    stddev: of the error of one bin's effect; prior_stddev: of the differences expected between bins (both in log-odds;
    of a ranged value, from its middle to its end).
    """

    name: str
    bins: int
    ratios: Floats
    shares: Floats
    stddev: float
    prior_stddev: float

    @property
    def kept(self) -> float:
        """Share of the variance that the posterior mean keeps, in [0, 1]."""
        return float((self.shares * (self.ratios / (1 + self.ratios))).sum())


def field_signals(
    contract: Contract, model: ModelSettings, noise_stddev: float, mapped_for: float
) -> Iterator[FieldSignals]:
    """Give what is known of each field.

    noise_stddev: s > 0. mapped_for: the noise that gradients are preconditioned for, as in the terms; 0 where they are
    not.
    """
    scale = float(column_scale(model, contract.layout)[0])
    maps = _maps(contract, mapped_for) if mapped_for else {}
    share = curvature_share(contract)
    for field in _fields(contract, EFFECT_STDDEV**2 / share):
        error = noise_stddev / (share * BERNOULLI_VARIANCE * scale**2 * field.share)
        yield field.mapped(error, scale, maps[field.name]) if maps else field.plain(error, scale)


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One field before any noise. share: mean square of one of its design columns. variance: τ²/ρ.

    orders: kind and bins of each feature that its effects vary along; empty where effects without order are expected.
    """

    name: str
    bins: int
    share: float
    variance: float
    orders: tuple[tuple[str, int], ...] = ()

    def plain(self, error: float, scale: float) -> FieldSignals:
        """Read gradients as they are; error: s ÷ c."""
        variances = self.variance * np.ones(1)
        for kind, size in self.orders:
            variances = np.outer(variances, _centred(kind, size)).ravel()
        return self._signals(variances / error**2, variances, error, scale, float(variances.mean()))

    def mapped(self, error: float, scale: float, known: FieldMap) -> FieldSignals:
        """Read gradients that were mapped before clipping; error: s ÷ c."""
        inverse = known.inverse @ known.inverse
        if not self.orders:
            # All directions alike, but for that of the mean: what two entries differ by is the eigenvalue of the rest.
            squared = error**2 * float(inverse[0, 0] - (inverse[0, 1] if self.bins > 1 else 0))
            ratios = np.array([self.variance / squared])
            return self._signals(ratios, np.ones(1), math.sqrt(squared), scale, self.variance)
        basis: Floats = np.ones((1, 1))
        prior: Floats = np.ones((1, 1))
        for kind, size in self.orders:
            basis = np.asarray(np.kron(basis, helmert(size)), np.float64)
            prior = np.asarray(np.kron(prior, bins_covariance(kind, size)), np.float64)
        effects: Floats = self.variance * basis @ prior @ basis.T
        errors: Floats = error**2 * basis @ inverse @ basis.T
        ratios, vectors = eigh(effects, errors)
        # The columns of V have Vᵀ E V = 1 and Vᵀ S V = r: tr S is the sum of r times its column's squares in E V.
        ratios = np.maximum(ratios, 0)
        weights = ratios * np.square(errors @ vectors).sum(axis=0)
        typical, variance = (float(np.trace(matrix)) / len(basis) for matrix in (errors, effects))
        return self._signals(ratios, weights, math.sqrt(typical), scale, variance)

    def _signals(
        self, ratios: Floats, weights: Floats, error: float, scale: float, variance: float
    ) -> FieldSignals:
        return FieldSignals(
            name=self.name,
            bins=self.bins,
            ratios=ratios,
            shares=weights / weights.sum(),
            stddev=scale * error,
            prior_stddev=scale * math.sqrt(variance),
        )


def _fields(contract: Contract, variance: float) -> Iterator[_Field]:
    layout = contract.layout
    kinds = {feature.name: feature.kind for feature in contract.features}
    field_of = partial(_Field, variance=variance)
    # A level's effects are centred within the bins above it, and all of them are expected alike.
    for level in layout.coarse:
        yield field_of(name=level.name, bins=level.size, share=1 / level.size)
    for one in layout.features:
        order = ((kinds[one.name], one.size),) if kinds[one.name] in ORDERED_KINDS else ()
        yield field_of(name=one.name, bins=one.size, share=1 / one.size, orders=order)
    for cross in layout.crosses:
        yield field_of(name=cross.name, bins=cross.size, share=1 / cross.size, orders=_orders(cross, kinds))
    for name in layout.values:
        yield field_of(name=name, bins=1, share=RANGED_SPREAD)


def _orders(cross: Cross, kinds: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    both = [(kinds[field.name], field.size) for field in (cross.first, cross.second)]
    return tuple(both) if any(kind in ORDERED_KINDS for kind, _ in both) else ()


def _maps(contract: Contract, mapped_for: float) -> dict[str, FieldMap]:
    """Name the blocks of a study's map."""
    names = ["", *(field.name for field in contract.layout.fields), *contract.layout.values]
    return dict(zip(names, precondition(contract, mapped_for).fields, strict=True))


def _centred(kind: str, size: int) -> Floats:
    """Eigenvalues of a feature's prior covariance between effects whose mean is taken out: float64 [size − 1]."""
    if size > MOST_BINS_IN_ORDER or kind not in ORDERED_KINDS:
        return np.ones(size - 1)
    basis = helmert(size)
    return np.asarray(np.linalg.eigvalsh(basis @ bins_covariance(kind, size) @ basis.T))
