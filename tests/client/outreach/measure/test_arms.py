"""Arms are fixed by a hash of their own; capacities and draws follow the protocol's shares."""

import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from wardround.client.gate.identity import identify, tokens_of
from wardround.client.outreach.measure.arms import draw_module, drawn_arms, split_capacity, uniform

KEY = bytes(range(32))
SHARES = {"standard": 0.4, "best_single": 0.25, "personalised": 0.35}
PATIENTS = [f"p{number}" for number in range(20_000)]
EQUAL = (("a", "b", "c"), ("d", "e"))


def test_arms_have_their_shares_and_a_patient_keeps_one() -> None:
    arms = drawn_arms(PATIENTS, KEY, "spring", SHARES)
    counts = [arms.count(name) for name in SHARES]
    assert chisquare(counts, [share * len(PATIENTS) for share in SHARES.values()]).pvalue > 1e-4
    assert drawn_arms(PATIENTS[7:8], KEY, "spring", SHARES) == arms[7:8]


@pytest.mark.parametrize("other", ["held-out", "seed", "token"])
def test_arms_are_independent_of_the_gates_split(other: str) -> None:
    people = identify(pl.DataFrame({"patient": PATIENTS}), KEY)
    arms = np.array(drawn_arms(people["patient"].to_list(), KEY, "spring", SHARES))
    halves = {
        "held-out": people["heldout"].to_numpy(),
        "seed": people["seed"].to_numpy() < 2**63,
        "token": tokens_of(people["token_high"].to_numpy(), people["token_low"].to_numpy())[:, 0] < 128,
    }[other]
    table = [[int(np.sum((arms == arm) & (halves == half))) for arm in SHARES] for half in (True, False)]
    assert chi2_contingency(table).pvalue > 1e-4
    assert uniform(PATIENTS[:1], KEY, "spring")[0] != _without_a_label(PATIENTS[0])


def _without_a_label(patient: str) -> float:
    digest = hashlib.blake2b(f"spring\0{patient}".encode(), key=KEY, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def test_another_protocol_draws_anew() -> None:
    arms = [drawn_arms(PATIENTS, KEY, name, SHARES) for name in ("spring", "autumn")]
    table = [[sum(pair == (a, b) for pair in zip(*arms, strict=True)) for a in SHARES] for b in SHARES]
    assert chi2_contingency(table).pvalue > 1e-4


@given(
    capacity=st.integers(0, 10_000),
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=6),
)
def test_each_arm_has_its_share_of_a_capacity(capacity: int, weights: list[int]) -> None:
    shares = {str(place): weight / sum(weights) for place, weight in enumerate(weights)}
    parts = split_capacity(capacity, shares)
    assert sum(parts.values()) == capacity
    assert all(abs(parts[arm] - capacity * share) < 1 + 1e-6 for arm, share in shares.items())


def test_modules_are_drawn_among_equal_and_allowed_ones_alone() -> None:
    found = [
        draw_module(patient, "2026-12-01", ("a", "c", "d", "z"), "a", key=KEY, protocol="s", equivalent=EQUAL)
        for patient in PATIENTS[:4000]
    ]
    assert {draw.propensity for draw in found if draw} == {0.5}
    counts = [sum(draw is not None and draw.module == name for draw in found) for name in ("a", "c")]
    assert sum(counts) == 4000
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(
    ("allowed", "standard"), [(("a",), "a"), (("a", "d"), "a"), (("a", "b"), "z"), ((), "a")]
)
def test_where_fewer_than_two_are_equal_nothing_is_drawn(allowed: tuple[str, ...], standard: str) -> None:
    assert draw_module("p", "x", allowed, standard, key=KEY, protocol="s", equivalent=EQUAL) is None


def test_another_occasion_draws_anew_and_a_repeat_draws_the_same() -> None:
    def drawn(occasion: str) -> list[object]:
        return [
            draw_module(patient, occasion, ("d", "e"), "e", key=KEY, protocol="s", equivalent=EQUAL)
            for patient in PATIENTS[:200]
        ]

    assert drawn("monday") == drawn("monday")
    same = sum(one == other for one, other in zip(drawn("monday"), drawn("tuesday"), strict=True))
    assert 60 < same < 140
