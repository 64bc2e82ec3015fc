"""Advice on a contract: what noise hides is said, what it leaves is not; newton's own matrices say the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, SEX, small_contract, stream
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import newton
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.contract_advice import (
    LEAST_KEPT,
    MOST_WORDS,
    ContractAdvice,
    FieldAdvice,
    advise,
    drowned_fields,
)
from wardround.server.algorithm.field_signals import FieldSignals, field_signals
from wardround.server.algorithm.newton import (
    averaged_noise_stddev,
    design_fisher,
    gain_of,
    scaled_prior,
)
from wardround.server.algorithm.noise_choice import mean_noise_stddev
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
    return field_of(advise(found), name)


def drowns(found: Terms, name: str) -> bool:
    return drowned_fields(found)[name]


def signals(found: Terms) -> dict[str, FieldSignals]:
    """Give what advice on a study with newton's or averaged gradients rests on."""
    newtons = found.training.optimizer == "newton"
    noise = averaged_noise_stddev(found, noise_gain(found)) if newtons else mean_noise_stddev(found)
    return {one.name: one for one in field_signals(found.contract, found.model, noise, found.precondition)}


def field_of(advice: ContractAdvice, name: str) -> FieldAdvice:
    return next(one for one in advice.fields if one.name == name)


def test_what_drowns_is_said_and_what_does_not_is_not() -> None:
    assert drowns(terms(), "topic")
    assert not drowns(terms(), "sex")
    assert drowns(terms(patients=10), "sex")
    names = [one.name for one in advise(terms()).fields]
    assert names[0] == "topic", "the most hidden first"
    assert set(names) == {"age", "sex", "topic", "steps", "age × sex"}


def test_patients_epsilon_and_hospitals_turn_it() -> None:
    assert drowns(terms(), "topic")
    assert not drowns(terms(patients=9000), "topic")
    assert not drowns(terms(epsilon=10), "topic")
    assert not drowns(terms(hospitals=100), "topic")
    masked = terms(hospitals=30, simulation=True, privacy=PrivacySettings(noise="secure"))
    assert signals(masked)["topic"].stddev < 0.5 * signals(terms(hospitals=30))["topic"].stddev


PLAIN = {"training": TrainingSettings(rounds=12, optimizer="adam", learning_rate=0.1)}
"""A study whose gradients are clipped as they are."""


@pytest.mark.parametrize("changes", [{}, PLAIN], ids=["mapped", "plain"])
def test_the_rule_for_words_is_where_the_verdict_turns(changes: dict[str, Any]) -> None:
    found = terms(**changes)
    without = contract_from_mapping(small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}))
    for contract, words_of in (
        (found.contract, lambda advice: field_of(advice, "topic").affordable_words),
        (without, lambda advice: advice.affordable_words),
    ):
        affordable = words_of(advise(replace(found, contract=contract)))
        assert affordable is not None
        assert 2 < affordable < 29
        for count, hidden in ((affordable, False), (affordable + 1, True)):
            features = {**contract.to_mapping()["features"], "topic": words(count)}
            other = contract_from_mapping({**contract.to_mapping(), "features": features})
            one = signals(replace(found, contract=other))["topic"]
            assert (one.kept < LEAST_KEPT) is hidden
            assert (one.stddev > one.prior_stddev) is hidden, "without order: as the standard error says"


def test_words_are_counted_up_to_a_bound_and_down_to_none() -> None:
    assert (
        advise(terms(patients=100_000, privacy=PrivacySettings(noise="local", delta=1e-6))).affordable_words
        == MOST_WORDS
    )
    assert advise(terms(patients=10)).affordable_words == 0
    assert field(terms(patients=10), "topic").affordable_words == 0
    assert field(terms(), "age").affordable_words is None


MAPPED = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "plain"])


