"""What floating point may lose, bounded for every width and every order of addition.

``γ(n) = n u / (1 - n u)`` bounds the relative error of a sum of n products in any order, u the unit roundoff
(Higham 2002, "Accuracy and stability of numerical algorithms", §3.1). Two things are bounded by it: by how much a
computed norm may fall short of the true one (``norm_allowance``, ``safe_norms``), and by how much the order of
additions may move a sum (``add_part``; ``protocol.privacy.mechanism.ORDER_ALLOWANCE`` counts it).
"""

import numpy as np
from numpy.typing import DTypeLike

from wardround.protocol.arrays import Floats
from wardround.protocol.privacy.mechanism import MOST_CANCELLATION


def norm_allowance(terms: int | Floats, dtype: DTypeLike) -> Floats:
    """Bound what rounding loses of a squared norm, relative to the squared sum of the events' own norms.

    terms: products added up in ``dtype`` for it. Twice γ, since bound and allowance are themselves rounded; without
    bound (and so clipped to nothing) where the type cannot hold so many terms.
    """
    # By the number of terms: one allowance for all widths let a gradient of 65,536 numbers exceed the clip norm.
    lost = np.asarray(terms, np.float64) * float(np.finfo(dtype).eps) / 2  # eps is the gap above 1: twice u
    return np.where(lost < 0.25, 2 * lost / np.maximum(1 - lost, 0.5), np.inf)


def safe_norms(squared: Floats, bound: Floats, allowance: float | Floats) -> Floats:
    """Give norms that never fall short of the true ones, though sums of signed terms were rounded.

    squared: float64 [patients]; bound: the sum of the events' own norms, by the triangle inequality an upper
    bound on the norm, in whose square rounding errors are measured. Guarantee: at least bound ÷ 16 as well: where a
    patient's events cancel further, they are shrunk, so that what is added up stays within 16 clip norms per patient.
    """
    norms = np.sqrt(np.maximum(squared, 0) + allowance * bound**2)
    return np.asarray(np.maximum(norms, bound / MOST_CANCELLATION))


class Totals:
    """Sums of parts of consecutive hospitals: parts in the cohort's order, a hospital's own patients in several."""

    def __init__(self, hospitals: int, width: int) -> None:
        """Begin with zeros."""
        self._sums, self._lost = np.zeros((2, hospitals, width))
        self._reached, self._shared = 0, False

    def add(self, first: int, found: Floats) -> None:
        """Add rows of hospitals ``first`` and on; only a hospital that an earlier part had is added to."""
        before = min(max(self._reached - first, 0), len(found))
        if before:
            both = slice(first, first + before)
            add_part(self._sums[both], self._lost[both], found[:before])
            self._shared = True
        self._sums[first + before : first + len(found)] = found[before:]
        self._reached = max(self._reached, first + len(found))

    def sums(self) -> Floats:
        """float64 [hospitals, width]."""
        return self._sums + self._lost if self._shared else self._sums


def add_part(sums: Floats, lost: Floats, part: Floats) -> None:
    """Add ``part`` to ``sums`` in place, and to ``lost`` what rounding takes (Knuth's two-sum).

    ``sums + lost`` at the end is as good as one addition, whatever the number of parts: parts are cut where memory
    says, and one patient more moves the cuts. Nothing is kept where a sum is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        whole = sums + part
        taken = whole - sums
        # Algebraically zero; in floating point exactly what `sums + part` lost.
        lost += (sums - (whole - taken)) + (part - taken)
    sums[...] = whole
