"""Decoding what an operator signed takes work and memory linear in its size, and looks at bounds first."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.bounds import (
    DELTAS,
    MOST_CROSSES,
    MOST_EVALUATIONS,
    MOST_FEATURES,
    MOST_HOSPITALS,
    MOST_LAYERS,
    MOST_STEPS,
    NOISE_MULTIPLIERS,
    SAMPLING_RATES,
)
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.signed_terms import (
    FORM,
    sign_terms,
    signed_terms_from_bytes,
    signed_terms_to_bytes,
)
from wardround.protocol.wire.signing import Purpose, new_key

KEY = new_key()
CONTRACT = small_contract()


def signed(contract: dict[str, Any] | None = None, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "study": "tea",
        "contract": contract_from_mapping({**CONTRACT, **(contract or {})}),
        "model": ModelSettings(),
        "privacy": PrivacySettings(),
        "training": TrainingSettings(public_patients={"north": 100}),
        "noise_multiplier": 20.0,
    }
    return signed_terms_to_bytes(sign_terms(Terms(**fields | changes), KEY))


def booleans(count: int) -> dict[str, Any]:
    return {f"f{i:04}": {"kind": "boolean", "column": f"c{i}"} for i in range(count)}


def features(size: int) -> bytes:
    return signed({"features": booleans(size)})


def crosses(size: int) -> bytes:
    names = sorted(booleans(60))
    pairs = [[a, b] for i, a in enumerate(names) for b in names[:i]]
    return signed({"features": booleans(60), "crosses": pairs[:size]})


def groups(size: int) -> bytes:
    return signed({"features": booleans(size), "groups": sorted(booleans(size))})


def vocabulary(size: int) -> bytes:
    words = [f"w{i}" for i in range(size)]
    return signed({"features": {"word": {"kind": "categorical", "column": "c", "vocabulary": words}}})


def codes(size: int) -> bytes:
    """A code in each of four groups in a group, one beside the other."""
    nodes = ["A", *(f"A{i}" for i in range(4)), *(f"A{i % 4}{i // 4:04}" for i in range(size))]
    return signed({"features": {"word": {"kind": "hierarchical", "column": "c", "codes": nodes}}})


def tree(size: int) -> bytes:
    words = {f"g{i}": [f"w{i}"] for i in range(size // 2)}
    return signed({"features": {"word": {"kind": "hierarchical", "column": "c", "tree": words}}})


def edges(size: int) -> bytes:
    return signed({"features": {"age": {"kind": "numeric", "column": "c", "edges": list(range(size))}}})


def hospitals(size: int) -> bytes:
    return signed(training=TrainingSettings(public_patients={f"h{i}": 10 for i in range(size)}))


def evaluations(size: int) -> bytes:
    asked = EvaluationSettings(rounds=tuple(range(1, size + 1)), noise_multiplier=1.0)
    return signed(training=TrainingSettings(rounds=size, public_patients={"north": 9}), evaluation=asked)


def calls(work: Callable[[], object]) -> int:
    """How many Python lines and C functions a piece of work takes: what a clock would say on a quiet machine."""
    count = 0

    def seen(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return seen

    sys.setprofile(seen)
    sys.settrace(seen)
    try:
        work()
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "kind", [features, crosses, groups, vocabulary, codes, tree, edges, hospitals, evaluations]
)
def test_decoding_signed_terms_takes_linear_work(kind: Callable[[int], bytes]) -> None:
    small, large = kind(400), kind(800)
    assert len(large) < 2.2 * len(small)
    signed_terms_from_bytes(small)
    assert calls(lambda: signed_terms_from_bytes(large)) <= 2.2 * calls(
        lambda: signed_terms_from_bytes(small)
    )


def resigned(change: Callable[[Any], None]) -> bytes:
    plain = json.loads(signed().split(b"\n")[1])
    change(plain)
    body = canonical_json(plain)
    return f"{FORM.format} {KEY.public} {KEY.sign(Purpose.TERMS, body).hex()}\n".encode() + body + b"\n"


BEYOND: dict[str, Callable[[Any], Any]] = {
    "features": lambda p: p["contract"].update(features=booleans(MOST_FEATURES + 1)),
    "crosses": lambda p: p["contract"].update(
        features=booleans(2), crosses=[["f0000", "f0001"]] * (MOST_CROSSES + 1)
    ),
    "rounds": lambda p: p["training"].update(rounds=10**9),
    "steps": lambda p: p["training"].update(rounds=1000, local_steps=1000),
    "public_patients": lambda p: p["training"].update(
        public_patients={f"h{i}": 1 for i in range(MOST_HOSPITALS + 1)}
    ),
    "hidden": lambda p: p.update(model={"kind": "mlp", "hidden": [1] * (MOST_LAYERS + 1)}),
    "evaluation.rounds": lambda p: p.update(
        evaluation={"rounds": list(range(1, MOST_EVALUATIONS + 2)), "noise_multiplier": 1.0}
    ),
    "twice": lambda p: p["contract"].update(
        features=booleans(2), crosses=[["f0000", "f0001"], ["f0001", "f0000"]]
    ),
    "score_bins": lambda p: p.update(
        contract={
            **p["contract"],
            "features": {
                "w": {"kind": "numeric", "column": "c", "edges": list(range(9000))},
                "age": CONTRACT["features"]["age"],
            },
            "groups": ["w"],
        },
        evaluation={"rounds": [1], "score_bins": 1000, "noise_multiplier": 1.0},
    ),
    "columns": lambda p: p["contract"].update(
        features={
            name: {"kind": "numeric", "column": name, "edges": list(range(9000))} for name in ("aa", "bb")
        },
        crosses=[["aa", "bb"]],
    ),
}


@pytest.mark.parametrize("bound", BEYOND)
def test_what_is_beyond_a_bound_is_refused_in_one_short_line(bound: str) -> None:
    payload = resigned(BEYOND[bound])
    with pytest.raises(WardroundError, match=bound) as error:
        signed_terms_from_bytes(payload)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_crosses_of_long_words_are_never_multiplied_out() -> None:
    """900 × 900 labels of 200 letters each would be 160 MB."""
    words = {
        name: {"kind": "categorical", "column": name, "vocabulary": [f"{i:0>99}" for i in range(900)]}
        for name in ("left", "right")
    }
    payload = signed({"features": words, "crosses": [["left", "right"]]})
    tracemalloc.start()
    terms = signed_terms_from_bytes(payload).terms
    assert terms.contract.layout.width == 1 + 2 * 901 + 901**2
    assert terms.contract.layout.fields[2].size == 901**2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(payload)


def test_an_unknown_key_of_a_megabyte_is_not_compared_with_the_known_ones(monkeypatch: Any) -> None:
    compared: list[str] = []
    monkeypatch.setattr(
        "wardround.protocol.text.nearest.get_close_matches", lambda key, *_, **__: compared.append(key) or []
    )
    with pytest.raises(ConfigurationError):
        contract_from_mapping({**CONTRACT, "x" * 10**6: 1})
    with pytest.raises(ConfigurationError):
        contract_from_mapping({**CONTRACT, "grups": 1})
    assert compared == ["grups"]


COUNTABLE: list[tuple[dict[str, Any], str]] = [
    ({"noise_multiplier": 1e-9}, "noise_multiplier"),
    ({"noise_multiplier": 5e-324}, "noise_multiplier"),
    ({"noise_multiplier": 1e100}, "noise_multiplier"),
    ({"privacy": PrivacySettings(clip_norm=1e-300)}, "privacy.clip_norm"),
    ({"privacy": PrivacySettings(clip_norm=1e10)}, "privacy.clip_norm"),
    ({"privacy": PrivacySettings(delta=1e-300)}, "privacy.delta"),
    ({"training": {"sampling_rate": 1e-300}}, "training.sampling_rate"),
    (
        {"evaluation": EvaluationSettings(rounds=(1,), noise_multiplier=1e-12)},
        "evaluation.noise_multiplier",
    ),
]


@pytest.mark.parametrize(("changes", "key"), COUNTABLE)
def test_numbers_that_no_accountant_or_ledger_takes_are_refused_by_name(
    changes: dict[str, Any], key: str
) -> None:
    """With such a multiplier `forecast` was a fault of the program, and the agent late for ever."""
    if "training" in changes:
        training = {"public_patients": {"north": 100}, **changes["training"]}
        changes = {"training": TrainingSettings(**training)}
    with pytest.raises(ConfigurationError, match=f"^{key}=") as caught:
        signed_terms_from_bytes(signed(**changes))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("multiplier", NOISE_MULTIPLIERS)
@pytest.mark.parametrize("rate", SAMPLING_RATES)
@pytest.mark.parametrize("steps", [1, MOST_STEPS])
@pytest.mark.parametrize("delta", [DELTAS[0], 0.99])
def test_within_the_bounds_every_cost_is_one_that_a_ledger_can_hold(
    multiplier: float, rate: float, steps: int, delta: float
) -> None:
    assert 0 <= compose_epsilon([PrivacyEvent(multiplier, rate, steps)], delta) < 1e8
