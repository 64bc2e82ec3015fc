"""An uplift query: what leaves of each arm, how two accounts' tables add up, and how exact it will be, said beforehand.

**What leaves.** A patient with mean outcome y in [0, 1] is in one arm, and adds (y − ½, γ) ÷ s to that arm's two cells,
s² = ¼ + γ²: L2 norm at most 1, whatever y and the arm. The server divides: mean = ½ + Σ(y − ½) ÷ patients (Hájek 1971).
With noise of variance 1 in each cell that mean has, of n patients with mean p, the noise variance

    (¼ + γ²) · (1 + (p − ½)²/γ²) ÷ n²,    least for γ² = ½·|p − ½|, where it is (½ + |p − ½|)² ÷ n².

Releasing outcomes 1 and 0 as two counts is γ = ½, which costs up to twice as much (at p = ½). γ follows from the
contract's expected rate. Dividing by the public share of the draw instead of the noised count (Horvitz and Thompson
1952) needs no γ, but then patients who fell into the arm by chance, n·(1 − share) of them in variance, count as
(p − ½)² each: more than noise does, but where an arm has fewer patients than the variance of its noised count
(test_uplift.py has both).

**Two tables.** Training and held-out patients are asked apart, each account for itself. Both estimate the same means,
so the tables are added with public weights that make the variance least. Everything here is public.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.arm import TrialArms
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.agreement import agreed_variance
from wardround.protocol.terms.evaluation import HELD_OUT_PER_TRAINING
from wardround.protocol.terms.query import UPLIFT, query_shape
from wardround.protocol.terms.terms import Terms

CENTRE = 0.5
LEVEL = 0.95
"""Of all intervals of one family together."""
_LEAST_DISTANCE = 0.15
"""Between ½ and the expected rate, so that a rate that is not as expected costs little."""
_NO_RATE = 0.3


@dataclass(frozen=True)
class UpliftScale:
    """The two coordinates of an arm. count: γ; length: s."""

    count: float

    @property
    def length(self) -> float:
        """Give s, by which both are divided."""
        return math.hypot(CENTRE, self.count)

    def released(self, tables: Floats) -> Floats:
        """Turn label 0 and label 1 of each arm, [..., cells], into its two coordinates, in the same places.

        Guarantee: the sum of a patient's weights times points of L2 norm 1, so that what moved the tables by at most 1
        moves these by at most 1. Two roundings of 2⁻⁵³ each stay within the factors' margin.
        """
        zeros, ones = tables[..., 0::2], tables[..., 1::2]
        both = np.stack([CENTRE * (ones - zeros), self.count * (ones + zeros)], axis=-1) / self.length
        found: Floats = both.reshape(tables.shape)
        return found

    def noise_of_mean(self, mean: Floats, patients: Floats, variance: float) -> Floats:
        """Give the noise variance of an arm's mean, for noise of ``variance`` in each of its two cells."""
        found: Floats = (
            self.length**2 * variance * (1 + ((mean - CENTRE) / self.count) ** 2) / np.square(patients)
        )
        return found


def uplift_scale(contract: Contract) -> UpliftScale:
    """Choose γ by the contract's expected rate, or as for a rate of 0.2 or 0.8 where nobody knows one."""
    rate = contract.label.expected_rate
    distance = _NO_RATE if rate is None else max(abs(rate - CENTRE), _LEAST_DISTANCE)
    return UpliftScale(math.sqrt(CENTRE * distance))


@dataclass(frozen=True)
class AddedAccounts:
    """How the tables of two accounts add up. weights: of training and held-out tables, 0 of one that is not there.

    noise: variance of a cell of the weighted sum, before the rows' factors. patients: expected in the weighted sum,
    over all arms. spread: how much more a mean over these patients varies than one over as many who weigh alike.
    """

    weights: tuple[float, float]
    noise: float
    patients: float
    spread: float


def added_accounts(terms: Terms, training: Sequence[str], held_out: Sequence[str]) -> AddedAccounts:
    """Weigh the two accounts' tables by public numbers alone. training, held_out: the hospitals in each sum."""
    parts = [_part(terms, training, 1.0), _part(terms, held_out, HELD_OUT_PER_TRAINING)]
    if not any(patients for patients, _ in parts):
        raise ConfigurationError("uplift: no hospital answered")
    least = min(_shares(terms.contract).values())
    weights = [_weight(terms.contract, patients * least, noise) for patients, noise in parts]
    whole = max(weights)
    weights = [weight / whole for weight in weights]
    added = sum(w * n for w, (n, _) in zip(weights, parts, strict=True))
    squared = sum(w * w * n for w, (n, _) in zip(weights, parts, strict=True))
    return AddedAccounts(
        weights=(weights[0], weights[1]),
        noise=sum(w * w * noise for w, (_, noise) in zip(weights, parts, strict=True)),
        patients=added,
        spread=squared / added,
    )


