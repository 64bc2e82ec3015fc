"""What of a contract the noise of a study would hide, before anybody is asked: from public numbers alone.

For one field with n bins of equal shares p = 1/n, Fisher information of its centred effects is c = h b² p, where h is
``prior.BERNOULLI_VARIANCE`` and b the column scale: a bin's effect b·w is known with the standard error b s ÷ c,
s being the noise in the gradients that the weights are read from. Under the prior w ~ N(0, τ²K) of
``server.algorithm.newton``, with λ the eigenvalues of τ²K between centred effects, the posterior mean keeps

    Σ c²λ² ÷ (c²λ + s²)  of the variance  Σ λ    (Rasmussen and Williams 2006, §2.7).

A field drowns where less than half is kept. In a field without order all λ are τ², and that is where its standard
error exceeds the prior's spread, b τ. What is counted for a cross lies beyond its two features: its λ are the products
of theirs; what it adds to their own effects is left out. Of a hierarchical feature each level is a field, judged by
what it adds to the level above: there all λ are τ², one for each node more. Left out are shares that are not equal,
what a level's own bins say of the groups that they lie in, the chance in who the patients are, which comes on top of
noise, and that hospitals measure best what is known least (``protocol.model.precondition``): more is learned in all,
and less of what drowns.
"""

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.prior import (
    BERNOULLI_VARIANCE,
    EFFECT_STDDEV,
    RANGED_SPREAD,
    bins_covariance,
)
from wardround.protocol.terms.structure import kinds_with
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.newton import averaged_noise_stddev
from wardround.server.algorithm.noise_choice import mean_noise_stddev

LEAST_KEPT = 0.5
"""Share of a field's variance that must be kept: below, more of its effect is hidden than is learned."""
MOST_BINS_IN_ORDER = 500
"""Bins whose eigenvalues are computed; a field with more of them is taken to have no order."""


@dataclass(frozen=True, kw_only=True)
class FieldAdvice:
    """One field: a feature, a cross, or a ranged value (bins = 1).

    stddev: of the noise in one bin's effect; prior_stddev: of the differences expected between bins (both in log-odds;
    of a ranged value, from its middle to its end). kept: share of their variance that is learned. needed: by what the
    noise must be divided for LEAST_KEPT; 1 or less where that much is kept already.
    """

    name: str
    bins: int
    stddev: float
    prior_stddev: float
    kept: float
    needed: float

    @property
    def drowns(self) -> bool:
        """Whether less is learned than is hidden."""
        return self.kept < LEAST_KEPT


@dataclass(frozen=True, kw_only=True)
class TreeAdvice:
    """How deep a hierarchical feature is worth listing: ``kept`` of ``levels``, and the nodes of those."""

    name: str
    levels: int
    kept: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContractAdvice:
    """All fields, the most hidden first; trees by how much of them is learned; the rule for bins without an order.

    affordable_bins: bins of equal shares that a categorical feature can have, *other* among them. least_share: of the
    patients' messages that such a bin must hold; above 1, none can.
    """

    fields: tuple[FieldAdvice, ...]
    trees: tuple[TreeAdvice, ...]
    affordable_bins: int
    least_share: float


def advise(terms: Terms) -> ContractAdvice:
    """Say what is learned of each field, of a model of interactions in the rounds before theirs.

    ConfigurationError for a model with hidden layers, or of a user's own, or for several steps.
    """
    model, steps = terms.model, terms.training.local_steps
    remedy = (
        f"must be {kinds_with('convex')}: what noise does to another model is not known in closed form; set "
        "model=additive"
    )
    require(model.structure.convex, "model.kind", model.kind, remedy)
    require(steps == 1, "training.local_steps", steps, "must be 1: advice reads the noise of one gradient")
    scale = float(column_scale(terms.model, terms.contract.layout)[0])
    noise = _noise_stddev(terms)
    least_share = noise / (BERNOULLI_VARIANCE * scale**2 * EFFECT_STDDEV)
    fields = [_advice(name, one, scale, noise) for name, one in _spectra(terms.contract)]
    drowned = {field.name for field in fields if field.drowns}
    return ContractAdvice(
        fields=tuple(sorted(fields, key=lambda field: (field.kept, field.name))),
        trees=tuple(_trees(terms.contract, drowned)),
        # At the bound itself half is kept: a hair of rounding must not cost a bin.
        affordable_bins=math.floor(1 / least_share * (1 + 1e-9)),
        least_share=least_share,
    )


