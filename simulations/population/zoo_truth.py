"""What makes a zoo patient engage: main effects, crosses that the contract names, and interactions that none names.

Everything rests on recorded values: a gap has no effect, so the true probability knows no more than the tables.
Arrays are made field after field, so that half a million patients with sixty fields fit into memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from wardround.protocol.arrays import Booleans, Floats, Integers
from wardround.simulations.population.patients import bell
from wardround.simulations.population.zoo_design import ZooFederation
from wardround.simulations.population.zoo_fields import ZooField, fields_of, named_pairs

NAMED_SHARE = 0.1
"""Share of the logit's variance that lies in crosses which the contract names."""
HIDDEN_PAIRS, HIDDEN_TRIPLES = 4, 3


@dataclass(frozen=True, eq=False)
class Recorded:
    """One field's values: codes int64 [n] (categories; else empty), z float64 [n] (numbers, standard), gap bool [n]."""

    codes: Integers
    z: Floats
    gap: Booleans


@dataclass(frozen=True, eq=False)
class Plan:
    """Which fields matter. strength: field → factor of its main effect. named, pairs, triples: fields that interact."""

    strength: Mapping[str, float]
    named: Sequence[tuple[str, ...]]
    pairs: Sequence[tuple[str, ...]]
    triples: Sequence[tuple[str, ...]]


def draw_plan(rng: Generator, federation: ZooFederation) -> Plan:
    """Draw who matters: a share ``active`` of the fields, any of them; interactions among fields of few words."""
    fields = fields_of(federation)
    order = np.argsort(rng.random(len(fields)), kind="stable")
    active = order[: max(1, round(federation.active * len(fields)))]
    strength = {fields[i].name: 0.5 + abs(float(bell(rng, 1)[0])) for i in active}
    few = [one.name for one in fields if one.kind != "words"]
    named = named_pairs(federation)

    def drawn(size: int, count: int) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        while len(found) < count:
            group = tuple(few[i] for i in np.argsort(rng.random(len(few)), kind="stable")[:size])
            # The contract must not name what is meant to be hidden from it.
            if set(group) not in [set(pair) for pair in named]:
                found.append(group)
        return found

    return Plan(strength, named, drawn(2, HIDDEN_PAIRS), drawn(3, HIDDEN_TRIPLES))


@dataclass(eq=False)
class Logit:
    """The log-odds as fields are added: main float64 [events], and the product of each interaction so far."""

    plan: Plan
    main: Floats
    products: dict[tuple[str, int], Floats] = field(default_factory=dict)

    def add(
        self, rng: Generator, one: ZooField, recorded: Recorded, events: Integers | None, tilt: Floats
    ) -> None:
        """Add one field. events: the row of each event where the field is of patients. tilt: float64 [events].

        tilt multiplies the main effect: hospitals differ in it.
        """
        if one.name in self.plan.strength:
            effect = self.plan.strength[one.name] * main_effect(rng, one, recorded)
            self.main += _by_event(effect, events) * tilt
        for kind, groups in self._groups():
            for index, group in enumerate(groups):
                if one.name in group:
                    sign = _by_event(step(rng, one, recorded), events)
                    self.products[kind, index] = self.products.get((kind, index), np.ones(1)) * sign

    def total(self, federation: ZooFederation) -> Floats:
        """Scale each part to its share of the variance ``signal``²: float64 [events], without an intercept."""
        shares = {"named": NAMED_SHARE, "pairs": federation.pairs, "triples": federation.triples}
        found = np.zeros(len(self.main))
        for kind, groups in self._groups():
            parts = [standard(self.products[kind, index]) for index in range(len(groups))]
            if parts:
                found += np.sqrt(shares[kind]) * standard(np.sum(parts, axis=0))
        rest = 1 - sum(shares[kind] for kind, groups in self._groups() if groups)
        found += np.sqrt(rest) * standard(self.main)
        return np.asarray(federation.signal * found)

    def _groups(self) -> list[tuple[str, Sequence[tuple[str, ...]]]]:
        return [("named", self.plan.named), ("pairs", self.plan.pairs), ("triples", self.plan.triples)]


def _by_event(values: Floats, events: Integers | None) -> Floats:
    return values if events is None else values[events]


def main_effect(rng: Generator, one: ZooField, recorded: Recorded) -> Floats:
    """Effect of each row, mean 0 and variance 1 but for gaps: words by a table, numbers by a bent line."""
    if one.size:
        raw = bell(rng, one.size)[recorded.codes]
    else:
        line, bend = bell(rng, 2)
        raw = line * recorded.z + 0.5 * bend * (recorded.z**2 - 1)
    return np.where(recorded.gap, 0.0, standard(raw))


def step(rng: Generator, one: ZooField, recorded: Recorded) -> Floats:
    """Minus or plus one by word, or by the side of a threshold; 0 for a gap."""
    if one.size:
        signs = np.where(rng.random(one.size) < 0.5, -1.0, 1.0)
        # One sign for all words would make no interaction.
        signs[:2] = (-1.0, 1.0)
        raw = signs[recorded.codes]
    else:
        raw = np.where(recorded.z < 0.5 * bell(rng, 1)[0], -1.0, 1.0)
    return np.where(recorded.gap, 0.0, raw)


def standard(values: Floats) -> Floats:
    """Mean 0, standard deviation 1; zeros where all values are equal."""
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros_like(values)
