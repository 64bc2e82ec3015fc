"""What a portal may show a visitor without a record: by the topic, the channel, the language and the hour alone.

No identifier is asked for, no table of patients is read, and nothing is kept. A module that fills in a patient's own
details, is marketing, or is about a sensitive topic is shown to nobody whom we do not know.

Guarantee (test_visitor.py): an answer stands on the shared model alone, never on the hospital's own part. Whoever asks
a portal may be anybody and may ask for ever: what they are told leaves the hospital, and the own part has no noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.cohort import Cohort
from wardround.client.gate.bins import bin_numbers, feature_column, missing_value
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.placeholders import LINK, placeholder_names
from wardround.client.outreach.permission.rules import WHY
from wardround.client.outreach.proposals.library import Fitting, Library
from wardround.client.outreach.proposals.model_choice import ModelChoice
from wardround.client.outreach.proposals.option_events import OptionSet
from wardround.client.outreach.proposals.standard import Standards
from wardround.client.outreach.proposals.worth import worth_of
from wardround.client.outreach.reasons import shared_effects
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger
from wardround.protocol.contract.contract import Contract


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One module for a visitor. standard: what would be shown without a model; gain, error: over it."""

    module: Module
    standard: Module
    gain: float = 0.0
    error: float = 0.0


def shown_to_visitor(
    library: Library,
    settings: OutreachSettings,
    topic: str,
    channel: str,
    language: str | None,
    model: ModelChoice | None,
    wall: datetime,
) -> Shown | Held:
    """Choose among the modules that a trigger declares for this topic. wall: the hospital's clock."""
    if topic in settings.all_sensitive(library.guidelines):
        return Held(
            "topic", "a sensitive topic is written about to patients who chose it, and to nobody else"
        )
    for trigger in settings.triggers:
        if trigger.topic != topic or trigger.to != "patient":
            continue
        modules = [_fitting(library, one, channel, language, topic) for one in trigger.modules]
        standard = next((one for one in modules[: len(trigger.standard)] if one is not None), None)
        if standard is not None:
            shown = Shown(module=standard, standard=standard)
            return shown if model is None else _by_model(shown, modules, trigger, library, model, wall)
    return Held("content", WHY["content"])


def _fitting(
    library: Library, module_id: str, channel: str, language: str | None, topic: str
) -> Module | None:
    module = library.written_in(module_id, language)
    if isinstance(module, Held) or module.channel != channel or module.topic.lower() != topic:
        return None
    personal = set(placeholder_names(module.text + module.spoken)) - {LINK}
    return None if personal or module.message_class == "marketing" else module


def _by_model(
    shown: Shown,
    modules: Sequence[Module | None],
    trigger: Trigger,
    library: Library,
    model: ModelChoice,
    wall: datetime,
) -> Shown:
    """Let a model choose for somebody of whom it knows nothing, at this hour."""
    if not model.stored.model.structure.convex:
        return shown
    at = np.array([[-1 if one is None else library.modules.index(one) for one in modules]])
    rule = (at < 0).astype(np.uint8)
    none = np.zeros(1, np.int64)
    standards = Standards(
        trigger,
        none,
        pl.Series([""]),
        pl.Series([None], dtype=pl.Datetime("us")),
        np.zeros(1, np.uint8),
        np.array([modules.index(shown.standard)]),
        none,
        Fitting(at, rule),
        np.ones((1, 1), np.bool_),
    )
    bins = model.bins((wall.hour,))
    options = OptionSet(bins, np.zeros(len(library.modules), np.int64), {})
    layout = model.contract.layout
    effects = shared_effects(model.stored.model, layout, model.stored.weights)
    unknown = nobody_known(model.contract)
    blind = model.settings.not_for_gain
    worth = worth_of(model.contract, effects, model.error_factor, unknown, options, standards, 1, blind)
    best = int(worth.value[0].argmax())
    if not np.isfinite(worth.value[0, best]):
        return shown
    chosen = modules[best]
    assert chosen is not None  # noqa: S101 (what does not fit has no value)
    return Shown(
        module=chosen, standard=shown.standard, gain=float(worth.gain[0]), error=float(worth.error[0])
    )


def nobody_known(contract: Contract) -> Cohort:
    """Give one event of a patient of whom nothing is known: every cell missing, and no history."""
    named = {feature_column(one.name): one for one in contract.features}
    cells = {
        name: bin_numbers(one, np.array([0.0]))[0]
        if one.statistic in ("count", "engaged", "missed", "pending", "same_day")
        else missing_value(one)
        for name, one in named.items()
    }
    layout = contract.layout
    return Cohort(
        bins=np.array([[cells[feature_column(one.name)] for one in layout.features]], np.int32),
        values=np.array([[cells[feature_column(name)] for name in layout.values]], np.float32).reshape(1, -1),
        labels=np.array([np.nan]),
        rows=np.zeros(1, np.int64),
        known=np.zeros(1, np.bool_),
        tokens=np.zeros((1, 16), np.uint8),
        events_from=np.array([0, 1]),
        patients_from=np.array([0, 1]),
    )
