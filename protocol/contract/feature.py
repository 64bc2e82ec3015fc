"""One feature of a contract: what is read, and into which public bins or range it goes."""

from dataclasses import dataclass
from itertools import pairwise

from wardround.protocol.contract.nodes import read_tree
from wardround.protocol.contract.tree import Tree, listing
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.bounds import DEEPEST_TREE, MOST_BINS
from wardround.protocol.text.canonical import canonical_number
from wardround.protocol.text.section import Section

KINDS = (
    "numeric", "categorical", "ordered", "hierarchical", "boolean", "hour", "weekday", "month", "gap_days", "history",
)  # fmt: skip
WORDED = ("categorical", "ordered", "hierarchical")
"""Kinds of words that the contract lists; those of ``ordered`` in their order, of ``hierarchical`` as a tree."""
STATISTICS = ("count", "engaged", "missed", "rate", "days_since", "pending", "same_day")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MISSING, OTHER = "missing", "other"

_COUNTED = ("hour", "gap_days", "history")
_FROM_ZERO = ("hour", "history")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Public description of one feature; nothing here comes from data.

    columns: one column, two for ``gap_days`` (from, to), none for ``history``. Either ``range`` is set
    (a value scaled to [-1, 1], 0 where missing) or the feature is binned. edges: bin i holds
    ``edges[i - 1] <= value < edges[i]``; the last bin is *missing* (*other* for kinds in ``WORDED``).
    valid: numbers outside it count as missing. source: the patient must have opted in to it. by: history counts only
    events in the same bin of this feature (the same channel, the same topic); None counts all. tree: of a hierarchical
    feature, whose ``vocabulary`` is the tree's nodes. by_level: ``by`` in groups of this level of a tree; None in
    its own bins.
    """

    name: str
    kind: str
    table: str = "messages"
    columns: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    range: tuple[float, float] | None = None
    valid: tuple[float, float] | None = None
    vocabulary: tuple[str, ...] = ()
    statistic: str | None = None
    by: str | None = None
    by_level: int | None = None
    source: str | None = None
    tree: Tree | None = None

    @property
    def binned(self) -> bool:
        """Whether the feature has bins (else it is one ranged value)."""
        return self.range is None

    @property
    def worded(self) -> bool:
        """Whether its bins are words that the contract lists."""
        return self.kind in WORDED

    @property
    def codes(self) -> Tree | None:
        """The tree where its words are codes, read by prefix (``protocol.contract.codes``), else None."""
        return self.tree if self.tree is not None and self.tree.coded else None

    @property
    def labels(self) -> tuple[str, ...]:
        """A reader's name for each bin, *missing* or *other* last; empty for a ranged feature."""
        if not self.binned:
            return ()
        if self.worded:
            return with_other(self.vocabulary if self.tree is None else self.tree.labels)
        if self.kind == "boolean":
            return ("no", "yes", MISSING)
        if self.kind == "weekday":
            return (*WEEKDAYS, MISSING)
        if self.kind == "month":
            return (*MONTHS, MISSING)
        return (*self._interval_labels(), MISSING)

    def group_name(self, level: int) -> str:
        """Name the groups of one level of the tree for a reader; level 1 has the widest."""
        numbered = self.tree is not None and self.tree.levels > 2
        return f"{self.name} group {level}" if numbered else f"{self.name} group"

    def _interval_labels(self) -> tuple[str, ...]:
        edges = [canonical_number(edge) for edge in self.edges]
        whole = self.kind in _COUNTED and self.statistic != "rate" and all(isinstance(e, int) for e in edges)
        first = f"under {edges[0]}"
        # gap_days may be negative: its first bin is no "0 to …".
        if whole and self.kind in _FROM_ZERO and edges[0] >= 1:
            first = "0" if edges[0] == 1 else f"0 to {edges[0] - 1}"
        middle = []
        for low, high in pairwise(edges):
            if whole:
                middle.append(f"{low}" if low == high - 1 else f"{low} to {high - 1}")
            else:
                middle.append(f"{low} to under {high}")
        return (first, *middle, f"{edges[-1]} or more")

    def to_mapping(self) -> dict[str, object]:
        """Write the YAML form without defaults; inverse of ``feature_from_section``."""
        plain: dict[str, object] = {"kind": self.kind}
        if self.table != "messages":
            plain["table"] = self.table
        if self.kind == "gap_days":
            plain["from"], plain["to"] = self.columns
        elif self.columns:
            plain["column"] = self.columns[0]
        for key in ("edges", "range", "valid"):
            numbers = getattr(self, key)
            if numbers:
                plain[key] = [canonical_number(number) for number in numbers]
        if self.tree is not None:
            nested = list(self.tree.nodes) if self.codes else listing(self.tree)
            plain["codes" if self.codes else "tree"] = nested
        elif self.vocabulary:
            plain["vocabulary"] = list(self.vocabulary)
        for key in ("statistic", "by", "by_level", "source"):
            if getattr(self, key):
                plain[key] = getattr(self, key)
        return plain


def with_other(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Add the bin of all else. A vocabulary may hold "other" itself: two bins of one name could not be told apart."""
    return (*labels, OTHER if OTHER not in labels else "any other")


def feature_from_section(name: str, section: Section) -> Feature:
    """Read one feature; ConfigurationError names the key, the value and what is allowed."""
    kind = section.choice("kind", KINDS)
    if kind == "history":
        edges, bounds = _edges_or_range(section)
        statistic = section.choice("statistic", STATISTICS)
        by = section.optional_text("by")
        level = section.integer("by_level", 1, DEEPEST_TREE) if section.has("by_level") else None
        section.finish()
        return Feature(
            name=name, kind=kind, statistic=statistic, by=by, by_level=level, edges=edges, range=bounds
        )
    table = section.choice("table", ("messages", "patients", "assessments"), "messages")
    keys = ("from", "to") if kind == "gap_days" else ("column",)
    columns = tuple(section.text(key) for key in keys)
    vocabulary: tuple[str, ...] = ()
    edges, bounds, valid, tree = (), None, None, None
    if kind == "hierarchical":
        tree = read_tree(section)
        vocabulary = tree.nodes
    elif kind in WORDED:
        vocabulary = _vocabulary(section, least=2 if kind == "ordered" else 1)
    elif kind in ("numeric", "gap_days", "hour"):
        edges, bounds = _edges_or_range(section)
        if kind != "hour" and section.value("valid", None) is not None:
            valid = section.bounds("valid")
    source = section.optional_text("source")
    section.finish()
    return Feature(
        name=name, kind=kind, table=table, columns=columns, vocabulary=vocabulary,
        edges=edges, range=bounds, valid=valid, source=source, tree=tree,
    )  # fmt: skip


def _vocabulary(section: Section, least: int) -> tuple[str, ...]:
    words = section.texts("vocabulary")
    if not least <= len(words) < MOST_BINS:
        raise ConfigurationError(
            f"{section.path}.vocabulary: {len(words)} words, must be from {least} to {MOST_BINS - 1}"
        )
    return words


def _edges_or_range(section: Section) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    edges = section.numbers("edges", ())
    bounds = section.bounds("range") if section.value("range", None) is not None else None
    if (bounds is None) == (not edges):
        raise ConfigurationError(f"{section.path}: must have either edges (bins) or range (one scaled value)")
    if len(edges) >= MOST_BINS:
        raise ConfigurationError(f"{section.path}.edges: {len(edges)} edges, must be below {MOST_BINS}")
    return edges, bounds
