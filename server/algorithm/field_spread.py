"""How far each field's effects spread, read from the released gradients: empirical Bayes of newton's prior. Free of ε.

The prior expects effects of one spread τ in every field. In most tables a few fields matter and the others do not; a
shrinkage that is right for both does not exist. In the model of ``server.algorithm.newton`` the average y of what the
gradients have shown so far is Gaussian,

    y ~ N(0, S),   S = Σ_f v_f H τ²K_f H + H/n + s²I,

with v_f the factor of field f's prior variance (1: as expected) and s the public noise. So y itself tells the factors,
also where no single effect can be told from noise. With an inverse-gamma prior of ν degrees of freedom about v₀, the
most likely factors satisfy

    γ_f = v_f tr(τ²K_f H S⁻¹ H),   E_f = v_f² uᵀ τ²K_f u with u = H S⁻¹ y,   v_f = (ν v₀ + E_f) ÷ (ν + γ_f):

E_f is the energy of the field's posterior mean, in units of its prior, and γ_f how many of its effects the releases
determine (MacKay 1992, "Bayesian interpolation", eq. 4.9; Tipping 2001, "Sparse Bayesian learning", §3). v₀ follows
likewise from all fields together, about 1. Where noise is all there is, γ and E vanish and the factors stay at 1: the
prior as it was. Each gradient makes one step of this iteration, whose factors the next one is read by.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.prior import columns_of_fields

FIELD_FREEDOM = 8.0
"""ν: what a field's own effects are worth against all fields together; chosen on the choosing half of the zoo."""
COMMON_FREEDOM = 10.0
"""The same of v₀ against 1."""


def by_column(layout: Layout, factors: Floats) -> Floats:
    """Give each column its field's factor: float64 [fields] -> [width]; no factors yet (empty) are all 1."""
    if not len(factors):
        return np.ones(layout.width)
    places = columns_of_fields(layout)
    return np.repeat(factors, [place.stop - place.start for place in places])


def read_fields(
    places: Sequence[slice], prior: Floats, fisher: Floats, seen: Floats, noise: Floats, factors: Floats
) -> tuple[Floats, Floats]:
    """Give the posterior mean under these factors, float64 [width], and the factors after one step, [fields].

    places: columns of each field, the intercept first, whose factor stays. prior: τ²K [width, width], block-diagonal
    by field, with every factor at 1. fisher: H. seen: y [width]. noise: H/n + s²I. Of the order of width³ operations.
    """
    sizes = [place.stop - place.start for place in places]
    roots = [np.linalg.cholesky(prior[place, place]) for place in places]
    spread = np.sqrt(factors)
    pulled = np.empty_like(fisher)  # H B, B Bᵀ the prior under these factors
    for place, root, size in zip(places, roots, spread, strict=True):
        pulled[:, place] = fisher[:, place] @ (size * root)
    # Positive definite by s² alone, so that no eigenvalues are needed.
    covariance = cho_factor(pulled @ pulled.T + noise, lower=True, overwrite_a=True, check_finite=False)
    along = pulled.T @ cho_solve(covariance, seen, check_finite=False)
    told = solve_triangular(covariance[0], pulled, lower=True, check_finite=False)
    starts = np.cumsum([0, *sizes[:-1]])
    # A factor's prior is in B already: once of the two in E_f, and all of it in γ_f.
    energies = factors * np.add.reduceat(np.square(along), starts)
    determined = np.add.reduceat(np.einsum("ij,ij->j", told, told), starts)
    mean = [size * root @ along[place] for place, root, size in zip(places, roots, spread, strict=True)]
    return -np.concatenate(mean), _stepped(energies, determined)


def _stepped(energies: Floats, determined: Floats) -> Floats:
    """Make one step of every factor; the intercept's stays at 1: the expected rate has a prior of its own."""
    common = (COMMON_FREEDOM + energies[1:].sum()) / (COMMON_FREEDOM + determined[1:].sum())
    factors = (FIELD_FREEDOM * common + energies) / (FIELD_FREEDOM + determined)
    factors[0] = 1.0
    return np.asarray(factors)
