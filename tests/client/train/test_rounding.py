"""What floating point may lose: norms for every width, sums for every order, and a row that is its own alone."""

import math
from fractions import Fraction

import numpy as np
import pytest

from wardround.client.cohort import Cohort
from wardround.client.train import clipped_sum_additive, clipped_sum_dense
from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.clipped_sum_additive import clipped_row_sums
from wardround.client.train.prepared import Prepared, cached_parts
from wardround.client.train.rounding import add_part, norm_allowance, safe_norms
from wardround.client.train.update import clipped_sums
from wardround.protocol.contract.layout import Field, Layout
from wardround.protocol.model.model import initial_weights, named_parameters, parameter_count, predict_logits
from wardround.protocol.privacy.mechanism import (
    MOST_CANCELLATION,
    MOST_PATIENTS,
    ORDER_ALLOWANCE,
    TERMS_AT_ONCE,
    ordered_clip_norm,
)
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

HALVES = Layout(tuple(Field(name, ("only",)) for name in "abc"), (), ())
"""Rows of four entries of one half: norm 1, and products with powers of two that are exact."""
ADDITIVE = ModelSettings()
WIDEST = 65_536


def stream(*parts: str | int) -> Keystream:
    return Keystream(derive_key("rounding", *parts))


def part_of(patients: int, events: int = 1) -> Prepared:
    cohort = random_cohort(HALVES, (patients,), 1, stream("halves"))
    if events > 1:
        chosen = np.repeat(np.arange(patients), events)
        cohort = Cohort(**{**vars(cohort), "bins": cohort.bins[chosen], "values": cohort.values[chosen],
                           "labels": cohort.labels[chosen], "rows": np.arange(len(chosen)),
                           "known": cohort.known[chosen],
                           "events_from": np.arange(patients + 1) * events})  # fmt: skip
    (part,) = cached_parts(ADDITIVE, HALVES, cohort)
    return part


