"""Where each feature stands in a model: fields of bins, crosses, ranged values, and their public scale."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Field:
    """One binned feature, or a cross of two.

    size is its number of bins; labels names them for a reader; parents is empty for a feature and names
    the two crossed features for a cross, whose bin is ``bin_a * size_b + bin_b``.
    """

    name: str
    labels: tuple[str, ...]
    parents: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.labels)


@dataclass(frozen=True)
class Layout:
    """Columns of the design: [intercept | features' bins … | crosses' bins … | ranged values …].

    features are in the order of ``Cohort.bins``' columns, values in that of ``Cohort.values``.
    """

    features: tuple[Field, ...]
    crosses: tuple[Field, ...]
    values: tuple[str, ...]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Features, then crosses."""
        return self.features + self.crosses

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First column of each of ``fields``."""
        offsets, column = [], 1
        for field in self.fields:
            offsets.append(column)
            column += field.size
        return tuple(offsets)

    @cached_property
    def width(self) -> int:
        """Number of columns, the intercept included."""
        return 1 + sum(field.size for field in self.fields) + len(self.values)

    @cached_property
    def main_width(self) -> int:
        """Columns of features' bins and values, without intercept and crosses: what hidden layers read."""
        return sum(field.size for field in self.features) + len(self.values)
