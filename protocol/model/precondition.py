"""Which directions of a gradient are measured how well: a public linear map before clipping, undone at the server.

Noise in all coordinates alike measures all directions alike. But a prior knows some of them well enough: neighbouring
bins are alike, and what noise would hide in any case is not worth asking. So a hospital clips, sums and noises M g in
the place of a patient's gradient g. One patient moves the sum by at most the clip norm whatever M is; the server undoes
M, and the noise in the gradient then has the covariance s²W⁻¹, W = MᵀM (the matrix mechanism: Li, Miklau, Hay, McGregor
and Rastogi 2015; correlated noise by an invertible M is the same as a factorisation of it).

*Which W.* Under the prior w ~ N(0, P), with H the Fisher information, the error of the predicted log-odds that is left
is, in the coordinates of H^½,

    tr (B⁻¹ + V/s²)⁻¹,   B = H^½ P H^½,   V = H^½ W H^½,

and tr V = h E‖M x‖² is what a design row x may take of the clip norm. The least error is by water-filling (A-optimal
Bayesian design: Chaloner and Verdinelli 1995, §2.2; Cover and Thomas 2006, §10.3.3): V has the eigenvectors of B, and

    v = s² (μ − 1/β)₊   for each eigenvalue β of B:

directions that the prior leaves open are measured until all are known equally well, to μ; the rest not at all. Since
P, H and so W are guesses, a share ``FLOOR`` of tr V measures all directions alike: nothing is lost for good, and M can
be undone.

H is not read from patients: bins are taken to be equally frequent and fields independent. So every row is centred,
x_f − p_f with p_f = 1 ÷ bins, and W has one block for each field: all follows from the contract and one number in the
terms, s. M is scaled so that ‖M x‖² is 1 in the mean over rows of such bins, as ‖x‖² is without it: the clip norm's
rule (``server.algorithm.clip_norm``) then means what it means there. Scaled to the longest row instead, there was up to
a fourth more noise beside as much signal, and less gain on the zoo. What is longer is clipped as any gradient.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wardround.protocol.arrays import Floats, Integers, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.prior import (
    BERNOULLI_VARIANCE,
    EFFECT_STDDEV,
    RANGED_SPREAD,
    columns_of_fields,
    prior_blocks,
)
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms

FLOOR = 0.1
"""Share of what a row may take that goes to all directions alike; chosen on the choosing half of the zoo."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldMap:
    """One field's block of M: what it sees of a row is ``matrix @ (x_f − centre)``.

    matrix, inverse: float64 [columns, columns], symmetric. centre: float64 [columns], p_f; 0 of the intercept and of
    ranged values, which are no bins.
    """

    place: slice
    centre: Floats
    matrix: Floats
    inverse: Floats

    @cached_property
    def rows(self) -> Floats:
        """What the field's bins become: float64 [columns, bins]; of a column that is no bin, the matrix itself."""
        return np.asarray(self.matrix - (self.matrix @ self.centre)[:, None])

    @cached_property
    def products(self) -> Floats:
        """Inner products of what the field's bins become: float64 [bins, bins]."""
        return np.asarray(self.rows.T @ self.rows)

    @cached_property
    def bounds(self) -> Floats:
        """Squared norms that rounding errors are measured in, float64 [bins]: of ``|matrix| (x_f + centre)``."""
        size = np.abs(self.matrix)
        return np.asarray(np.square(size + (size @ self.centre)[:, None]).sum(axis=0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Preconditioner:
    """M, by field, in the order of ``columns_of_fields``; invertible.

    Guarantee: ‖M x‖² is 1 in the mean over scaled design rows x (``protocol.model.model.column_scale``) whose bins are
    equally frequent and fields independent.
    """

    fields: tuple[FieldMap, ...]

    @property
    def widest(self) -> int:
        """The most columns of a field: so many products make one entry of what ``apply`` gives."""
        return max(len(field.centre) for field in self.fields)

    def apply(self, gradients: Floats) -> Floats:
        """M times each row: float64 [..., width] -> the same."""
        seen = np.empty_like(gradients)
        for field in self.fields:
            # The intercept's column is 1 in every row: it counts what is to be centred.
            own = gradients[..., field.place] - gradients[..., :1] * field.centre
            seen[..., field.place] = own @ field.matrix
        return seen

    def undo(self, seen: Floats) -> Floats:
        """M⁻¹ times each row: float64 [..., width] -> the same."""
        gradients = np.empty_like(seen)
        count = seen[..., :1] @ self.fields[0].inverse
        for field in self.fields:
            gradients[..., field.place] = seen[..., field.place] @ field.inverse + count * field.centre
        return gradients

    @cached_property
    def matrix(self) -> Floats:
        """M, float64 [width, width]."""
        return self.apply(np.eye(self.fields[-1].place.stop)).T

    @cached_property
    def noise_covariance(self) -> Floats:
        """W⁻¹, float64 [width, width]: of what ``undo`` makes of noise of variance 1 in every coordinate."""
        inverse = self.undo(np.eye(self.fields[-1].place.stop))
        return np.asarray(inverse.T @ inverse)

    def products(self, columns: Integers32, entries: Floats, first: Integers, second: Integers) -> Floats:
        """Inner products of M x of pairs of rows: float64 [pairs].

        columns, entries: each row's active columns and what stands there, [rows, active]. first, second: int64 [pairs].
        """
        found = np.zeros(len(first))
        # Field by field: pairs may be many more than rows.
        for index, field in enumerate(self.fields):
            bins = columns[:, index] - field.place.start
            entry = np.ascontiguousarray(entries[:, index])
            found += field.products[bins[first], bins[second]] * (entry[first] * entry[second])
        return found

    def bounds(self, columns: Integers32, entries: Floats) -> Floats:
        """Squared norms that rounding errors of M x are measured in: float64 [events], at least its squared norm."""
        found = np.zeros(len(columns))
        for index, field in enumerate(self.fields):
            of_bins = field.bounds[columns[:, index] - field.place.start]
            found += of_bins * np.square(entries[:, index])
        return found


def preconditioner_of(terms: Terms) -> Preconditioner | None:
    """Give a study's M, None where its gradients are clipped as they are; kept from the last call with these terms."""
    return precondition(terms.contract, terms.precondition) if terms.precondition else None


# One at a time: it has up to 96 MB, and a study needs one.
@lru_cache(maxsize=1)
def precondition(contract: Contract, noise_stddev: float) -> Preconditioner:
    """Give M for a contract and s > 0, the noise in a coordinate of the mean gradient over all rounds (scaled rows).

    Costs the eigenvalues of three matrices for each field.
    """
    layout = contract.layout
    scale = float(column_scale(ModelSettings(), layout)[0])
    designs, centres = _designs(layout, scale), _centres(layout)
    spectra = [
        _spectrum(design, EFFECT_STDDEV**2 * block)
        for design, block in zip(designs, prior_blocks(contract), strict=True)
    ]
    level = _water_level(np.concatenate([of.variances for of in spectra]), noise_stddev)
    even = FLOOR * BERNOULLI_VARIANCE / sum(float(np.trace(design)) for design in designs)
    weights = [of.weight(level, noise_stddev) + even * np.eye(len(of.directions)) for of in spectra]
    size = sum(float((own * design).sum()) for own, design in zip(weights, designs, strict=True))
    unit = BERNOULLI_VARIANCE / size
    fields = zip(columns_of_fields(layout), centres, weights, strict=True)
    return Preconditioner(
        fields=tuple(_field_map(place, centre, unit * own) for place, centre, own in fields)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spectrum:
    """β of one field, float64 [known], and the directions H^−½ u that they belong to, [columns, known]."""

    variances: Floats
    directions: Floats

    def weight(self, level: float, noise_stddev: float) -> Floats:
        """W of the field before ``FLOOR``: float64 [columns, columns]."""
        of_direction = noise_stddev**2 * np.maximum(level - 1 / self.variances, 0)
        return np.asarray((self.directions * of_direction) @ self.directions.T)


def _spectrum(design: Floats, prior: Floats) -> _Spectrum:
    """Decompose B = H^½ P H^½ of one field, where H has rank: the sum of a field's bins is known."""
    values, vectors = np.linalg.eigh(design)
    told = values > 1e-9 * max(float(values[-1]), 0.0)
    root, vectors = np.sqrt(values[told]), vectors[:, told]
    pulled = root[:, None] * (vectors.T @ prior @ vectors) * root
    variances, turned = np.linalg.eigh(pulled)
    # Positive definite as the prior is; below this an eigenvalue is rounding.
    variances = np.maximum(variances, 1e-12)
    return _Spectrum(variances=variances, directions=(vectors / root) @ turned)


def _water_level(variances: Floats, noise_stddev: float) -> float:
    """Give μ, at which Σ s² (μ − 1/β)₊ is what the floor leaves of h."""
    known = np.sort(1 / variances)
    budget = (1 - FLOOR) * BERNOULLI_VARIANCE / noise_stddev**2
    levels = (budget + np.cumsum(known)) / np.arange(1, len(known) + 1)
    # With the k least known directions under water, the level must lie above the k-th.
    return float(levels[np.flatnonzero(levels > known)[-1]])


def _designs(layout: Layout, scale: float) -> list[Floats]:
    """Give H by field, rows centred: bins equally frequent, ranged values spread evenly over [−1, 1]."""
    of_bins = [np.eye(field.size) / field.size - 1 / field.size**2 for field in layout.fields]
    blocks = [np.eye(1), *of_bins, *(np.full((1, 1), RANGED_SPREAD) for _ in layout.values)]
    return [BERNOULLI_VARIANCE * scale**2 * block for block in blocks]


def _centres(layout: Layout) -> list[Floats]:
    of_bins = [np.full(field.size, 1 / field.size) for field in layout.fields]
    return [np.zeros(1), *of_bins, *(np.zeros(1) for _ in layout.values)]


def _field_map(place: slice, centre: Floats, weight: Floats) -> FieldMap:
    """Give the symmetric root of W, and its inverse."""
    values, vectors = np.linalg.eigh(weight)
    root = np.sqrt(values)
    return FieldMap(
        place=place,
        centre=centre,
        matrix=np.asarray((vectors * root) @ vectors.T),
        inverse=np.asarray((vectors / root) @ vectors.T),
    )