@MAPPED
@pytest.mark.parametrize(
    ("patients", "rate"), [(100, None), (1000, None), (10_000, None), (1000, 0.1), (10_000, 0.03)]
)
def test_newtons_own_matrices_keep_as_much(
    patients: int, rate: float | None, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The advice is on noise alone; that patients are few comes on top of it.
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    contract = contract_with(words(30))
    expected = replace(contract, label=replace(contract.label, expected_rate=rate))
    found = terms(patients, contract=expected)
    found = found if mapped else replace(found, precondition=0.0)
    assert (found.precondition > 0) is mapped
    layout, prior = found.contract.layout, scaled_prior(found.contract)
    gain = gain_of(found, design_fisher(found, even_shares(layout)))
    # Covariance of the posterior mean.
    learned = gain.posterior(prior @ gain.fisher, averaged_noise_stddev(found, noise_gain(found)))
    parts = effects(layout)

    def kept(name: str) -> float:
        part = parts[name]
        return float(np.trace(part.T @ learned @ part) / np.trace(part.T @ prior @ part))

    for name in ("topic", "steps", "age × sex"):
        assert signals(found)[name].kept == pytest.approx(kept(name), abs=0.01), name
    for name in ("age", "sex"):
        # What the cross adds to the effect of its features is left out: it makes them a little clearer.
        assert kept(name) - 0.13 < signals(found)[name].kept < kept(name) + 0.01


def even_shares(layout: Layout) -> Floats:
    return np.concatenate([[1.0], *(np.full(one.size, 1 / one.size) for one in layout.fields), [0.0]])


def test_the_method_of_plain_gradients_says_something_else_of_mapped_ones() -> None:
    found = terms(patients=100)
    plain = replace(found, precondition=0.0)
    assert signals(found)["steps"].kept > 1.5 * signals(plain)["steps"].kept
    assert signals(plain)["topic"].stddev < 0.5 * signals(found)["topic"].stddev


def test_fields_that_are_said_to_drown_do_where_the_server_reads_noisy_gradients() -> None:
    found = terms()
    layout, prior, known = found.contract.layout, scaled_prior(found.contract), preconditioner_of(found)
    assert known is not None
    noise = averaged_noise_stddev(found, noise_gain(found))
    gain = gain_of(found, design_fisher(found, even_shares(layout)))
    draws = stream("advice").gaussian(2 * 4000 * layout.width).reshape(2, 4000, layout.width)
    weights = draws[0] @ np.linalg.cholesky(prior).T
    # A hospital's map and noise, the server's undoing, and its step.
    seen = known.undo(known.apply(weights @ gain.fisher) + noise * draws[1])
    learned = gain.posterior(seen, noise)
    advice, lost = advise(found), {}
    for name, part in effects(layout).items():
        left, whole = np.square((learned - weights) @ part).mean(), np.square(weights @ part).mean()
        lost[name] = float(left / whole)
    drowned = {one.name for one in advice.fields if one.drowns}
    assert drowned == {"topic", "age × sex"}
    assert drowned == {name for name, share in lost.items() if share > 1 - LEAST_KEPT}
    for name in ("topic", "steps", "age × sex"):
        # Of 4,000 draws and chance in the patients, which the server allows for.
        assert 1 - lost[name] == pytest.approx(field_of(advice, name).kept, abs=0.03), name


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


@pytest.mark.parametrize("changes", [{}, PLAIN], ids=["mapped", "plain"])
def test_what_is_needed_is_enough_and_no_more(changes: dict[str, Any]) -> None:
    # By the rule the clip norm would change as well.
    fixed = {
        "privacy": PrivacySettings(noise="local", clip_norm=0.5),
        "contract": contract_with(words(60)),
        **changes,
    }
    advice = advise(terms(**fixed))
    needed = field_of(advice, "topic").needed
    assert needed > 1.5
    for times, hidden in ((1.02, False), (0.98, True)):
        # A study with less noise has another map.
        assert drowns(terms(round(1000 * needed * times), **fixed), "topic") is hidden
    assert field_of(advice, "sex").needed < 1


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
    assert found.fields[0].needed > 10


def tree_of(groups: int, inside: int) -> dict[str, Any]:
    """Give a hierarchical topic: groups A, B … and in each A0, A1 …"""
    letters = [chr(65 + group) for group in range(groups)]
    codes = [f"{letter}{code}" for letter in letters for code in range(inside)]
    return {"kind": "hierarchical", "column": "topic", "codes": [*letters, *codes]}


def tree_terms(groups: int, inside: int, patients: int = 1000) -> Terms:
    return terms(patients, contract=contract_with(tree_of(groups, inside)))


def test_a_tree_is_advised_level_by_level() -> None:
    found = tree_terms(4, 9)
    assert not drowns(found, "topic group")
    assert drowns(found, "topic")
    (tree,) = advise(found).trees
    assert (tree.name, tree.levels, tree.kept, tree.nodes) == ("topic", 2, 1, ("A", "B", "C", "D"))
    (all_of_it,) = advise(tree_terms(4, 9, patients=9000)).trees
    assert all_of_it.kept == 2
    (nothing,) = advise(tree_terms(4, 9, patients=50)).trees
    assert (nothing.kept, nothing.nodes) == (0, ())
    # What is advised is a contract, and nothing of it drowns.
    pruned = {**tree_of(4, 9), "codes": list(tree.nodes)}
    assert not drowns(terms(contract=contract_with(pruned)), "topic")


@MAPPED
@pytest.mark.parametrize("patients", [300, 1000, 10_000])
@pytest.mark.parametrize("name", ["topic", "topic group"])
def test_newtons_own_matrices_keep_at_least_as_much_of_each_level(
    name: str, patients: int, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    found = tree_terms(5, 6, patients)
    found = found if mapped else replace(found, precondition=0.0)
    layout, prior = found.contract.layout, scaled_prior(found.contract)
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
    assert signals(found)[name].kept - 0.03 < kept < signals(found)[name].kept + 0.25


def shares_of(layout: Layout, topic: Floats) -> Floats:
    """Give the shares of all columns where features are independent and all but ``topic`` have equal bins."""
    alone = {one.name: np.full(one.size, 1 / one.size) for one in layout.features} | {"topic": topic}
    crosses = [np.outer(*(alone[name] for name in cross.parents)).ravel() for cross in layout.crosses]
    groups = [np.bincount(coarse.bins, topic) for coarse in layout.coarse]
    return np.concatenate([[1.0], *alone.values(), *crosses, *groups, [0.0] * len(layout.values)])
