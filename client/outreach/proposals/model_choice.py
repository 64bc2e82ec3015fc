"""What a model chooses beside the standard message: for every allowed module and time slot the gain over it.

An option is proposed only where its gain exceeds its own standard error, and where its channel has room: prices share
capacities out (``choose.prices``). Whoever refused to be personalised or learned from, or does not pass the gate now,
keeps the standard message; and so does everybody where the model has hidden layers. Of a model of interactions the main
effects choose, what a message does on average over patients: of these alone an error is stated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.cohort import Cohort
from wardround.client.connectors.source import Tables
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.outreach.choose.prices import NO_RESOURCE, STANDARD, allocate
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.proposals.asked import asked_events, option_bins
from wardround.client.outreach.proposals.by_group import Groups, allocation
from wardround.client.outreach.proposals.in_arms import Room
from wardround.client.outreach.proposals.library import NO_MODULE, Library
from wardround.client.outreach.proposals.option_events import OptionSet
from wardround.client.outreach.proposals.rows import Chosen, without_model
from wardround.client.outreach.proposals.standard import Standards
from wardround.client.outreach.proposals.timing import Timing
from wardround.client.outreach.proposals.worth import Worth, worth_of
from wardround.client.outreach.reasons import shared_effects
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.personal.own_effects import OwnEffects
from wardround.protocol.arrays import Floats, Integers, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model_file import StoredModel

_FIRST_ROW = 2**40  # of messages that were never sent: beyond any table's last row


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelChoice:
    """A model, and what it is asked with. error_factor: A of its effects' covariance; digest: of the model's file.

    own: the hospital's own part, which then chooses with it (``proposals.own_part``); None: the shared model alone.
    groups: by trigger, who got another message (``by_group``), filled in as the model chooses.
    """

    contract: Contract
    stored: StoredModel
    error_factor: Floats
    digest: str
    tables: Tables = field(repr=False)
    key: bytes = field(repr=False)
    now: datetime
    library: Library
    settings: OutreachSettings
    own: OwnEffects | None = field(default=None, repr=False)
    groups: dict[str, Groups] = field(default_factory=dict)

    def __call__(self, standards: Standards, permission: Permission, timing: Timing, room: Room) -> Chosen:
        """Choose for every row; where nothing gains enough, the standard message stays."""
        rows = np.flatnonzero(permission.personalise[standards.index])
        if not len(rows) or not self.stored.model.structure.convex:
            return without_model(standards)
        bins = self.bins(self.settings.slots)
        variant, modules = self._variants(bins)
        cohort, row, histories = self._asked(standards, permission, rows, modules)
        options = OptionSet(bins, variant, histories)
        effects = self.effects()
        worth = worth_of(
            self.contract,
            effects.effects,
            effects.error_factor,
            cohort,
            options,
            standards.take(row),
            len(self.settings.slots),
            self.settings.not_for_gain,
        )
        return self._chosen(standards, row, cohort, worth, room)

    def effects(self) -> OwnEffects:
        """Give the effects by which gains are computed, and the factor of their errors."""
        if self.own is not None:
            return self.own
        shared = shared_effects(self.stored.model, self.contract.layout, self.stored.weights)
        return OwnEffects(shared, self.error_factor)

    def bins(self, hours: Sequence[int]) -> dict[int, Integers]:
        """Give what modules at these hours set in an event: place of a feature → its bin by option."""
        wall = wall_clock(self.now, self.tables.timezone)
        return option_bins(self.contract, self.tables, self.library.modules, hours, wall)

    def _variants(self, bins: Mapping[int, Integers]) -> tuple[Integers, Sequence[Module]]:
        """Tell options apart by what histories are taken by: each option's variant, and a module of each variant."""
        position = {one.name: place for place, one in enumerate(self.contract.layout.features)}
        by = sorted({position[one.by] for one in self.contract.features if one.by is not None} & bins.keys())
        slots, count = len(self.settings.slots), len(self.library.modules)
        # By the module alone: a history by hour would need a message at each hour.
        keys = np.stack(
            [bins[place].reshape(count, slots)[:, 0] for place in by] or [np.zeros(count, np.int64)]
        )
        _, first, back = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        return back.reshape(-1).repeat(slots), [self.library.modules[at] for at in first]

    def _asked(
        self, standards: Standards, permission: Permission, rows: Integers, modules: Sequence[Module]
    ) -> tuple[Cohort, Integers, dict[int, Integers32]]:
        """Pass a message of each variant to each patient through the gate, all in one.

        Gives one event for each patient who passes, whose row of ``standards`` it is, and histories by variant.
        """
        wall = wall_clock(self.now, self.tables.timezone)
        names = permission.people["patient"].gather(standards.index[rows])
        until = standards.until.gather(rows)
        asked = [
            asked_events(self.contract, self.tables, names, until, one, wall, _FIRST_ROW + place * len(rows))
            for place, one in enumerate(modules)
        ]
        admitted = admit(self.tables, self.contract, self.key, self.now, asked=pl.concat(asked))
        passed = admitted.undecided.filter(pl.col("row") >= _FIRST_ROW).sort("row")
        each = [
            passed.filter(pl.col("row") - _FIRST_ROW >= place * len(rows)) for place in range(len(modules))
        ]
        each = [
            part.filter(pl.col("row") - _FIRST_ROW < (place + 1) * len(rows))
            for place, part in enumerate(each)
        ]
        cohorts = [encode(part, self.contract) for part in each]
        # The gate and the order of events do not look at the module: every variant has the same patients.
        first = cohorts[0]
        by = [place for place, one in enumerate(self.contract.layout.features) if self._is_by(one.name)]
        histories = (
            {place: np.stack([one.bins[:, place] for one in cohorts]) for place in by}
            if len(cohorts) > 1
            else {}
        )
        return first, rows[first.rows - _FIRST_ROW], histories

    def _is_by(self, name: str) -> bool:
        return any(one.name == name and one.by is not None for one in self.contract.features)

    def _chosen(
        self, standards: Standards, row: Integers, cohort: Cohort, worth: Worth, room: Room
    ) -> Chosen:
        channels = [self._channel(standards, at) for at in range(standards.fits.module.shape[1])]
        named = [channel for channel in room if channel in channels]
        use = np.array([named.index(one) if one in named else NO_RESOURCE for one in channels])
        picked = allocate(worth.value, use, np.array([room[one] for one in named], np.int64)).choice
        other = picked != STANDARD
        self.groups[standards.trigger.name] = allocation(self.contract, cohort, other)
        choice, slot = standards.choice.copy(), standards.slot.copy()
        choice[row[other]] = picked[other]
        slot[row[other]] = worth.slot[np.flatnonzero(other), picked[other]]
        history = np.zeros(len(choice), np.bool_)
        history[row] = cohort.known
        return Chosen(
            choice=choice,
            slot=slot,
            known=history,
            options=_as_json(len(choice), row, worth, picked, standards.trigger.modules, self.settings.slots),
            model=self.digest,
            contract=self.contract.fingerprint,
            terms=str(self.stored.facts.get("terms_fingerprint") or ""),
            own_part=np.full(len(choice), self.own is not None),
        )

    def _channel(self, standards: Standards, at: int) -> str:
        placed = standards.fits.module[:, at]
        there = placed[placed != NO_MODULE]
        return self.library.modules[int(there[0])].channel if len(there) else ""