def _part(terms: Terms, hospitals: Sequence[str], share: float) -> tuple[float, float]:
    """Give expected patients, and the variance of the noise in a cell."""
    declared = sum(terms.training.public_patients[name] for name in hospitals)
    return share * declared, len(hospitals) * terms.hospital_noise_stddev(1) ** 2


def _weight(contract: Contract, patients: float, noise: float) -> float:
    """Weigh one account's table: inverse variance of an arm's mean, per patient; 0 without patients."""
    if patients == 0:
        return 0.0
    rate = _rate(contract)
    by_noise = uplift_scale(contract).noise_of_mean(np.array(rate), np.array(patients), noise)
    return 1 / (patients * (rate * (1 - rate) / patients + float(by_noise)))


@dataclass(frozen=True)
class StatedWidth:
    """Half the width that an interval is expected to have. with_noise; without: were there no noise at all.

    part: of the patients, 1 for all. attribute: whose groups are of that part, empty for all.
    """

    arm: str
    attribute: str
    part: float
    with_noise: float
    without: float


def stated_widths(terms: Terms) -> tuple[StatedWidth, ...]:
    """Say before anybody is asked how exact the answer will be: of all, and of each attribute's groups, equally large.

    Right as far as the declared patients are, where all hospitals answer. ConfigurationError for other terms.
    """
    arms, added = arms_of(terms), added_accounts(terms, terms.hospitals, terms.hospitals)
    if terms.query is None:
        raise ConfigurationError("uplift: these terms ask no query")
    shape = query_shape(terms.contract, terms.query)
    variances = np.diag(agreed_variance(shape)) * added.noise
    groups = list(dict.fromkeys(row.attribute for row in shape.rows))
    found = []
    for name in groups:
        places = [at for at, row in enumerate(shape.rows) if row.attribute == name]
        critical = critical_value(family_size(terms, bool(name)))
        for arm in arms.words[1:]:
            pair = (arm, arms.reference)
            both = [_error(terms, added, pair, len(places), noise) for noise in (variances[places[0]], 0.0)]
            found.append(StatedWidth(arm, name, 1 / len(places), critical * both[0], critical * both[1]))
    return tuple(found)


def family_size(terms: Terms, groups: bool) -> int:
    """Count the comparisons of one family: of each arm with the reference, over all or over all groups."""
    pairs = len(arms_of(terms).words) - 1
    if not groups or terms.query is None:
        return pairs
    return pairs * (len(query_shape(terms.contract, terms.query).rows) - 1)


def critical_value(family: int) -> float:
    """Give the half-width in standard errors of intervals of which all of a family hold at ``LEVEL`` (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * max(1, family)))


def arms_of(terms: Terms) -> TrialArms:
    """Give the arms of an uplift query; ConfigurationError for other terms."""
    if terms.query is None or terms.query.kind != UPLIFT or terms.contract.arms is None:
        raise ConfigurationError("uplift: these terms compare no arms")
    return terms.contract.arms


def _error(terms: Terms, added: AddedAccounts, pair: tuple[str, str], groups: int, noise: float) -> float:
    """Expect the standard error of a difference within one of so many equal groups."""
    rate, shares = _rate(terms.contract), _shares(terms.contract)
    patients = np.array([shares[arm] for arm in pair]) * added.patients / groups
    by_noise = uplift_scale(terms.contract).noise_of_mean(np.array(rate), patients, noise)
    return math.sqrt(float((added.spread * rate * (1 - rate) / patients + by_noise).sum()))


def _shares(contract: Contract) -> dict[str, float]:
    """Give each arm's share of the patients who count: those in arms that the contract names."""
    arms = contract.arms
    if arms is None:
        raise ConfigurationError("uplift: the contract names no arms")
    return {arm: share / sum(arms.shares.values()) for arm, share in arms.shares.items()}


def _rate(contract: Contract) -> float:
    """Give the expected mean outcome; ½, which varies most, where nobody knows it."""
    rate = contract.label.expected_rate
    return CENTRE if rate is None else rate
