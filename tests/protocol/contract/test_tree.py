"""Trees of words: groups, levels, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.contract.tree import Tree, listing, word_tree
from wardround.protocol.text.bounds import DEEPEST_TREE

CLINICS = {
    "surgery": ["urology", "hand"],
    "medicine": ["heart", "kidney"],
    "heart": ["failure"],
    "imaging": [],
}


@st.composite
def trees(draw: st.DrawFn) -> dict[str, list[str]]:
    """Some words, each beneath an earlier one or a root, none too deep."""
    parents, depths = [-1], [1]
    for at in range(1, draw(st.integers(1, 25))):
        open_ones = [-1, *(one for one in range(at) if depths[one] < DEEPEST_TREE)]
        parents.append(draw(st.sampled_from(open_ones)))
        depths.append(1 if parents[-1] < 0 else depths[parents[-1]] + 1)
    children: dict[str, list[str]] = {f"w{at}": [] for at, parent in enumerate(parents) if parent < 0}
    for at, parent in enumerate(parents):
        if parent >= 0:
            children.setdefault(f"w{parent}", []).append(f"w{at}")
    return children


def test_siblings_stand_by_their_text_beneath_their_group() -> None:
    tree = word_tree(CLINICS)
    assert tree.nodes == ("imaging", "medicine", "heart", "failure", "kidney", "surgery", "hand", "urology")
    assert tree.depths == (1, 1, 2, 3, 2, 1, 2, 2)
    assert tree.labels[1:4] == ("rest of medicine", "rest of heart", "failure")


@given(trees())
def test_a_tree_reads_back_and_order_says_nothing(children: dict[str, list[str]]) -> None:
    tree = word_tree(children)
    assert word_tree(listing(tree)) == tree
    turned = {group: words[::-1] for group, words in reversed(children.items())}
    assert word_tree(turned) == tree


@given(trees())
def test_each_level_has_the_ancestor_at_that_level(children: dict[str, list[str]]) -> None:
    tree = word_tree(children)
    for level in range(1, tree.levels + 1):
        upto, bins = tree.upto(level), tree.bins_at(level)
        assert len(bins) == len(tree.nodes) + 1
        assert bins[-1] == len(upto.nodes), "other is other at every level"
        for at, group in enumerate(bins[:-1]):
            above = at
            while tree.depths[above] > level:
                above = tree.parents[above]
            assert upto.nodes[group] == tree.nodes[above]
    assert tree.upto(tree.levels) == tree


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ({"a": ["b"], "c": ["b"]}, "b lies in a and in c"),
        ({"a": ["b"], "b": ["a"]}, "a lies in itself"),
        ({"r": [], "a": ["a"]}, "a lies in itself"),
        ({f"w{at}": [f"w{at + 1}"] for at in range(9_000)}, "w6 lies 7 levels deep; must be at most 6"),
    ],
)
def test_what_is_no_tree_is_refused(children: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        word_tree(children)


def test_a_tree_without_groups_is_one_level() -> None:
    assert Tree(("a", "b"), (-1, -1)).levels == 1