def two_tables() -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of two tables that differ by their first patient, who lifts the running sum over a power of two.

    There the others' parts are rounded otherwise: 65,536 pairs move the sum without the first patient, and not with.
    """
    ordinary, pairs, half_ulp = np.full(4095, 0.5), 1 << 16, 2.0**-42
    moving = np.tile([-(0.25 + half_ulp), 0.25], pairs)
    without = np.concatenate([ordinary, moving])
    return without, np.concatenate([[1 - 2.0**-29], without])


def test_the_order_of_additions_moves_a_plain_sum_by_more_than_the_clip_norm_and_ours_by_less() -> None:
    without, with_one = two_tables()
    blocks = [part_of(len(table)).linear for table in (without, with_one)]
    plain = [
        rows.block.T @ table
        for rows, table in zip(blocks, (without, with_one), strict=True)
        if rows is not None
    ]
    # What 0.1.0 released, and charged as if a patient moved it by at most 1.
    assert np.linalg.norm(plain[1] - plain[0]) > 1 + 1e-9
    ours = [clipped_row_sums(part_of(len(t)), t, ordered_clip_norm(1.0))[0] for t in (without, with_one)]
    assert np.linalg.norm(ours[1] - ours[0]) <= 1
    assert np.linalg.norm(ours[1] - ours[0]) > 1 - 1e-3  # the bound is not slack either


def test_the_allowance_for_the_order_covers_the_worst_case_in_exact_arithmetic() -> None:
    unit = Fraction(1, 2**53)
    terms = max(TERMS_AT_ONCE, 10_000) + 2  # a part is so many events, or those of one patient
    gamma = terms * unit / (1 - terms * unit)
    once = (gamma + 3 * unit) * MOST_PATIENTS * Fraction(MOST_CANCELLATION) * Fraction(101, 100)
    assert 2 * once <= Fraction(ORDER_ALLOWANCE)
    assert Fraction(ordered_clip_norm(1.0)) * (1 + 2 * once) <= 1
    assert ORDER_ALLOWANCE == 2.0**-11


def test_sums_of_parts_are_as_good_as_one_addition_however_many_parts() -> None:
    parts = stream("parts").gaussian(100_000) * 10 ** (16 * stream("size").uniform(100_000) - 8)
    sums, lost = np.zeros(1), np.zeros(1)
    for part in parts:
        add_part(sums, lost, np.array([part]))
    exact = math.fsum(parts)
    assert abs(sums[0] + lost[0] - exact) <= 2.0**-52 * abs(exact) + 2.0**-80 * np.abs(parts).sum()
    assert sums[0] != exact  # a plain sum is not


def test_a_patient_whose_events_cancel_adds_up_to_at_most_sixteen_clip_norms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    inner = clipped_sum_additive._row_sums
    monkeypatch.setattr(
        clipped_sum_additive,
        "_row_sums",
        lambda part, rows, c: seen.append(np.abs(c)) or inner(part, rows, c),
    )
    part = part_of(3, events=2)
    clipped_row_sums(part, np.array([1e9, -1e9, 3.0, -1.0, 5.0, 5.0]), 0.5)
    by_patient = seen[0].reshape(3, 2).sum(axis=1)  # each row has norm 1
    assert (by_patient <= 16 * 0.5 * (1 + 1e-12)).all()
    assert by_patient[0] > 7.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_allowance_of_a_norm_grows_with_its_terms(dtype: type) -> None:
    few, many = (float(norm_allowance(terms, dtype)) for terms in (100, WIDEST))
    assert many > 600 * few
    assert norm_allowance(1e20, dtype) == math.inf
    assert safe_norms(np.zeros(1), np.ones(1), norm_allowance(1e20, dtype)) == math.inf  # clipped to nothing


def widest_study() -> tuple[ModelSettings, np.ndarray, Cohort]:
    """A layer of 65,536: a few output weights are large, and each of the others squared is lost beside them."""
    model = ModelSettings(kind="mlp", hidden=(WIDEST,))
    weights = np.zeros((1, parameter_count(model, HALVES)))
    output = named_parameters(model, HALVES, weights)["output.weight"]
    output[0] = 1024 * 0.99 * 2.0**-12
    output[0].reshape(-1, 8192)[:, :4] = 1024  # NumPy sums blocks of so many, four lanes and more at a time
    return model, weights, random_cohort(HALVES, (1,), 1, stream("widest"))


def test_a_layer_of_65536_keeps_the_clip_norm_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights, cohort = widest_study()
    sums = clipped_sums(model, HALVES, weights, cohort, 0.5)[0]
    norm = math.sqrt(math.fsum(float(value) ** 2 for value in sums))
    assert 0.49 < norm <= 0.5
    monkeypatch.setattr(clipped_sum_dense, "_allowance", lambda *_: 1e-5)  # that of 0.1.0, for every width
    sums = clipped_sums(model, HALVES, weights, cohort, 0.5)[0]
    assert math.sqrt(math.fsum(float(value) ** 2 for value in sums)) > 0.5


@pytest.mark.parametrize("hidden", [(32,), (24, 16), (65, 7, 3)])
@pytest.mark.parametrize("kind", ["mlp", "wide_deep"])
def test_what_a_patient_adds_is_bit_for_bit_the_same_whoever_else_is_there(
    kind: str, hidden: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout((Field("a", tuple("abc")), Field("b", tuple("abcdefg"))), (), ("v",))
    model = ModelSettings(kind=kind, hidden=hidden)
    weights = 3 * initial_weights(model, layout)[np.newaxis] + stream("w").gaussian(
        parameter_count(model, layout)
    )
    seen: list[tuple] = []
    inner = clipped_sum_dense.clipped_layer_sums

    def note(*arguments: object) -> object:
        *_, activations, deltas, gradients = arguments
        seen.append((*activations, *deltas, gradients[:, np.newaxis]))  # type: ignore[misc, call-overload, index]
        return inner(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(clipped_sum_dense, "clipped_layer_sums", note)
    everyone = random_cohort(layout, (60,), 5, stream("everyone"))
    clipped_sums(model, layout, weights, everyone, 0.01)
    for who in (0, 1, 30, 59):
        rest = everyone.take(np.delete(np.arange(60), who))
        clipped_sums(model, layout, weights, rest, 0.01)
        kept = everyone.patient_of_event != who
        for whole, fewer in zip(seen[0], seen[-1], strict=True):
            np.testing.assert_array_equal(whole[kept], fewer)


def test_hostile_weights_cannot_blow_rounding_up_to_other_patients_gradients() -> None:
    """Weights whose sum is exactly zero leave a logit of nothing but rounding, times 1e12: its sign is a gradient."""
    layout = Layout((Field("a", tuple("abc")), Field("b", tuple("abcdefg"))), (), ("v",))
    model = ModelSettings(kind="mlp", hidden=(32,))
    weights = np.zeros((1, parameter_count(model, layout)))
    named = named_parameters(model, layout, weights)
    named["hidden0.weight"][0] = stream("same").gaussian(layout.main_width)[:, np.newaxis]  # 32 units alike
    half = stream("out").gaussian(16)
    named["output.weight"][0] = 1e12 * np.concatenate([half, -half[::-1]]).astype(np.float32)
    everyone = random_cohort(layout, (60,), 1, stream("everyone"))
    whole = clipped_sums(model, layout, weights, everyone, 0.01)
    moved = [
        np.linalg.norm(
            whole - clipped_sums(model, layout, weights, everyone.take(np.delete(np.arange(60), who)), 0.01)
        )
        for who in range(60)
    ]
    assert max(moved) <= 0.01 * (1 + 1e-9)


@pytest.mark.parametrize("hidden", [(32,), (24, 16), (65, 7, 3)])
def test_a_score_is_bit_for_bit_the_same_whoever_else_is_scored(hidden: tuple[int, ...]) -> None:
    layout = Layout((Field("a", tuple("abc")), Field("b", tuple("abcdefg"))), (), ("v",))
    model = ModelSettings(kind="wide_deep", hidden=hidden)
    weights = stream("w").gaussian(parameter_count(model, layout))
    everyone = random_cohort(layout, (90,), 4, stream("everyone"))
    whole = predict_logits(model, layout, weights, everyone)
    for who in (0, 1, 45, 89):
        rest = everyone.take(np.delete(np.arange(90), who))
        kept = everyone.patient_of_event != who
        np.testing.assert_array_equal(whole[kept], predict_logits(model, layout, weights, rest))