def _as_json(
    rows: int, row: Integers, worth: Worth, picked: Integers, modules: Sequence[str], hours: Sequence[int]
) -> pl.Series:
    """Write each row's best option with its gain and the gain's error, then the one that was taken, if it is another.

    It is where the best one's channel has no room. Whether one was taken at all, module and slot of the proposal say.
    """
    there = np.flatnonzero(worth.best >= 0)
    first = _texts(worth.best[there], worth.gain[there], worth.error[there], modules, hours)
    taken = np.flatnonzero(picked != STANDARD)
    place = picked[taken] * len(hours) + worth.slot[taken, picked[taken]]
    other = place != worth.best[taken]
    taken, place = taken[other], place[other]
    gains, errors = worth.value[taken, picked[taken]], worth.errors[taken, picked[taken]]
    second = pl.repeat("", len(worth.best), eager=True).scatter(
        taken, "," + _texts(place, gains, errors.astype(np.float64), modules, hours)
    )
    texts = "[" + first + second.gather(there) + "]"
    return pl.repeat("[]", rows, eager=True).scatter(row[there], texts)


def _texts(
    option: Integers, gain: Floats, error: Floats, modules: Sequence[str], hours: Sequence[int]
) -> pl.Series:
    frame = pl.DataFrame(
        {
            "module": pl.Series(list(modules), dtype=pl.String).gather(option // len(hours)),
            "hour": pl.Series(list(hours), dtype=pl.Int64).gather(option % len(hours)),
            "gain": np.round(gain, 4),
            "error": np.round(error, 4),
        }
    )
    start, hour, gained, off, end = (
        pl.lit(text) for text in ('{"module":"', '","hour":', ',"gain":', ',"error":', "}")
    )
    texts = frame.select(pl.concat_str(start, "module", hour, "hour", gained, "gain", off, "error", end))
    return texts.to_series()
