"""The noise modes: who adds how much of a sum's noise, and what follows from it.

Code asks a mode what it does and never compares its name: a further mode is one more value.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from wardround.protocol.errors import ConfigurationError


def _one(hospitals: int) -> int:
    return 1


def _each(hospitals: int) -> int:
    return hospitals


def _by_thresholds(hospitals: int) -> int:
    raise ValueError("how many shares a secure sum has follows from its terms' thresholds")


@dataclass(frozen=True, kw_only=True)
class NoiseMode:
    """One way to add the noise for which a study's ε is stated.

    name: the word in settings, terms and results. shares: for a number of hospitals, how many equal shares make up
    that noise; each hospital adds one. alone: one hospital's release is private by itself, and so may be looked at,
    weighed and joined with others by any rule. summed: releases are integers of a secure sum, and how many shares make
    up the noise follows from the terms' thresholds (``protocol.terms.sum_noise``), not from ``shares``. simulated: no
    real study may have it. words: for a figure's title. assumption: what the stated ε stands on besides, for a
    reader; empty for nothing.
    """

    name: str
    shares: Callable[[int], int]
    alone: bool
    simulated: bool
    words: str
    assumption: str = ""
    summed: bool = False

    def stddev(self, total: float, hospitals: int) -> float:
        """Give the standard deviation that one hospital adds. total: that of the noise for which ε is stated."""
        return total / math.sqrt(self.shares(hospitals))

    def variance_seen(self, hospitals: int, colluding: int) -> dict[str, float]:
        """Give the part of the stated noise's variance that protects a patient, by adversary.

        Keys as in ``accounting.epsilon_by_adversary``. ``colluding`` hospitals know their own noise: of a sum they
        take their shares out, and learn nothing more of a release that holds none of them.
        """
        shares = self.shares(hospitals)
        left = 1.0 if self.alone else (shares - colluding) / shares
        return {
            "model": 1.0,
            "server": 1 / shares,
            "server_and_hospitals": 1 / shares,
            "secure_sum_and_hospitals": left,
        }

    @property
    def variance_of_two(self) -> float:
        """The same for a person who is a patient at two hospitals, in each of two releases.

        One sum holds such a person twice, which is as two releases with half of its variance each.
        """
        return 1.0 if self.alone else 0.5

    def lacks(self, came: int, planned: int) -> str:
        """Say why a sum of so many releases must not be used; empty where it may.

        A sum with fewer shares of noise is less private than the terms say. Nothing is refunded either way.
        """
        return "" if self.alone or came >= planned else f"{came} of {planned} noise shares"


LOCAL = NoiseMode(name="local", shares=_one, alone=True, simulated=False, words="full noise at each hospital")
DISTRIBUTED = NoiseMode(
    name="distributed",
    shares=_each,
    alone=False,
    simulated=True,
    words="noise shared (assumes secure aggregation)",
    assumption="assumes secure aggregation: each hospital adds a share of the noise, and only the sum is private",
)
SECURE = NoiseMode(
    name="secure",
    shares=_by_thresholds,
    alone=False,
    simulated=False,
    words="noise shared in secure sums",
    summed=True,
)
NOISE_MODES = {mode.name: mode for mode in (LOCAL, DISTRIBUTED, SECURE)}
"""By name."""


AUTO = "auto"
"""In settings: a public rule chooses (``server.algorithm.noise_choice``). Terms carry what it chose."""


def check_noise(name: str, key: str) -> None:
    """ConfigurationError under the setting's key for a word that names no mode, and leaves none to the rule."""
    if name not in (AUTO, *NOISE_MODES):
        raise ConfigurationError(f"{key}={name}: must be one of {', '.join((AUTO, *NOISE_MODES))}")
