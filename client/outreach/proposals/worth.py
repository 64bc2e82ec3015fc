"""What every allowed module and time slot would gain over each patient's standard message, and its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.client.cohort import Cohort
from wardround.client.outreach.choose.changes import change_differences, earned
from wardround.client.outreach.choose.gain import field_shares, gains, message_differences
from wardround.client.outreach.proposals.library import NO_MODULE
from wardround.client.outreach.proposals.option_events import OptionSet, blind_effects, patterns
from wardround.client.outreach.proposals.standard import Standards
from wardround.protocol.arrays import Floats, Floats32, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, active_entries

_AT_ONCE = 1 << 18


@dataclass(frozen=True, eq=False)
class Worth:
    """Of rows of ``Standards`` and the trigger's modules, each at its best slot.

    value: float64 [rows, modules], −inf where the module is not to be proposed; slot: int8 [rows, modules]; errors:
    float32 [rows, modules], of value. best: of all that is allowed, the place module × slots + slot, −1 for none;
    gain, error: of the best, float64 [rows].
    """

    value: Floats
    slot: NDArray[np.int8]
    errors: Floats32
    best: Integers
    gain: Floats
    error: Floats


def worth_of(
    contract: Contract,
    effects: Floats,
    error_factor: Floats,
    cohort: Cohort,
    options: OptionSet,
    standards: Standards,
    slots: int,
    not_for_gain: Sequence[str],
) -> Worth:
    """Compute it; rows of ``standards`` are the cohort's events. An option is a module's place × slots + slot."""
    layout, rows = contract.layout, np.arange(len(standards.index))
    standard = standards.fits.module[rows, standards.choice] * slots + standards.slot
    shares = field_shares(layout, cohort, not_for_gain)
    first, back = patterns(layout, cohort, standard, options, not_for_gain)
    before = options.events(cohort, first, standard[first])
    seen = blind_effects(layout, effects, shares, not_for_gain)
    base = _logits(layout, seen, cohort, options, standard)
    modules = standards.fits.module.shape[1]
    found = _nothing(len(rows), modules)
    for at in range(modules):
        module = standards.fits.module[:, at]
        fits = (standards.fits.rule[:, at] == 0) & (module != NO_MODULE)
        for slot in range(slots):
            allowed = fits & standards.open[:, slot]
            for one in np.unique(module[allowed]):
                who = np.flatnonzero(allowed & (module == one))
                option = np.full(len(first), one * slots + slot)
                after = options.events(cohort, first, option)
                _, errors = message_differences(layout, effects, error_factor, after, before, shares)
                # Luck must not ride along with a true gain: each change of the message earns its place.
                moved = earned(*change_differences(contract, effects, error_factor, after, before, shares))
                mine = back[who]
                got, lost = gains((base[who] + moved[mine])[:, None], base[who], errors[mine][:, None])
                _note(found, who, at, slot, slots, got[:, 0], lost[:, 0])
    return found


def _nothing(rows: int, modules: int) -> Worth:
    return Worth(
        value=np.full((rows, modules), -np.inf),
        slot=np.zeros((rows, modules), np.int8),
        errors=np.zeros((rows, modules), np.float32),
        best=np.full(rows, -1, np.int64),
        gain=np.full(rows, -np.inf),
        error=np.zeros(rows),
    )


def _note(found: Worth, who: Integers, at: int, slot: int, slots: int, gain: Floats, error: Floats) -> None:
    """Keep an option where it is better than what is kept; only a gain beyond its error is to be proposed."""
    good = (gain > error) & (gain > 0) & (gain > found.value[who, at])
    found.value[who[good], at] = gain[good]
    found.slot[who[good], at] = slot
    found.errors[who[good], at] = error[good]
    better = gain > found.gain[who]
    found.gain[who[better]], found.error[who[better]] = gain[better], error[better]
    found.best[who[better]] = at * slots + slot


def _logits(layout: Layout, effects: Floats, cohort: Cohort, options: OptionSet, option: Integers) -> Floats:
    """Log-odds of each event with its option: float64 [events], in blocks that bound the memory."""
    logits = np.empty(cohort.event_count)
    for start in range(0, len(logits), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(logits)))
        events = options.events(cohort, rows, option[rows])
        columns = active_columns(layout, events)
        logits[rows] = active_entries(columns, events.values, effects).sum(axis=1)
    return logits
