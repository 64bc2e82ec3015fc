"""A public tree of words or codes, of which a contract lists the nodes: in which groups a cell lies.

A cell falls in its deepest listed node. Above it every listed group counts as well, one field of the design for each
level (``layout.Coarse``): a rare code then borrows from its group, as nested effects under a Gaussian prior do
(Gelman and Hill 2007, §12). Nodes stand depth first, so that a group is followed by what lies in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from wardround.protocol.text.bounds import DEEPEST_TREE


@dataclass(frozen=True)
class Tree:
    """Nodes, depth first, and for each the position of its group among them, −1 for none.

    coded: nodes are prefixes and ranges of codes (``protocol.contract.codes``), and else words that cells must match.
    """

    nodes: tuple[str, ...]
    parents: tuple[int, ...]
    coded: bool = False

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Level of each node, counted from 1."""
        found: list[int] = []
        for parent in self.parents:  # depth first: a group stands before what lies in it
            found.append(1 if parent < 0 else found[parent] + 1)
        return tuple(found)

    @property
    def levels(self) -> int:
        """Number of levels."""
        return max(self.depths)

    @property
    def labels(self) -> tuple[str, ...]:
        """A reader's name for each node's bin: of a group, what lies in none of its listed nodes."""
        groups = set(self.parents)
        return tuple(f"rest of {node}" if at in groups else node for at, node in enumerate(self.nodes))

    def upto(self, level: int) -> "Tree":
        """Leave out what lies deeper than a level.

        >>> tree = Tree(("E00-E90", "E10-E14", "E11"), (-1, 0, 1))
        >>> tree.upto(2).labels
        ('rest of E00-E90', 'E10-E14')
        """
        kept = [at for at, depth in enumerate(self.depths) if depth <= level]
        place = {at: position for position, at in enumerate(kept)} | {-1: -1}
        parents = tuple(place[self.parents[at]] for at in kept)
        return Tree(tuple(self.nodes[at] for at in kept), parents, self.coded)

    def bins_at(self, level: int) -> tuple[int, ...]:
        """Give for each bin, *other* last, the bin of ``upto(level)`` that it lies in.

        >>> Tree(("E00-E90", "E10-E14", "E11"), (-1, 0, 1)).bins_at(1)
        (0, 0, 0, 1)
        """
        found: list[int] = []
        kept = 0
        for depth, parent in zip(self.depths, self.parents, strict=True):
            if depth <= level:
                found.append(kept)
                kept += 1
            else:
                found.append(found[parent])
        return (*found, kept)


def word_tree(children: Mapping[str, Sequence[str]]) -> Tree:
    """Arrange words by what each group holds; a group in no other is a root. Siblings stand in the order of their text.

    ValueError, in words, where a word lies in two groups, in itself, or too deep.
    """
    above: dict[str, str] = {}
    for group, words in children.items():
        for word in words:
            if word in above:
                raise ValueError(f"{word} lies in {above[word]} and in {group}; must be in one group")
            above[word] = group
    nodes: list[str] = []
    parents: list[int] = []
    # A stack, not recursion: a chain of ten thousand words must be a refusal, and no crash.
    waiting = [(root, -1, 1) for root in sorted((g for g in children if g not in above), reverse=True)]
    while waiting:
        word, parent, depth = waiting.pop()
        if depth > DEEPEST_TREE:
            raise ValueError(f"{word} lies {depth} levels deep; must be at most {DEEPEST_TREE}")
        nodes.append(word)
        parents.append(parent)
        below = sorted(children.get(word, ()), reverse=True)
        waiting += [(one, len(nodes) - 1, depth + 1) for one in below]
    lost = sorted({*children, *above} - set(nodes))
    if lost:
        raise ValueError(f"{lost[0]} lies in itself, by way of its groups")
    return Tree(tuple(nodes), tuple(parents))


def listing(tree: Tree) -> dict[str, list[str]]:
    """Give the words of each group, and of each root: inverse of ``word_tree``."""
    found: dict[str, list[str]] = {}
    for node, parent in zip(tree.nodes, tree.parents, strict=True):
        if parent < 0:
            found[node] = []
        else:
            found.setdefault(tree.nodes[parent], []).append(node)
    return found


def first_repeated(labels: Iterable[str]) -> str | None:
    """Give the first label that stands twice."""
    seen: set[str] = set()
    for one in labels:
        if one in seen:
            return one
        seen.add(one)
    return None
