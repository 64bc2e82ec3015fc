"""Propensities: the chance with which each message was drawn, so that a model may learn from what was explored.

Where staff or a model chose the messages, those who got one differ from those who did not. A column says the
probability p with which the message that was sent had been drawn; its event then weighs

    w = min(1, least ÷ p),

which is 1 ÷ p (Horvitz and Thompson 1952), clipped where p falls below the contract's ``least`` (Swaminathan and
Joachims 2015), and times ``least``, a public constant: so no event weighs more than 1. The weighted loss is, in
expectation, that of messages of which each had the same chance, whoever they were sent to.
"""

from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.text.section import Section

SMALLEST, LARGEST = 0.001, 0.999


@dataclass(frozen=True, kw_only=True)
class Propensity:
    """column: of the messages. least: below it an event weighs no more; public, from how messages were drawn."""

    column: str
    least: float

    def weights(self, propensities: Floats) -> Floats:
        """Give w of propensities above 0 and at most 1: float64, in [least, 1], and exactly 1 up to ``least``.

        NaN where the propensity is.
        """
        # Not the least of 1 and the quotient: that overflows for the smallest cells.
        return np.asarray(self.least / np.maximum(propensities, self.least))

    def to_mapping(self) -> dict[str, object]:
        """Plain data in the YAML format."""
        return {"column": self.column, "least": self.least}


def read_propensity(section: Section) -> Propensity:
    """Read and check; ConfigurationError, one line."""
    column, least = section.text("column"), section.value("least")
    section.finish()
    if isinstance(least, bool) or not isinstance(least, int | float) or not SMALLEST <= least <= LARGEST:
        raise section.fail("least", f"must be a probability from {SMALLEST} to {LARGEST}")
    return Propensity(column=column, least=float(least))
