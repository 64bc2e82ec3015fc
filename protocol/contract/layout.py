"""Where each feature stands in a model: fields of bins, crosses, ranged values, and their public scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

MOST_INTERACTING_BINS = 14
"""Features of more bins have no interactions: a pair with one of many words is too rare for any noise."""


@dataclass(frozen=True)
class Field:
    """One binned feature. labels names its bins for a reader."""

    name: str
    labels: tuple[str, ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """Empty: this is no cross."""
        return ()

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.labels)


@dataclass(frozen=True)
class Cross:
    """Two crossed features; its bin is ``bin_a * size_b + bin_b``.

    Its labels are made when a reader asks: a million of them, each as long as two words of somebody's
    vocabularies, would be gigabytes in memory from terms of 4 MiB.
    """

    first: Field
    second: Field

    @property
    def name(self) -> str:
        """Both features' names."""
        return f"{self.first.name} × {self.second.name}"

    @property
    def parents(self) -> tuple[str, str]:
        """Both features' names, apart."""
        return self.first.name, self.second.name

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.first.size * self.second.size

    @property
    def labels(self) -> Iterator[str]:
        """Name each bin for a reader, one after another."""
        return (f"{a} × {b}" for a in self.first.labels for b in self.second.labels)


@dataclass(frozen=True)
class Coarse:
    """The groups of one level of a hierarchical feature: ``bins`` has the group's bin for each bin of ``of``."""

    name: str
    of: Field
    labels: tuple[str, ...]
    bins: tuple[int, ...]

    @property
    def parents(self) -> tuple[str]:
        """The feature's name: its bin tells this one."""
        return (self.of.name,)

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.labels)


@dataclass(frozen=True)
class Layout:
    """Columns of the design: [intercept | features' bins … | crosses' bins … | groups' bins … | ranged values …].

    features are in the order of ``Cohort.bins``' columns, values in that of ``Cohort.values``. coarse: the groups of
    hierarchical features, those of one feature side by side, the widest groups first.
    """

    features: tuple[Field, ...]
    crosses: tuple[Cross, ...]
    values: tuple[str, ...]
    coarse: tuple[Coarse, ...] = ()

    @cached_property
    def fields(self) -> tuple[Field | Cross | Coarse, ...]:
        """Features, then crosses, then groups."""
        return self.features + self.crosses + self.coarse

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First column of each of ``fields``."""
        offsets, column = [], 1
        for field in self.fields:
            offsets.append(column)
            column += field.size
        return tuple(offsets)

    @cached_property
    def interacting(self) -> tuple[Field, ...]:
        """Features of few bins: any two of them may interact. Ranged values have no bins."""
        return tuple(field for field in self.features if field.size <= MOST_INTERACTING_BINS)

    @cached_property
    def interactions(self) -> tuple[Cross, ...]:
        """Pairs of ``interacting`` that the contract does not cross, in a fixed order; ``width`` is without them."""
        crossed = {frozenset(cross.parents) for cross in self.crosses}
        pairs = (Cross(first, second) for first, second in combinations(self.interacting, 2))
        return tuple(pair for pair in pairs if frozenset(pair.parents) not in crossed)

    @cached_property
    def width(self) -> int:
        """Number of columns, the intercept included."""
        return 1 + sum(field.size for field in self.fields) + len(self.values)

    @cached_property
    def main_width(self) -> int:
        """Columns of features' bins and values, without intercept, crosses and groups: what hidden layers read."""
        return sum(field.size for field in self.features) + len(self.values)
