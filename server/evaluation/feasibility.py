"""What a feasibility query says: how many patients there are, what to declare, and at which ε a study can work.

CountedGroup are training patients, who pay for it. A fixed share of all patients is held out by a keyed hash, so that
their number follows, with the chance in that split. Everything here is post-processing, and costs nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.evaluation import HELD_OUT_PER_TRAINING
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.screen import COUNT_SLACK
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import Estimate, NoisedTables, estimate
from wardround.server.evaluation.evaluation import TableSum, consistent_tables, tables_of
from wardround.server.evaluation.study_outlook import StudyOutlook, study_outlooks

LEVEL = 0.95
"""Of every interval."""
_LEAST_DECLARED = 10
_LEAST_SIGNAL = 3.0
"""Below so many standard deviations of its noise, a number of patients is not told from none."""


@dataclass(frozen=True)
class CountedGroup:
    """Training patients of a group (of all: attribute and label empty), and the share of label 1 among their events.

    patients: with the error of the noise alone, as they are those who are there. rate: each patient weighing the same.
    """

    attribute: str
    label: str
    patients: Estimate
    rate: Estimate


@dataclass(frozen=True)
class Feasibility:
    """The answer. everyone, groups: over all hospitals that answered. held_out: how many would be measured on.

    by_hospital: each one's training patients, under local noise alone; a secure sum shows no single hospital. declare:
    the number of training patients to declare in a study's terms; of a secure sum the same for each, which add up.
    """

    hospitals: tuple[str, ...]
    everyone: CountedGroup
    held_out: Estimate
    groups: tuple[CountedGroup, ...]
    by_hospital: Mapping[str, Estimate]
    declare: Mapping[str, int]
    outlooks: tuple[StudyOutlook, ...]


def feasibility(terms: Terms, found: TableSum) -> Feasibility:
    """Read the answer off a query's sum. Raises as ``tables_of`` does."""
    everyone, *groups = _counted(tables_of(terms, found))
    by_hospital = {
        name: _own_patients(terms, found.round, name, found.own[name])
        for name in terms.hospitals
        if name in found.own
    }
    each = by_hospital or dict.fromkeys(found.accepted, _part(everyone.patients, len(found.accepted)))
    # What a hospital has cannot be less than nobody; of one that noise hides, one patient is expected.
    expected = {name: max(1, round(one.value)) for name, one in each.items()}
    told = everyone.patients.value > _LEAST_SIGNAL * everyone.patients.noise
    return Feasibility(
        hospitals=found.accepted,
        everyone=everyone,
        held_out=_held_out(everyone.patients),
        groups=tuple(groups),
        by_hospital=by_hospital,
        declare={name: number_to_declare(one) for name, one in each.items()},
        outlooks=study_outlooks(terms, expected, everyone.rate) if told else (),
    )


def number_to_declare(patients: Estimate) -> int:
    """Give a number of one digit which, with 95 % confidence, the true one exceeds by less than half of it.

    ``screen`` holds hospitals to 1.5 times what they declared. At least 10, and at least the estimate, rounded.

    >>> number_to_declare(Estimate(1180.0, 0.0, 0.0)), number_to_declare(Estimate(1180.0, 300.0, 0.0))
    (1000, 2000)
    """
    _, high = patients.interval(LEVEL, noise_only=True)
    value, least = max(patients.value, _LEAST_DECLARED), max(high / COUNT_SLACK, _LEAST_DECLARED)
    return int(
        max(round(value / _unit(value)) * _unit(value), math.ceil(least / _unit(least)) * _unit(least))
    )


def _unit(number: float) -> int:
    """Give the power of ten that one digit of a number counts."""
    return int(10 ** math.floor(math.log10(number)))


def _counted(tables: NoisedTables) -> list[CountedGroup]:
    counting, share = measures.patients(tables.bins), measures.prevalence(tables.bins)
    return [
        CountedGroup(
            row.attribute, row.label, _there(estimate(tables, counting, i)), estimate(tables, share, i)
        )
        for i, row in enumerate(tables.rows)
    ]


def _there(patients: Estimate) -> Estimate:
    """Leave out the chance in who the patients are: asked is how many there are."""
    return replace(patients, sampling=0.0)


def _own_patients(terms: Terms, round_number: int, name: str, own: Floats) -> Estimate:
    """Read one hospital's patients off its own release."""
    return _counted(consistent_tables(terms, round_number, own, (name,)))[0].patients


def _part(patients: Estimate, hospitals: int) -> Estimate:
    return replace(patients, value=patients.value / hospitals, noise=patients.noise / hospitals)


def _held_out(patients: Estimate) -> Estimate:
    """Give a third as many, as a quarter is held out; each patient by chance.

    Of N patients H are held out and T train: H − T/3 = 4/3 H − N/3 has the variance 16/9 · N · 3/16 = N/3 = 4/9 T.
    """
    share = HELD_OUT_PER_TRAINING
    split = 2 / 3 * math.sqrt(max(patients.value, 0.0))
    return replace(patients, value=patients.value * share, noise=patients.noise * share, sampling=split)
