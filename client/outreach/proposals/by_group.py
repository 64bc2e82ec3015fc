"""Who gets another message than the standard one, by group: counts, none of fewer than eleven patients. Pure."""

from collections.abc import Mapping

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans
from wardround.protocol.contract.contract import Contract

LEAST = 11
"""Fewer patients are not shown: the usual bound of health statistics (CMS, cell size suppression)."""
Groups = Mapping[str, Mapping[str, tuple[int, int]]]
"""Feature → its group's label → patients whom a model could choose for, and those who get another message."""


def allocation(contract: Contract, cohort: Cohort, other: Booleans) -> Groups:
    """Count by the contract's groups. other: bool [events], whether another message is proposed."""
    found = {}
    for place, one in enumerate(contract.layout.features):
        if one.name in contract.groups:
            bins = cohort.bins[:, place]
            every = np.bincount(bins, minlength=one.size)
            mine = np.bincount(bins[other], minlength=one.size)
            pairs = zip(one.labels, every.tolist(), mine.tolist(), strict=True)
            found[one.name] = {label: (whole, part) for label, whole, part in pairs if whole}
    return found


def shown_groups(groups: Groups) -> list[tuple[str, str, str, str]]:
    """Write rows for people: feature, group, patients, and those with another message.

    A part is hidden where it, or what is left of the whole, is of few: each could be told from the other.
    """
    rows = []
    for feature, labels in groups.items():
        for label, (whole, part) in labels.items():
            few = any(0 < one < LEAST for one in (part, whole - part))
            rows.append((feature, label, _count(whole), "hidden" if few else f"{part:,}"))
    return rows


def _count(whole: int) -> str:
    return f"fewer than {LEAST}" if whole < LEAST else f"{whole:,}"
