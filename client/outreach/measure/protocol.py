"""What is to be found out, and how: settings that stand before anything is measured. Pure.

``templates/protocol.yaml`` is what ``outreach protocol begin`` writes, and says what each key means;
``protocol_settings`` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from wardround.client.outreach.measure.planned import PlannedLooks
from wardround.client.outreach.measure.sequence import AnytimeLooks
from wardround.client.outreach.measure.size import (
    final_critical,
    mean_variance,
    patients_needed,
    planned_error,
)
from wardround.protocol.contract.arm import PERSONAL

STANDARD, BEST_SINGLE, PERSONALISED, EXPLORED = "standard", "best_single", "personalised", "explored"
# PERSONAL: the arm in which the hospital's own part chooses with the model. No contract of a study may name it.
ARMS = (STANDARD, BEST_SINGLE, PERSONALISED, EXPLORED, PERSONAL)
IMPROVEMENT, RESEARCH = "improvement", "research"


@dataclass(frozen=True, kw_only=True)
class CountedRows:
    """Which rows of a table count: those whose columns hold one of the words, in small letters; time: its column."""

    table: str
    time: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, beside the patient's."""
        return tuple(dict.fromkeys((self.time, *self.where)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is measured: of each row in the ``days`` after a patient was counted in, 1 for ``yes`` and 0 for ``no``.

    without: what a patient without such a row counts: 0 (``no``), or nothing (``leave_out``).
    """

    rows: CountedRows
    column: str
    yes: tuple[str, ...]
    no: tuple[str, ...]
    days: int
    without: str


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """What must not get worse: patients with such a row, as a share of an arm. most_more: than under the standard."""

    rows: CountedRows
    most_more: float


@dataclass(frozen=True, kw_only=True)
class MeasuredGroups:
    """Groups of patients by a column of a table; edges: of a number's bands, empty for words."""

    table: str
    column: str
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedSize:
    """What the size is computed from.

    share: of yes under the standard message. difference: the smallest that matters. outcomes: how many a patient has;
    correlation: between two of them. power: the chance to find the difference; alpha: to find one that is none.
    """

    share: float
    difference: float
    outcomes: float = 1.0
    correlation: float = 0.0
    power: float = 0.9
    alpha: float = 0.05


@dataclass(frozen=True, kw_only=True)
class OutreachProtocol:
    """The whole. kind: improvement or research; approval: of research, the ethics board's. dates: empty: any look.

    best_single: topic → id of the module that everybody in that arm gets. equivalent: groups of ids of modules that
    are clinically the same: chance may pick among them, and among no others.
    """

    name: str
    question: str
    kind: str
    approval: str
    starts: date
    ends: date
    outcome: Outcome
    arms: Mapping[str, float]
    compare: tuple[str, str]
    size: PlannedSize
    best_single: Mapping[str, str] = field(default_factory=dict)
    equivalent: tuple[tuple[str, ...], ...] = ()
    dates: tuple[date, ...] = ()
    guardrails: Mapping[str, Guardrail] = field(default_factory=dict)
    groups: Mapping[str, MeasuredGroups] = field(default_factory=dict)

    @property
    def last_day(self) -> date:
        """The day on which the last window ends; until then arms stay as they are."""
        return self.ends + timedelta(days=self.outcome.days)

    @property
    def patients(self) -> int:
        """How many patients, in all arms together, the primary comparison needs."""
        return patients_needed(
            self.size.difference,
            self._variances,
            self._shares(self.compare),
            final_critical(self.size.alpha, len(self.dates) or None),
            self.size.power,
        )

    def looks(self, patients_at: Mapping[date, int], pair: tuple[str, str], parts: int = 1) -> "Looks":
        """Give the looks of one comparison. patients_at: by planned date, those of all arms whose window had ended.

        parts: into how many groups the patients are divided: of each, that part is planned.
        """
        if not self.dates:
            error = planned_error(max(1, self.patients // parts), self._variances, self._shares(pair))
            return AnytimeLooks(error, self.size.alpha)
        seen = {day: count for day, count in sorted(patients_at.items()) if count > 0}
        # A look at which nobody is new is none: two dates of one weekend.
        days = [
            day for place, day in enumerate(seen) if not place or seen[day] > list(seen.values())[place - 1]
        ]
        # By the calendar, not by patients: who comes early or late then changes nothing of what the last look has left.
        whole = (self.dates[-1] - self.starts).days
        fractions = tuple((day - self.starts).days / whole for day in days)
        return PlannedLooks(tuple(seen[day] for day in days), fractions)

    def _shares(self, pair: tuple[str, str]) -> tuple[float, float]:
        return self.arms[pair[0]], self.arms[pair[1]]

    @property
    def _variances(self) -> tuple[float, float]:
        size = self.size
        shares = (min(1.0, size.share + size.difference), size.share)
        first, second = (mean_variance(share, size.outcomes, size.correlation) for share in shares)
        return max(first, second), second


Looks = AnytimeLooks | PlannedLooks
