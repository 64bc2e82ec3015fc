"""Codes by prefix and range: the deepest listed node that holds one, found as by looking at all of them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wardround.protocol.contract.codes import code_index, code_tree, read_cell, read_node, written
from wardround.protocol.contract.tree import Tree
from wardround.protocol.text.bounds import DEEPEST_TREE

ICD = ["A00-B99", "C00-D48", "C43-C44", "E00-E90", "E10-E14", "E11", "E11.9", "H00-H59", "H60-H95", "F"]
signs = st.sampled_from("AB0123")
codes = st.text(signs, min_size=1, max_size=5)


def tree_of(*nodes: str) -> Tree:
    return code_tree([read_node(node) for node in nodes])


def node_of(tree: Tree, cell: str) -> str | None:
    found = code_index(tree).node_of(cell)
    return None if found is None else tree.nodes[found]


@pytest.mark.parametrize(
    ("cell", "node"),
    [
        ("E11.90", "E119"), ("e119", "E119"), (" E11 ", "E11"), ("E11.8", "E11"), ("E10", "E10-E14"),
        ("E14.9", "E10-E14"), ("E15", "E00-E90"), ("E90.99", "E00-E90"), ("E91", None), ("B99.9", "A00-B99"),
        ("H59.9", "H00-H59"), ("H60", "H60-H95"), ("C4A.1", "C00-D48"), ("D48", "C00-D48"), ("D49", None),
        ("F32.1", "F"), ("F3", "F"), ("E11.9 G", "E119"), ("E11.9†, I10", "E119"), ("E10-E14", "E10-E14"),
        ("E10 - E14", "E10-E14"), ("E11\u2013E20", "E00-E90"), ("\u0131" + "10", None), ("\u00df11", None),
        ("E10-E13", "E10-E14"), ("E11-E20", "E00-E90"), ("E11-F20", None),
        ("", None), ("none", None), ("fever", None), ("see E11", None), ("E", None), ("-", None),
        ("E" + "1" * 10**6, "E11"), ("\0E11", None), ("\u04151\x31", None), ("\U0001d7d9E1", None),
    ],
)  # fmt: skip
def test_a_code_falls_in_the_deepest_node_that_holds_it(cell: str, node: str | None) -> None:
    assert node_of(tree_of(*ICD), cell) == node


def test_atc_and_ops_are_read_as_well() -> None:
    atc = tree_of("N", "N06", "N06A", "N06AB", "C")
    assert [node_of(atc, cell) for cell in ("N06AB03", "n06ax", "N05BA", "C", "C09AA02")] == [
        "N06AB", "N06A", "N", None, "C",
    ]  # fmt: skip
    assert [node_of(tree_of("5", "5-82", "5820-5829"), cell) for cell in ("5-820.00", "5-83", "5-829")] == [
        "5820-5829", "5", "5820-5829",
    ]  # fmt: skip


def holds(node: str, code: str) -> bool:
    """By the words of the docs: from what begins with the first end to what begins with the last."""
    first, last = read_node(node)
    return code >= first and (code <= last or code.startswith(last))


@given(st.lists(st.tuples(codes, codes), min_size=1, max_size=8), st.lists(codes, min_size=1, max_size=20))
@example([("A", "A"), ("A00", "A99"), ("A01", "A01")], ["A00", "A010", "A9B", "AA0"])
def test_random_trees_nest_and_find_what_a_search_of_all_nodes_finds(ends, cells) -> None:
    nodes = [written(one) for one in ends]
    try:
        tree = tree_of(*nodes)
    except ValueError:
        return
    assert sorted(tree.nodes) == sorted(written(read_node(node)) for node in nodes)
    for node, parent in zip(tree.nodes, tree.parents, strict=True):
        assert parent < tree.nodes.index(node), "a group stands before what lies in it"
    for cell in cells:
        holding = [node for node in tree.nodes if read_cell(cell) and holds(node, cell)]
        found = node_of(tree, cell)
        assert (found is None) == (not holding)
        at = -1 if found is None else tree.nodes.index(found)
        above = set()
        while at >= 0:
            above.add(tree.nodes[at])
            at = tree.parents[at]
        assert above == set(holding), "its groups are all nodes that hold it"


@given(st.text(max_size=40))
def test_no_cell_raises(cell: str) -> None:
    assert node_of(tree_of(*ICD), cell) in {None, *tree_of(*ICD).nodes}


@given(codes, st.text(signs, max_size=5))
def test_what_is_deeper_than_the_deepest_node_says_nothing(code: str, more: str) -> None:
    tree = tree_of("A0-A3", "A10", "B")
    assert node_of(tree, (code + "000")[:3] + more) == node_of(tree, (code + "000")[:3])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (["E10-E14", "E12-E20"], "E10-E14 and E12-E20 overlap"),
        (["D5", "D50-D89"], "D5 and D50-D89 overlap"),
        (["E11", "e1.1"], "E11 stands twice"),
        (["E14-E10"], "E14 comes after E10"),
        (["diabetes"], "a digit; for words use tree"),
        (["E11*"], "must be a prefix as in E11"),
        (["E" + "1" * 20], "at most 20 signs"),
        (
            ["A0" + "0" * length for length in range(DEEPEST_TREE + 1)],
            "lies 7 levels deep; must be at most 6",
        ),
    ],
)
def test_what_is_no_tree_of_codes_is_refused(nodes: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        tree_of(*nodes)
