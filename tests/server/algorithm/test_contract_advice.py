"""Advice on a contract: what noise hides is said, what it leaves is not; newton's own matrices say the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, SEX, small_contract
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.prior import EFFECT_STDDEV, prior_covariance
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import newton
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.contract_advice import FieldAdvice, advise
from wardround.server.algorithm.newton import (
    averaged_noise_stddev,
    design_fisher,
    gain_of,
)
from wardround.server.algorithm.propose import propose

STEPS = {"kind": "numeric", "column": "steps", "range": [0, 9000]}


def words(count: int) -> dict[str, Any]:
    return {"kind": "categorical", "column": "topic", "vocabulary": [f"w{one}" for one in range(count)]}


def contract_with(topic: dict[str, Any]) -> Contract:
    features = {"age": AGE, "sex": SEX, "topic": topic, "steps": STEPS}
    return contract_from_mapping(small_contract(**PUBLIC, features=features, crosses=[["age", "sex"]]))


def terms(patients: int = 1000, epsilon: float = 1.0, hospitals: int = 3, **changes: Any) -> Terms:
    given = {
        "study": "tea",
        "contract": contract_with(words(30)),
        "model": ModelSettings(),
        "privacy": PrivacySettings(noise="local", epsilon=epsilon),
        "training": TrainingSettings(optimizer="auto"),
        "public_patients": {f"h{one}": patients for one in range(hospitals)},
        "simulation": False,
    }
    return propose(**given | changes)


def field(found: Terms, name: str) -> FieldAdvice:
    return next(one for one in advise(found).fields if one.name == name)


def test_what_drowns_is_said_and_what_does_not_is_not() -> None:
    assert field(terms(), "topic").drowns
    assert not field(terms(), "sex").drowns
    assert field(terms(patients=10), "sex").drowns
    names = [one.name for one in advise(terms()).fields]
    assert names[0] == "topic", "the most hidden first"
    assert set(names) == {"age", "sex", "topic", "steps", "age × sex"}


def test_patients_epsilon_and_hospitals_turn_it() -> None:
    assert field(terms(), "topic").drowns
    assert not field(terms(patients=9000), "topic").drowns
    assert not field(terms(epsilon=10), "topic").drowns
    assert not field(terms(hospitals=100), "topic").drowns
    masked = terms(hospitals=30, simulation=True, privacy=PrivacySettings(noise="secure"))
    assert field(masked, "topic").stddev < 0.5 * field(terms(hospitals=30), "topic").stddev


def test_the_rule_for_words_is_where_the_verdict_turns() -> None:
    bins = advise(terms()).affordable_bins
    assert 3 < bins < 30
    for count, drowns in ((bins - 1, False), (bins, True)):  # other is a bin as well
        one = field(replace(terms(), contract=contract_with(words(count))), "topic")
        assert one.drowns is drowns
        assert (one.stddev > one.prior_stddev) is drowns, "without order: as the standard error says"


@pytest.mark.parametrize("patients", [100, 1000, 10_000])
def test_newtons_own_matrices_keep_as_much(patients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The advice is on noise alone; that patients are few comes on top of it.
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    # And on gradients that are measured alike in all directions.
    found = replace(terms(patients), precondition=0.0)
    layout, prior = found.contract.layout, EFFECT_STDDEV**2 * prior_covariance(found.contract)
    shares = np.concatenate([[1.0], *(np.full(one.size, 1 / one.size) for one in layout.fields), [0.0]])
    gain = gain_of(found, design_fisher(found, shares))
    noise = averaged_noise_stddev(found, noise_gain(found))
    learned = gain.posterior(prior @ gain.fisher, noise)  # covariance of the posterior mean
    parts = effects(layout)

    def kept(name: str) -> float:
        part = parts[name]
        return float(np.trace(part.T @ learned @ part) / np.trace(part.T @ prior @ part))

    for name in ("topic", "steps", "age × sex"):
        assert field(found, name).kept == pytest.approx(kept(name), abs=0.01), name
    for name in ("age", "sex"):
        # What the cross adds to the effect of its features is left out: it makes them a little clearer.
        assert kept(name) - 0.1 < field(found, name).kept < kept(name) + 0.01


def effects(layout: Layout) -> dict[str, Floats]:
    """Give each field's effect as columns of weights: centred; a feature's with its part of the cross."""
    widths = {one.name: one.size for one in layout.fields}
    places = {one.name: start for one, start in zip(layout.fields, layout.offsets, strict=True)}
    centred = {name: np.eye(size) - 1 / size for name, size in widths.items()}
    means = {name: np.full((size, 1), 1 / size) for name, size in widths.items()}
    blocks = {
        "topic": [("topic", centred["topic"])],
        "age": [("age", centred["age"]), ("age × sex", np.kron(centred["age"], means["sex"]))],
        "sex": [("sex", centred["sex"]), ("age × sex", np.kron(means["age"], centred["sex"]))],
        "age × sex": [("age × sex", np.kron(centred["age"], centred["sex"]))],
    }
    found = {"steps": np.eye(layout.width)[:, -1:]}
    for name, parts in blocks.items():
        found[name] = np.zeros((layout.width, parts[0][1].shape[1]))
        for part, block in parts:
            found[name][places[part] : places[part] + widths[part]] = block
    return found


def test_what_is_needed_is_enough_and_no_more() -> None:
    found = terms()
    needed = field(found, "topic").needed
    for times, drowns in ((1.02, False), (0.98, True)):
        patients = {name: round(1000 * needed * times) for name in found.hospitals}
        more = replace(found, training=replace(found.training, public_patients=patients))
        assert field(more, "topic").drowns is drowns
    assert field(found, "sex").needed < 1


def test_neighbours_that_are_alike_lend_each_other_what_words_cannot() -> None:
    edges = {"age": {**AGE, "edges": list(range(30))}, "topic": words(30)}
    found = terms(contract=contract_from_mapping(small_contract(**PUBLIC, features=edges)))
    ordered, topic = field(found, "age"), field(found, "topic")
    assert ordered.bins == topic.bins + 1
    assert ordered.kept > 1.4 * topic.kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": ModelSettings(kind="mlp", hidden=(4,))},
            "model.kind=mlp: must be additive or interactions",
        ),
        ({"training": TrainingSettings(local_steps=2)}, "training.local_steps=2: must be 1"),
    ],
)
def test_what_cannot_be_said_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        advise(terms(**changes))


def test_a_vocabulary_of_thousands_and_a_cross_of_a_million_are_answered_at_once() -> None:
    features = {"age": {**AGE, "edges": list(range(200))}, "topic": words(4000)}
    contract = small_contract(**PUBLIC, features=features, crosses=[["age", "topic"]])
    found = advise(terms(contract=contract_from_mapping(contract)))
    assert found.fields[0].bins == 202 * 4001
    assert found.fields[0].kept < 1e-3


def tree_of(groups: int, inside: int) -> dict[str, Any]:
    """Give a hierarchical topic: groups A, B … and in each A0, A1 …"""
    letters = [chr(65 + group) for group in range(groups)]
    codes = [f"{letter}{code}" for letter in letters for code in range(inside)]
    return {"kind": "hierarchical", "column": "topic", "codes": [*letters, *codes]}


def tree_terms(groups: int, inside: int, patients: int = 1000) -> Terms:
    return terms(patients, contract=contract_with(tree_of(groups, inside)))


def test_a_tree_is_advised_level_by_level() -> None:
    found = tree_terms(4, 9)
    assert not field(found, "topic group").drowns
    assert field(found, "topic").drowns
    (tree,) = advise(found).trees
    assert (tree.name, tree.levels, tree.kept, tree.nodes) == ("topic", 2, 1, ("A", "B", "C", "D"))
    (all_of_it,) = advise(tree_terms(4, 9, patients=9000)).trees
    assert all_of_it.kept == 2
    (nothing,) = advise(tree_terms(4, 9, patients=50)).trees
    assert (nothing.kept, nothing.nodes) == (0, ())
    # What is advised is a contract, and nothing of it drowns.
    pruned = {**tree_of(4, 9), "codes": list(tree.nodes)}
    assert not field(terms(contract=contract_with(pruned)), "topic").drowns


def test_a_level_can_afford_as_many_nodes_as_a_vocabulary_words() -> None:
    bins = advise(tree_terms(4, 2)).affordable_bins
    for groups, drowns in ((bins - 1, False), (bins, True)):
        assert field(tree_terms(groups, 2), "topic group").drowns is drowns


@pytest.mark.parametrize("patients", [300, 1000, 10_000])
@pytest.mark.parametrize("name", ["topic", "topic group"])
def test_newtons_own_matrices_keep_at_least_as_much_of_each_level(
    name: str, patients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    found = replace(tree_terms(5, 6, patients), precondition=0.0)
    layout, prior = found.contract.layout, EFFECT_STDDEV**2 * prior_covariance(found.contract)
    places = {
        one.name: slice(at, at + one.size) for one, at in zip(layout.fields, layout.offsets, strict=True)
    }
    (coarse,) = layout.coarse
    lies_in = np.eye(coarse.size)[list(coarse.bins)]
    means = lies_in / lies_in.sum(axis=0)
    # A group's effect is its own weight and the mean of what lies in it; a code's, what it has beside that mean.
    centre = np.eye(coarse.size) - 1 / coarse.size
    effects = {
        "topic": {"topic": np.eye(len(coarse.bins)) - means @ lies_in.T},
        "topic group": {"topic group": centre, "topic": means @ centre},
    }[name]
    # Bins of equal shares, of the level that is asked for.
    own = means.mean(axis=1) if name == "topic group" else np.full(len(coarse.bins), 1 / len(coarse.bins))
    gain = gain_of(found, design_fisher(found, shares_of(layout, own)))
    learned = gain.posterior(prior @ gain.fisher, averaged_noise_stddev(found, noise_gain(found)))
    part = np.zeros((layout.width, next(iter(effects.values())).shape[1]))
    for of, block in effects.items():
        part[places[of]] = block
    kept = float(np.trace(part.T @ learned @ part) / np.trace(part.T @ prior @ part))
    assert field(found, name).kept - 0.03 < kept < field(found, name).kept + 0.25


def shares_of(layout: Layout, topic: Floats) -> Floats:
    """Give the shares of all columns where features are independent and all but ``topic`` have equal bins."""
    alone = {one.name: np.full(one.size, 1 / one.size) for one in layout.features} | {"topic": topic}
    crosses = [np.outer(*(alone[name] for name in cross.parents)).ravel() for cross in layout.crosses]
    groups = [np.bincount(coarse.bins, topic) for coarse in layout.coarse]
    return np.concatenate([[1.0], *alone.values(), *crosses, *groups, [0.0] * len(layout.values)])
