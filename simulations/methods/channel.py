"""Noised sums out of every hospital, with a record of what they cost: all that a challenger gets."""

import math
from dataclasses import dataclass, field

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, merge_events
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.privacy.noise import NoiseMode
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.thresholds import default_thresholds
from wardround.protocol.terms.settings import PrivacySettings
from wardround.server.algorithm.aggregate import SIZE_EXPONENT
from wardround.simulations.federation.federation import Federation


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a challenger found, and what it released to find it.

    logits: float64 [held-out events], in the order of ``Federation.heldout``. events: every release, for the
    patient ε by ``protocol.privacy.accounting``; empty for a method without privacy.
    """

    logits: Floats
    events: tuple[PrivacyEvent, ...]

    def epsilon(self, delta: float) -> float:
        """Compose the patient ε of all that was released."""
        return compose_epsilon(self.events, delta)


@dataclass(eq=False)
class Channel:
    """Releases of every hospital in one method's run; each is noised, and charged as it is made.

    streams: one keystream per hospital. mode: how much of the noise each hospital adds. weights: float64
    [hospitals], public factors by which a sum over hospitals becomes a mean over patients
    (``server.algorithm.aggregate``: ∝ declared**SIZE_EXPONENT where noise is local).
    """

    streams: tuple[Keystream, ...]
    mode: NoiseMode
    weights: Floats
    patients: Floats
    _spent: list[PrivacyEvent] = field(default_factory=list)

    @classmethod
    def open(cls, federation: Federation, privacy: PrivacySettings, seed: int, method: str) -> "Channel":
        """Start with nothing spent; noise is fixed by seed, method and hospital."""
        patients = np.array(list(federation.public_patients({}).values()), np.float64)
        sizes = patients ** (SIZE_EXPONENT if privacy.mode.alone else 0.0)
        names = federation.hospitals
        streams = tuple(Keystream(derive_key("challenger", method, seed, name)) for name in names)
        return cls(streams, privacy.mode, sizes / (sizes * patients).sum(), patients)

    @property
    def spent(self) -> tuple[PrivacyEvent, ...]:
        """All releases so far, as one patient's cost."""
        return merge_events(self._spent)

    def sums(self, sums: Floats, sensitivity: float, noise_multiplier: float) -> Floats:
        """Release each hospital's row: float64 [hospitals, D] -> the same, noised.

        sensitivity: the most by which one patient moves a row, in L2; noise_multiplier: σ ÷ sensitivity, of
        the row where noise is local, of the smallest sum of a lying server where it is shared.
        """
        stddev = self._stddev(sensitivity, noise_multiplier)
        # A stream for each release: noise that came twice would cancel in their difference.
        streams = [stream.child("release", len(self._spent)) for stream in self.streams]
        # In the call that adds the noise: no challenger can release without paying.
        self._spent.append(PrivacyEvent(noise_multiplier))
        return add_noise(sums, stddev, streams)

    def mean(self, sums: Floats, sensitivity: float, noise_multiplier: float) -> Floats:
        """Release the hospitals' sums and give their weighted mean over patients: float64 [D]."""
        return np.asarray(self.weights @ self.sums(sums, sensitivity, noise_multiplier))

    def mean_stddev(self, sensitivity: float, noise_multiplier: float) -> float:
        """Standard deviation of the noise in one coordinate of ``mean``: public."""
        stddev = self._stddev(sensitivity, noise_multiplier)
        return float(stddev * np.linalg.norm(self.weights))

    def _stddev(self, sensitivity: float, noise_multiplier: float) -> float:
        """One hospital's: all of the noise, or a share of a secure sum's (continuous here: no grid, no rounding)."""
        shares = 1 if self.mode.alone else default_thresholds(len(self.streams)).honest_shares
        return noise_multiplier * sensitivity / math.sqrt(shares)
