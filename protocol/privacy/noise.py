"""The noise modes: who adds the noise for which a study's ε is stated, and what follows from it.

Code asks a mode what it does and never compares its name: a further mode is one more value.
"""

from dataclasses import dataclass

from wardround.protocol.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class NoiseMode:
    """One way to add the noise for which a study's ε is stated.

    name: the word in settings, terms and results. alone: one hospital's release is private by itself, and so may be
    looked at, weighed and joined with others by any rule; else releases are integers of a secure sum, of whose noise
    each hospital adds a share (``protocol.terms.sum_noise``). words: for a figure's title.
    """

    name: str
    alone: bool
    words: str

    @property
    def variance_of_two(self) -> float:
        """The part of the stated noise's variance that protects a patient at two hospitals, in each of two releases.

        One sum holds such a person twice, which is as two releases with half of its variance each.
        """
        return 1.0 if self.alone else 0.5


LOCAL = NoiseMode(name="local", alone=True, words="full noise at each hospital")
SECURE = NoiseMode(name="secure", alone=False, words="noise shared in secure sums")
NOISE_MODES = {mode.name: mode for mode in (LOCAL, SECURE)}
"""By name."""
SUPPOSED = "distributed"
"""In results before 0.3.0: each of H hospitals added a whole H-th of the noise, and secure sums were supposed."""
AUTO = "auto"
"""In settings: a public rule chooses (``server.algorithm.noise_choice``). Terms carry what it chose."""


def check_noise(name: str, key: str) -> None:
    """ConfigurationError under the setting's key for a word that names no mode, and leaves none to the rule."""
    if name not in (AUTO, *NOISE_MODES):
        raise ConfigurationError(f"{key}={name}: must be one of {', '.join((AUTO, *NOISE_MODES))}")
