"""Reading the tree of a hierarchical feature: a list of codes, or the words of each group."""

from wardround.protocol.contract.codes import Ends, code_tree, read_node
from wardround.protocol.contract.tree import Tree, first_repeated, word_tree
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.bounds import MOST_BINS
from wardround.protocol.text.canonical import comparable
from wardround.protocol.text.section import Section, shown


def read_tree(feature: Section) -> Tree:
    """Read ``codes`` or ``tree`` of a feature; ConfigurationError names the key, the value and what is allowed."""
    if feature.has("codes") == feature.has("tree"):
        raise ConfigurationError(
            f"{feature.path}: must have either codes (prefixes and ranges) or tree (the words of each group)"
        )
    tree = _coded(feature) if feature.has("codes") else _worded(feature)
    key = "codes" if tree.coded else "tree"
    if not 1 <= len(tree.nodes) < MOST_BINS:
        raise ConfigurationError(
            f"{feature.path}.{key}: {len(tree.nodes)} nodes, must be from 1 to {MOST_BINS - 1}"
        )
    return tree


def _coded(feature: Section) -> Tree:
    nodes: list[Ends] = []
    for code in feature.texts("codes"):
        try:
            nodes.append(read_node(code))
        except ValueError as error:
            raise ConfigurationError(f"{feature.path}.codes: {shown(code)}: {error}") from None
    try:
        return code_tree(nodes)
    except ValueError as error:
        raise ConfigurationError(f"{feature.path}.codes: {error}") from None


def _worded(feature: Section) -> Tree:
    groups = feature.section("tree")
    children = {group: groups.texts(group) for group in sorted(groups.keys())}
    words = {*children, *(word for inside in children.values() for word in inside)}
    # Compared as cells are: "0" and "0.0" are one word there, and could not stand in two places.
    if len({comparable(word) for word in words}) < len(words) or "" in words:
        raise ConfigurationError(f"{groups.path}: words must be different texts, none empty")
    try:
        tree = word_tree(children)
    except ValueError as error:
        raise ConfigurationError(f"{groups.path}: {shown(error)}") from None
    twice = first_repeated(tree.labels)
    if twice is not None:
        raise ConfigurationError(
            f"{groups.path}: {shown(twice)} is a word, and what is left of a group; rename it"
        )
    return tree
