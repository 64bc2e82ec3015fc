"""The design of the zoo: 36 synthetic federations that differ in fifteen ways, none confounded with another.

A sliced Latin hypercube (Qian 2012): each factor has 24 levels, each level once; of two neighbouring levels one is in
either half, so that each half covers every factor's whole range by itself. The table was found by annealing from seed
15, which swapped levels until the factors were nearly uncorrelated, and keeps out what nobody would study: fewer than
eight patients a hospital in the mean, fewer than 60 messages of the rarer outcome, more than 1.5 million messages or
30 million cells. ``tests/simulations/population/test_zoo.py`` holds all of this.

The first half of these 24 is for choosing. The second was looked at when a method was finished, so twelve more were
drawn for a fresh look: a third slice of the same levels, one of each two neighbours, annealed from seed 16 within the
same bounds. ``methods zoo`` writes down who looked at either.
"""

import math
from dataclasses import dataclass

CHOOSING, UNTOUCHED, FRESH = "choosing", "untouched", "fresh"
PARTS = (CHOOSING, UNTOUCHED, FRESH)


@dataclass(frozen=True)
class Factor:
    """One way to differ: from low at level 0 to high at the last, evenly on its scale (linear, log or logit)."""

    name: str
    low: float
    high: float
    scale: str

    def at(self, level: int) -> float:
        """Give the value at a level."""
        share = level / (LEVELS - 1)
        if self.scale == "log":
            return float(self.low * (self.high / self.low) ** share)
        if self.scale == "logit":
            low, high = (math.log(rate / (1 - rate)) for rate in (self.low, self.high))
            return 1 / (1 + math.exp(-(low + share * (high - low))))
        return self.low + share * (self.high - self.low)


LEVELS = 24
TWELVE = LEVELS // 2
"""Federations of each part."""
FACTORS = (
    Factor("base_rate", 0.03, 0.95, "logit"),  # share of messages that are engaged with
    Factor("hospitals", 3, 300, "log"),
    Factor("size_exponent", 0.0, 1.5, "linear"),  # sizes fall as rank ** -size_exponent
    Factor("patients", 500, 500_000, "log"),
    Factor("events", 1, 12, "log"),  # messages per patient, in the mean; everybody has one
    Factor("fields", 5, 60, "log"),
    Factor("words", 40, 1000, "log"),  # of each field of many words
    Factor("skew", 0.1, 2.0, "linear"),  # standard deviation of a number's logarithm
    Factor("active", 0.1, 1.0, "log"),  # share of the fields that have an effect
    Factor("signal", 0.6, 1.8, "linear"),  # standard deviation of the log-odds by what tables hold
    Factor(
        "pairs", 0.0, 0.35, "linear"
    ),  # share of that variance in interactions of two that no contract names
    Factor("triples", 0.0, 0.25, "linear"),  # and of three
    Factor("shift", 0.0, 1.5, "linear"),  # scales all differences between hospitals
    Factor("missing", 0.0, 0.3, "linear"),  # share of cells that are gaps, in the mean over hospitals
    Factor(
        "trait", 0.0, 1.2, "linear"
    ),  # standard deviation of what persists in a patient and is in no table
)
TABLE = """
     7 22 20  6  5  5 11 18 21  6  2 15 16  6 20
    10  3  2  3 15 14  0 22 12  9 13  3  2 16 19
    19 14  1 16  7  7 15 12  8 10 18 23  4 12 15
    21  5 16 22 12 10 13 21  7 13  0  6 19  9 17
     1  6 11 13  9 21 20 16 15 23  9 21 14  0 13
    14  9  8 15 18  9 22  6 22  4 14  0  7  2 11
     3 18 15 21  1 18  6  2  2 17 11  4  8 21 22
     9 10 23  5 22  3 19 14  1 14 23 13 12 10  8
    12 12  6  8 21 22 17  9 11  0  6 18 21 23  5
    17  0 19 10  2 12  4  0  4  3 20 16 10  4  7
    23 16 13  1 11 17  9 11 17 19  4  8  1 18  2
     5 20  5 18 16  1  2  4 19 21 17 10 22 15  0
    13  1 17  0  0  8 14 15 18 22 16 12 20 22 10
     6 21 10  4 19 20  3 19  6 15 19 19  9  3 14
    15  4  7 11 23  0  1  8  3 16  1 11 18  8 18
     0  8 12 19 13 11 21 20  0 11  8  7  6 20  1
    20 13  3 12 14 19 23  5 13 20 21  5 17 11 23
     8  2  0 17  4 16  7 10 16  8  7 20 13  7  4
    11 11 14 23 10  4  8 23 23  7 22  9  5 14 12
    18 19 18 14  8 23  5 17  9  5 15  1 23  5  3
     2  7 21  9 20 15 10  1 20  1 12 14 11 19 21
    16 23  4  7  3  2 18 13  5  2 10 17 15 17 16
     4 15  9  2  6  6 16  3 10 12  3  2  3  1  6
    22 17 22 20 17 13 12  7 14 18  5 22  0 13  9
"""
"""Levels: a line for each federation, a column for each factor in their order; the first twelve are for choosing."""
FRESH_TABLE = """
    21 19 18  5 13  5  8 14  0 16  5  5 19 12  3
    16 12 16 12 15 16 23 11 10  5  3  0  5 23 20
    23 16  4 14 18 12  3 13 22 19 20  7  0 16  7
    19  7 13 20  2 22 15 21  3  6 22 15 13  9 11
     7 10 11  8 23  3 19  8  5  2 19 17  6  3  4
    12 15  0 23  6  1 10  1 12 11  7  8 17  6 17
     0  9  7  3 16 19  6 16  7 20 12  2 11  4 22
    11 22 14  6 10  7 20 23 20 13 17 21 22 15 19
    14  1 21 11  0  9 16  6 16 23  8 19  3  1 15
     8  2  3  1  5 15 13  3 15  9 15 10 20 20  0
     5  4  9 19 20 11  5 18  9 14  0 22 15 18  8
     3 21 22 16  9 20  0  5 18  1 11 13  9 10 12
"""
"""Of zoo_25 to zoo_36, in the same way."""


@dataclass(frozen=True, kw_only=True)
class ZooFederation:
    """One federation of the zoo: its number from 1, its part, and each factor's value."""

    number: int
    part: str
    base_rate: float
    hospitals: int
    size_exponent: float
    patients: int
    events: float
    fields: int
    words: int
    skew: float
    active: float
    signal: float
    pairs: float
    triples: float
    shift: float
    missing: float
    trait: float

    @property
    def name(self) -> str:
        """zoo_01 to zoo_36."""
        return f"zoo_{self.number:02d}"

    @property
    def delta(self) -> float:
        """Power of ten at most a tenth of one over all patients: public, and small enough for the largest hospital."""
        return 10.0 ** math.floor(math.log10(0.1 / self.patients))


WHOLE = ("hospitals", "patients", "fields", "words")


def levels() -> list[list[int]]:
    """Read both tables: a list of levels for each federation."""
    return [[int(level) for level in line.split()] for line in (TABLE + FRESH_TABLE).splitlines() if line]


def _federation(number: int, own: list[int]) -> ZooFederation:
    exact = {factor.name: factor.at(level) for factor, level in zip(FACTORS, own, strict=True)}
    values = {name: round(value) if name in WHOLE else value for name, value in exact.items()}
    return ZooFederation(number=number, part=PARTS[(number - 1) // TWELVE], **values)  # type: ignore[arg-type]


ZOO = tuple(_federation(number, own) for number, own in enumerate(levels(), 1))
BY_NAME = {one.name: one for one in ZOO}