@dataclass(frozen=True)
class _Spectrum:
    """Eigenvalues of the prior between centred effects, in τ²; share: mean square of one of its design columns."""

    bins: int
    eigenvalues: Floats
    share: float


def _noise_stddev(terms: Terms) -> float:
    """Standard deviation of the noise in one coordinate of what the final weights are read from."""
    if terms.training.optimizer == "newton":
        return averaged_noise_stddev(terms, noise_gain(terms))
    return mean_noise_stddev(terms)


def _advice(name: str, one: _Spectrum, scale: float, noise: float) -> FieldAdvice:
    information = BERNOULLI_VARIANCE * scale**2 * one.share
    variances = EFFECT_STDDEV**2 * one.eigenvalues
    return FieldAdvice(
        name=name,
        bins=one.bins,
        stddev=scale * noise / information,
        prior_stddev=scale * math.sqrt(variances.mean()),
        kept=_kept(variances, noise / information),
        needed=_needed(variances, noise / information),
    )


def _kept(variances: Floats, error: float) -> float:
    """Share of the variance that is known with this standard error of each weight."""
    return float((variances**2 / (variances + error**2)).sum() / variances.sum())


def _needed(variances: Floats, error: float) -> float:
    """By what to divide the error so that LEAST_KEPT is kept: by bisection, for it falls with the error."""
    # Between the smallest and the largest, each eigenvalue alone would keep more, or less, than half.
    low, high = 0.0, math.sqrt(variances.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _kept(variances, middle) >= LEAST_KEPT else (low, middle)
    return error / low


def _spectra(contract: Contract) -> Iterator[tuple[str, _Spectrum]]:
    layout = contract.layout
    kinds = {feature.name: feature.kind for feature in contract.features}
    alone = {field.name: _centred(kinds[field.name], field.size) for field in layout.features}
    above: dict[str, int] = {}
    for coarse in layout.coarse:
        yield coarse.name, _level(coarse.size, above.get(coarse.of.name, 1))
        above[coarse.of.name] = coarse.size
    for field in layout.features:
        if field.name in above:
            yield field.name, _level(field.size, above[field.name])
        else:
            yield field.name, _Spectrum(field.size, alone[field.name], 1 / field.size)
    for cross in layout.crosses:
        first, second = (alone[name] for name in cross.parents)
        yield cross.name, _Spectrum(cross.size, np.outer(first, second).ravel(), 1 / cross.size)
    for name in layout.values:
        yield name, _Spectrum(1, np.ones(1), RANGED_SPREAD)


def _level(bins: int, above: int) -> _Spectrum:
    """Give the spectrum of one level of a tree, whose effects are centred within the ``above`` bins over it."""
    return _Spectrum(bins, np.ones(bins - above), 1 / bins)


def _trees(contract: Contract, drowned: Set[str]) -> Iterator[TreeAdvice]:
    for feature in contract.features:
        if feature.tree is None:
            continue
        levels = feature.tree.levels
        names = [*map(feature.group_name, range(1, levels)), feature.name]
        # What lies below a level that drowns is not counted: it could not tell of which group it is a part.
        kept = next((level for level, name in enumerate(names) if name in drowned), levels)
        yield TreeAdvice(name=feature.name, levels=levels, kept=kept, nodes=feature.tree.upto(kept).nodes)


def _centred(kind: str, size: int) -> Floats:
    """Eigenvalues of a feature's prior covariance between effects whose mean is taken out: float64 [size − 1]."""
    if size > MOST_BINS_IN_ORDER:
        return np.ones(size - 1)
    centre = np.eye(size) - 1 / size
    # Ascending: the first is that of the mean, 0.
    return np.asarray(np.linalg.eigvalsh(centre @ bins_covariance(kind, size) @ centre)[1:])
