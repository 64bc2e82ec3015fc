"""What of a contract the noise of a study would hide, before anybody is asked: from public numbers alone.

A field drowns where the server's posterior mean keeps less than half of its variance (``server.algorithm.
field_signals``), of gradients as hospitals will send them: mapped before clipping where the study's terms say so. What
less noise would do is asked of the map that a study with less noise has.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from functools import cache

from scipy.optimize import brentq

from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.errors import require
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.structure import kinds_with
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.bounds import MOST_PRECONDITIONED, PRECONDITIONS
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.field_signals import FieldSignals, field_signals
from wardround.server.algorithm.newton import averaged_noise_stddev
from wardround.server.algorithm.noise_choice import mean_noise_stddev

LEAST_KEPT = 0.5
"""Share of a field's variance that must be kept: below, more of its effect is hidden than is learned."""
MOST_WORDS = 100
"""Words that are asked about; with so many, noise is not what limits a vocabulary."""
_MOST_OCTAVES = 200
"""Half of what is known of any field is between noise of 2⁻²⁰⁰ and of 2²⁰⁰ times a study's."""
_MORE = "one more feature"
"""Name of a feature that a contract cannot have: names are without blanks."""


@dataclass(frozen=True, kw_only=True)
class FieldAdvice:
    """One field: a feature, a cross, a level of a tree, or a ranged value (bins = 1).

    stddev, prior_stddev, kept: as of ``FieldSignals``. needed: by what the noise must be divided for LEAST_KEPT; 1 or
    less where that much is kept already. affordable_words: of a categorical feature that drowns, how many it could have
    in this contract; None of others.
    """

    name: str
    bins: int
    stddev: float
    prior_stddev: float
    kept: float
    needed: float
    affordable_words: int | None

    @property
    def drowns(self) -> bool:
        """Whether less is learned than is hidden."""
        return self.kept < LEAST_KEPT


@dataclass(frozen=True, kw_only=True)
class TreeAdvice:
    """How deep a hierarchical feature is worth listing: ``kept`` of ``levels``, and the nodes of those."""

    name: str
    levels: int
    kept: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContractAdvice:
    """All fields, the most hidden first; trees by how much of them is learned; what one more feature could have.

    affordable_words: with *other*, and all of them in equally many messages, one more categorical feature of so many
    does not drown; 0 where none can, and MOST_WORDS where as many or more.
    """

    fields: tuple[FieldAdvice, ...]
    trees: tuple[TreeAdvice, ...]
    affordable_words: int


def advise(terms: Terms) -> ContractAdvice:
    """Say what is learned of each field, of a model of interactions in the rounds before theirs.

    ConfigurationError for a model with hidden layers, or of a user's own, or for several steps.
    """
    study = _study(terms)
    needed = _needed(study)
    fields = [_advice(study, one, needed[one.name]) for one in study.signals()]
    drowned = {field.name for field in fields if field.drowns}
    return ContractAdvice(
        fields=tuple(sorted(fields, key=lambda field: (field.kept, field.name))),
        trees=tuple(_trees(terms.contract, drowned)),
        affordable_words=_affordable_words(study, _MORE),
    )


def drowned_fields(terms: Terms) -> dict[str, bool]:
    """Say of each field whether it drowns, and no more; errors as of ``advise``."""
    return {one.name: one.kept < LEAST_KEPT for one in _study(terms).signals()}


@dataclass(frozen=True)
class _Study:
    """What of the terms advice reads. noise: in one coordinate of what the final weights are read from."""

    contract: Contract
    model: ModelSettings
    noise: float
    mapped_for: float

    def signals(self, less: float = 1.0) -> Iterator[FieldSignals]:
        """Give what is known of each field with noise divided by ``less``, and the map for that."""
        least, most = PRECONDITIONS
        level = min(max(self.mapped_for / less, least), most) if self.mapped_for else 0.0
        return field_signals(self.contract, self.model, self.noise / less, level)

    def kept(self, name: str) -> float:
        """Give what is kept of one field."""
        return next(one.kept for one in self.signals() if one.name == name)

    def with_words(self, name: str, words: int) -> "_Study":
        """Give a categorical feature so many words, or add it."""
        one = Feature(
            name=name, kind="categorical", columns=(name,), vocabulary=tuple(map(str, range(words)))
        )
        features = {feature.name: feature for feature in self.contract.features} | {name: one}
        return replace(self, contract=replace(self.contract, features=tuple(features.values())))


def _study(terms: Terms) -> _Study:
    model, steps = terms.model, terms.training.local_steps
    remedy = (
        f"must be {kinds_with('convex')}: what noise does to another model is not known in closed form; set "
        "model=additive"
    )
    require(model.structure.convex, "model.kind", model.kind, remedy)
    require(steps == 1, "training.local_steps", steps, "must be 1: advice reads the noise of one gradient")
    newton = terms.training.optimizer == "newton"
    noise = averaged_noise_stddev(terms, noise_gain(terms)) if newton else mean_noise_stddev(terms)
    return _Study(terms.contract, model, noise, terms.precondition)


def _affordable_words(study: _Study, name: str) -> int:
    """Give how many words a categorical feature can have in the place of its own, or beside all features."""

    def learned(words: int) -> bool:
        other = study.with_words(name, words)
        fits = not study.mapped_for or other.contract.layout.width <= MOST_PRECONDITIONED
        return fits and other.kept(name) >= LEAST_KEPT

    # Upwards by doubling: maps of few columns are quick to make.
    low, high = 0, 1
    while high <= MOST_WORDS and learned(high):
        low, high = high, 2 * high
    high = min(high, MOST_WORDS + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if learned(middle) else (low, middle)
    return low


def _needed(study: _Study) -> dict[str, float]:
    """Give for each field by what to divide the noise so that LEAST_KEPT is kept: what is kept falls with the noise."""

    @cache
    def kept(octaves: float) -> dict[str, float]:
        return {one.name: one.kept for one in study.signals(2.0**octaves)}

    def missing(octaves: float, name: str) -> float:
        return LEAST_KEPT - kept(octaves)[name]

    found = {}
    for name in kept(0):
        # Outwards from the study's own noise, by octaves that all fields share.
        step = 1 if missing(0, name) > 0 else -1
        end = next(one for one in range(step, step * _MOST_OCTAVES, step) if missing(one, name) * step <= 0)
        found[name] = 2.0 ** brentq(missing, end - step, end, args=(name,), xtol=1e-4)
    return found


def _advice(study: _Study, one: FieldSignals, needed: float) -> FieldAdvice:
    words = {feature.name for feature in study.contract.features if feature.kind == "categorical"}
    affordable = one.name in words and one.kept < LEAST_KEPT
    return FieldAdvice(
        name=one.name,
        bins=one.bins,
        stddev=one.stddev,
        prior_stddev=one.prior_stddev,
        kept=one.kept,
        needed=needed,
        affordable_words=_affordable_words(study, one.name) if affordable else None,
    )


def _trees(contract: Contract, drowned: Set[str]) -> Iterator[TreeAdvice]:
    for feature in contract.features:
        if feature.tree is None:
            continue
        levels = feature.tree.levels
        names = [*map(feature.group_name, range(1, levels)), feature.name]
        # What lies below a level that drowns is not counted: it could not tell of which group it is a part.
        kept = next((level for level, name in enumerate(names) if name in drowned), levels)
        yield TreeAdvice(name=feature.name, levels=levels, kept=kept, nodes=feature.tree.upto(kept).nodes)
