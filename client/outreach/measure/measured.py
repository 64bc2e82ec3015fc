"""What a protocol found: computed from one number per patient, their arms and their groups. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from wardround.client.outreach.measure.difference import Difference, difference_in_means, pairs
from wardround.client.outreach.measure.protocol import STANDARD, OutreachProtocol
from wardround.client.outreach.measure.sample_ratio import ratio_p_value
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.multiple import holm

WORSE, WATCH, NO_SIGN = "worse", "watch", "no sign"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two arms compared. low, high: the interval, None where there are too few patients. p_value: adjusted.

    group: the group that it is about, as in ``sex: f``; empty for all.
    """

    first: str
    second: str
    found: Difference
    low: float | None
    high: float | None
    p_value: float | None
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class GuardrailSeen:
    """One guardrail for one arm: patients with such a row, here and under the standard message, whole counts.

    more: how much larger the share of patients is than under the standard message.
    """

    name: str
    arm: str
    patients: int
    under_standard: int
    more: float
    state: str


@dataclass(frozen=True, eq=False)
class Counted:
    """Patients whose window had ended at the look; row by row. arms: as drawn; outcomes: nan where none counts."""

    look: date
    arms: Sequence[str]
    outcomes: Floats
    closed_on: Sequence[date]

    def without(self) -> list[str]:
        """Give the arms of the patients who have no outcome that counts."""
        return [arm for arm, gone in zip(self.arms, np.isnan(self.outcomes), strict=True) if gone]

    def of(self, arm: str, among: Booleans | None = None) -> Floats:
        """Give the outcomes of one arm that count: float64 [patients]."""
        chosen = (np.array(self.arms, object) == arm) & ~np.isnan(self.outcomes)
        found: Floats = self.outcomes[chosen if among is None else chosen & among]
        return found


def primary_and_others(protocol: OutreachProtocol, counted: Counted) -> tuple[Comparison, ...]:
    """Compare every pair of arms, the primary one first; the p-values of the others are Holm's."""
    found = [_compared(protocol, counted, pair) for pair in pairs(tuple(protocol.arms), protocol.compare)]
    return (found[0], *_adjusted(found[1:]))


def by_group(
    protocol: OutreachProtocol, counted: Counted, groups: Mapping[str, Sequence[str]]
) -> tuple[Comparison, ...]:
    """Compare the primary pair within each group, at α divided by the number of groups; p-values are Holm's.

    groups: name → each patient's word. All groups of all names are one family.
    """
    parts = [(name, word) for name, words in groups.items() for word in sorted(set(words))]
    found = [
        _compared(
            protocol,
            counted,
            protocol.compare,
            group=f"{name}: {word}",
            among=np.array([one == word for one in groups[name]], np.bool_),
            parts=len(set(groups[name])),
            family=len(parts),
        )
        for name, word in parts
    ]
    return _adjusted(found)


def _compared(
    protocol: OutreachProtocol,
    counted: Counted,
    pair: tuple[str, str],
    *,
    group: str = "",
    among: Booleans | None = None,
    parts: int = 1,
    family: int = 1,
) -> Comparison:
    found = difference_in_means(*(counted.of(arm, among) for arm in pair))
    return with_interval(protocol, found, counted.closed_on, counted.look, pair, "", group, parts, family)


def with_interval(
    protocol: OutreachProtocol,
    found: Difference,
    closed_on: Sequence[date],
    look: date,
    pair: tuple[str, str],
    first: str = "",
    group: str = "",
    parts: int = 1,
    family: int = 1,
) -> Comparison:
    """Give a difference its interval and p-value at this look. first: what the first arm is called, if not so.

    closed_on: of all patients counted in. parts: into how many groups these are divided; family: intervals at α by so
    many.
    """
    low, high, p_value = None, None, None
    if found.enough:
        looks = protocol.looks(patients_by_date(protocol, closed_on, look), pair, parts)
        width = looks.critical(found.standard_error, protocol.size.alpha / family) * found.standard_error
        low, high = found.difference - width, found.difference + width
        p_value = looks.p_value(found.z, found.standard_error)
    return Comparison(
        first=first or pair[0], second=pair[1], found=found, low=low, high=high, p_value=p_value, group=group
    )


def _adjusted(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    # What has too few patients to be stated counts in the family all the same: it is 1, and adjusts the others.
    adjusted = holm([1.0 if one.p_value is None else one.p_value for one in found])
    return tuple(
        one if one.p_value is None else Comparison(**{**vars(one), "p_value": p_value})
        for one, p_value in zip(found, adjusted, strict=True)
    )


def patients_by_date(protocol: OutreachProtocol, closed_on: Sequence[date], look: date) -> Mapping[date, int]:
    """Count, for each planned date until the look, the patients whose window had ended."""
    dates = (day for day in protocol.dates if day <= look)
    return {day: sum(closed <= day for closed in closed_on) for day in dates}


def look_of(protocol: OutreachProtocol, today: date) -> date | None:
    """Give the day whose data may be looked at today: today, or the last planned date; None before the first."""
    if not protocol.dates:
        return today
    return max((day for day in protocol.dates if day <= today), default=None)


def ratio_found(protocol: OutreachProtocol, arms: Sequence[str]) -> tuple[Mapping[str, int], float]:
    """Count the patients of each arm, with the p-value of the shares that were drawn; below ``ALARM`` it is a fault."""
    counts = {arm: arms.count(arm) for arm in protocol.arms}
    return counts, ratio_p_value(tuple(counts.values()), tuple(protocol.arms.values()))


def guardrail_found(
    protocol: OutreachProtocol, name: str, counts: Mapping[str, int], patients: int
) -> tuple[GuardrailSeen, ...]:
    """Compare each arm with the standard one. counts: patients with such a row, by drawn arm. patients: counted in.

    Of patients with such a row, as many must be in each arm as its share says, unless the arm had a part in it: so
    whoever left the journal since counts too, and one may look on any day.
    """
    standard, found = protocol.arms[STANDARD], []
    for arm, share in protocol.arms.items():
        if arm == STANDARD:
            continue
        both = share + standard
        p_value = ratio_p_value((counts[arm], counts[STANDARD]), (share / both, standard / both))
        more = (counts[arm] / share - counts[STANDARD] / standard) / max(1, patients)
        worse = more > 0 and p_value < protocol.size.alpha
        state = WORSE if worse else WATCH if more > protocol.guardrails[name].most_more else NO_SIGN
        found.append(
            GuardrailSeen(
                name=name,
                arm=arm,
                patients=counts[arm],
                under_standard=counts[STANDARD],
                more=more,
                state=state,
            )
        )
    return tuple(found)
