"""Baselines that ε does not touch, fitted once and kept: a sweep over ε and noise asks for them again and again.

What is kept are probabilities for the held-out events, and of the personal part what no shared model touches, in the
user's cache beside the encoded patients they are about.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from wardround.client.personal.personal_mixture import AloneFits
from wardround.protocol.arrays import Floats
from wardround.protocol.terms.terms import Terms
from wardround.simulations.federation.code_digest import code_digest
from wardround.simulations.federation.entry_store import Arrays, EntryStore, StoredArrays
from wardround.simulations.federation.federation import Federation

KIND, _ARRAY = "baseline", "probabilities"
MOST_FITS_BYTES = 2**26
"""Of a personal part's fits: those of thousands of hospitals would push out all else that is kept."""
FITTERS = (
    ("wardround.protocol", ""),
    ("wardround.client", "cohort.py"),
    ("wardround.client", "personal"),
    ("wardround.client", "train"),
    ("wardround.server", "algorithm"),
    ("wardround.simulations", "measures/one_thread.py"),
    ("wardround.simulations", "study"),
)
"""The code between patients and a baseline's probabilities, folders with all that is in them."""
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "threadpoolctl", "torch")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class BaselineKey:
    """What a baseline's probabilities depend on; equal keys give equal ones, bit for bit.

    patients: the fingerprint of the encoded patients, both splits. contract: its fingerprint. settings: a digest of
    the rest that the method reads. code, machine: what decides the last bits of a sum.
    """

    method: str
    patients: str
    contract: str
    settings: str
    code: str
    machine: str


def baseline_key(method: str, federation: Federation, terms: Terms, memory_bytes: int) -> BaselineKey:
    """Say what ``method`` depends on: ``pooled_boosting``, ``pooled``, ``local``, ``alone_fits``, ``federated``."""
    read: dict[str, object] = {"seed": federation.seed}
    if method != "pooled_boosting":
        # A design that does not fit is added up part by part, in another order.
        read |= {"model": asdict(terms.model), "memory_bytes": memory_bytes}
    if method == "federated":
        read["training"] = {
            **asdict(terms.training),
            "public_patients": list(terms.training.public_patients.items()),
        }
    return BaselineKey(
        method=method,
        patients=federation.data_fingerprint,
        contract=federation.contract.fingerprint,
        settings=hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest(),
        code=code_digest(FITTERS, _LIBRARIES),
        machine=_machine(),
    )


@dataclass(frozen=True)
class KeptBaselines:
    """The baselines of one federation under its terms, kept in ``store``; None keeps nothing.

    Guarantee: the same probabilities, bit for bit, with and without.
    """

    store: EntryStore | None
    federation: Federation
    terms: Terms
    memory_bytes: int

    def find_or_fit(self, method: str, fit: Callable[[], Floats]) -> Floats:
        """Give the probabilities float64 [held-out events] that ``fit`` gives, from the cache where they are there."""
        # A user's own module is code that no digest here covers.
        known = method == "pooled_boosting" or not self.terms.model.structure.own_module
        if self.store is None or not known:
            return fit()
        key: Mapping[str, object] = asdict(
            baseline_key(method, self.federation, self.terms, self.memory_bytes)
        )
        # The runs of a sweep begin together, and would all fit the same.
        with self.store.one_at_a_time(KIND, key):
            entry = self.store.find(KIND, key)
            if entry is not None and _ARRAY in entry.arrays:
                return np.asarray(entry.arrays[_ARRAY])
            found = np.ascontiguousarray(fit())
            self.store.keep(KIND, key, StoredArrays({_ARRAY: found}))
            return found

    def with_alone_fits(self, score: Callable[[AloneFits], Floats]) -> Floats:
        """Give the scores from a personal part's fits that ε does not touch; the cache gives them, or gets them."""
        if self.store is None:
            return score({})
        key = asdict(baseline_key("alone_fits", self.federation, self.terms, self.memory_bytes))
        entry = self.store.find(KIND, key)
        known: dict[int, Floats] = {} if entry is None else _by_fold(entry.arrays)
        found_there = len(known)
        scores = score(known)
        size = sum(effects.nbytes for effects in known.values())
        if len(known) > found_there and size <= MOST_FITS_BYTES:
            self.store.keep(KIND, key, StoredArrays({str(fold): known[fold] for fold in known}))
        return scores


def _by_fold(arrays: Arrays) -> dict[int, Floats]:
    """Read what ``with_alone_fits`` kept; nothing of an entry that has other names."""
    named = all(name.isdecimal() for name in arrays)
    return {int(name): np.asarray(array) for name, array in arrays.items()} if named else {}


@cache
def _machine() -> str:
    """Name what code and data leave open: the processor, whose vectors are as wide as they are, and BLAS's threads."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line for line in lines if line.startswith("model name")), "")
    except OSError:
        model = ""
    threads = [f"{name}={os.environ.get(name, '')}" for name in _THREADS]
    return " ".join([platform.machine(), model, f"processors={os.cpu_count()}", *threads])
