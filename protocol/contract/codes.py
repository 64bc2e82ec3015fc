"""Codes of a classification such as ICD-10 or ATC: how one is read, and in which listed node it falls.

A contract lists *prefixes* (``E11``: every code that begins so) and *ranges* (``E10-E14``: from what begins with the
first to what begins with the last). Signs compare one by one, digits before letters: ``C4A`` of ICD-10-CM comes after
``C49``. Dots and upper or lower case do not matter. Nodes must nest: of two that share a code, one holds the other.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from wardround.protocol.contract.tree import Tree
from wardround.protocol.text.bounds import DEEPEST_TREE, LONGEST_CODE

_AFTER = "~"
"""Sorts after every letter and digit: what begins with E14 lies below E14~."""
CODE_OR_RANGE = r"[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)*"
"""How a code, or a range of codes, stands at the beginning of a cell; polars' regular expressions read it alike."""
DASH, HYPHEN = "\N{EN DASH}", "-"
"""Word processors write a range with the former; both are read."""
_TOKEN = re.compile(CODE_OR_RANGE, re.ASCII)
_NUMBERED = re.compile(r".{0,2}[0-9]", re.ASCII)
Ends = tuple[str, str]


def read_cell(cell: str) -> Ends | None:
    """Read the first code of a cell as the first and last prefix that it names, mostly one; None where it is no code.

    One of a code's first three signs is a digit: words, such as ``none``, are no codes.

    >>> read_cell(" e11.90 G")
    ('E1190', 'E1190')
    >>> read_cell("E10-E14"), read_cell("5-820.1"), read_cell("see E11")
    (('E10', 'E14'), ('58201', '58201'), None)
    """
    # Upper case is made of what has matched: of other letters, as of ß, it could make codes.
    found = _TOKEN.match(cell.strip(" ").replace(DASH, HYPHEN))
    ends = None if found is None else _ends(found.group().upper())
    if ends is None or not all(_NUMBERED.match(one) for one in ends):
        return None
    return ends


def _ends(token: str) -> Ends | None:
    """Two codes of one length are a range; a hyphen within a code, as in OPS 5-820, is left out like a dot."""
    parts = [part for part in token.replace(".", "").split("-") if part]
    if not parts:
        return None
    if len(parts) == 2 and len(parts[0]) == len(parts[1]) and (len(parts[0]) > 1 or parts[0].isalpha()):
        return parts[0], parts[1]
    whole = "".join(parts)
    return whole, whole


def read_node(text: str) -> Ends:
    """Read a node that a contract lists; ValueError, in words, where it is neither prefix nor range."""
    found = _TOKEN.fullmatch(text.strip().replace(DASH, HYPHEN))
    ends = None if found is None else _ends(found.group().upper())
    if ends is None or len(ends[1]) > LONGEST_CODE:
        raise ValueError(
            f"must be a prefix as in E11, or a range as in E10-E14, of at most {LONGEST_CODE} signs"
        )
    if ends[0] > ends[1]:
        raise ValueError(f"{ends[0]} comes after {ends[1]}")
    if any(len(one) > 2 and not _NUMBERED.match(one) for one in ends):
        raise ValueError("one of the first three signs must be a digit; for words use tree")
    return ends


def written(ends: Ends) -> str:
    """Write a node in its one form: upper case, no dots."""
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def code_tree(nodes: list[Ends]) -> Tree:
    """Nest nodes by what they hold. ValueError, in words, where two overlap, are one, or a tree is too deep."""
    # A group before what lies in it: of one start the longer range first.
    ordered = sorted(sorted(nodes, key=lambda ends: ends[1] + _AFTER, reverse=True), key=lambda ends: ends[0])
    parents: list[int] = []
    within: list[int] = []
    for at, (first, last) in enumerate(ordered):
        while within and ordered[within[-1]][1] + _AFTER < first:
            within.pop()
        if within:
            above = ordered[within[-1]]
            if above == (first, last):
                raise ValueError(f"{written(above)} stands twice")
            if last + _AFTER > above[1] + _AFTER:
                both = f"{written(above)} and {written((first, last))}"
                raise ValueError(f"{both} overlap; one must hold the other, or none of its codes")
        parents.append(within[-1] if within else -1)
        within.append(at)
        if len(within) > DEEPEST_TREE:
            raise ValueError(
                f"{written((first, last))} lies {len(within)} levels deep; must be at most {DEEPEST_TREE}"
            )
    return Tree(tuple(map(written, ordered)), tuple(parents), coded=True)


@dataclass(frozen=True)
class CodeIndex:
    """Where codes fall: between two neighbours of ``starts`` all codes fall in one node of ``nodes``, −1 for none."""

    starts: tuple[str, ...]
    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    longest: int

    def node_of(self, cell: str) -> int | None:
        """Give the deepest listed node that holds the cell's first code (of a range: all of it); None where none does.

        No more of a code is looked at than the longest node has signs.
        """
        ends = read_cell(cell)
        if ends is None:
            return None
        first, last = (self._node(end[: self.longest]) for end in ends)
        while first != last:  # a group's position is lower than that of what lies in it
            if first > last:
                first = self.parents[first]
            else:
                last = self.parents[last]
        return None if first < 0 else first

    @property
    def looked_at(self) -> int:
        """How many signs of one code tell its node, and that it is a code."""
        return max(self.longest, 3)

    def _node(self, code: str) -> int:
        at = bisect_right(self.starts, code) - 1
        return -1 if at < 0 else self.nodes[at]


@lru_cache(maxsize=64)
def code_index(tree: Tree) -> CodeIndex:
    """Prepare to find the nodes of codes."""
    ends = [read_node(node) for node in tree.nodes]
    starts, nodes = [""], [-1]
    open_nodes: list[int] = []

    def close(upto: str | None) -> None:
        while open_nodes and (upto is None or ends[open_nodes[-1]][1] + _AFTER <= upto):
            starts.append(ends[open_nodes.pop()][1] + _AFTER)
            nodes.append(open_nodes[-1] if open_nodes else -1)

    for at, (first, _) in enumerate(ends):
        close(first)
        starts.append(first)
        nodes.append(at)
        open_nodes.append(at)
    close(None)
    return CodeIndex(tuple(starts), tuple(nodes), tree.parents, max(len(last) for _, last in ends))
