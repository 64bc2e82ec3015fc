"""One pass for everybody: how much is computed does not depend on what a patient's values are."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import LAYOUT, ROOT
from tests.client.hostile_weights import KINDS, aimed_weights
from tests.client.second_pass import second_pass
from wardround.client.cohort import Cohort
from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.moments import moment_sums
from wardround.client.train.one_pass import blank, no_denormals
from wardround.client.train.update import clipped_sums
from wardround.protocol.model.model import parameter_count
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

DAY, LAST, COLUMN = 2, 4, 9  # the last day: 3 + 2 columns of the others, then the fifth
MODELS = [
    ModelSettings(),
    ModelSettings(kind="wide_deep", hidden=(8,)),
    ModelSettings(kind="mlp", hidden=(8,)),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
OURS = tuple(str(ROOT / name) for name in ("client", "protocol", "tests/client/second_pass"))
PATIENT = 7


class Work:
    """Counts what our own code does: bytecodes by place, and numbers in the arrays that each function leaves."""

    def __init__(self):
        self.done: Counter = Counter()

    def __enter__(self):
        sys.settrace(self._called)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _called(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._went_on

    def _went_on(self, frame, event, argument):
        where = (frame.f_code.co_filename, frame.f_code.co_name)
        if event == "opcode":
            self.done[*where, frame.f_lasti] += 1
        elif event == "return":
            arrays = [one for one in frame.f_locals.values() if isinstance(one, np.ndarray)]
            self.done[*where, "numbers"] += sum(one.size for one in arrays)
        return self._went_on


def tables() -> dict[str, Cohort]:
    """The same hospital with a patient of the aimed-at kind, with another in that one's place, and without."""
    cohort = random_cohort(LAYOUT, (40,), 4, Keystream(derive_key("one pass")))
    bins = cohort.bins.copy()
    bins[:, DAY] = np.minimum(bins[:, DAY], LAST - 1)
    other = replace(cohort, bins=bins)
    own = slice(*cohort.events_from[PATIENT : PATIENT + 2])
    bins = bins.copy()
    bins[own, DAY] = LAST
    without = other.take(np.delete(np.arange(other.patient_count), PATIENT))
    return {"with": replace(cohort, bins=bins), "another": other, "without": without}


def works(model, rounds) -> dict[str, list[Counter]]:
    """The work of each round on each table, the design prepared before."""
    found = {}
    for name, cohort in tables().items():
        found[name] = []
        for number in range(-1, rounds):
            weights = aimed_weights(model, LAYOUT, COLUMN, KINDS[number % 2], max(number, 0))
            with Work() as work:
                clipped_sums(model, LAYOUT, weights[np.newaxis].astype(np.float64), cohort, 0.5)
                if model.kind == "additive":
                    moment_sums(model, LAYOUT, cohort, 0.5)
            found[name].append(work.done)
        del found[name][0]
    return found


def places(work: Counter) -> Counter:
    """The bytecodes alone: a table without a patient has that one's rows less, and no other pass."""
    return Counter({place: count for place, count in work.items() if place[-1] != "numbers"})


def check_equal(model, rounds):
    found = works(model, rounds)
    assert sum(found["with"][0].values()) > 1000
    assert found["with"] == found["another"]
    assert list(map(places, found["with"])) == list(map(places, found["without"]))
    assert all(work == found["with"][0] for work in found["with"])  # nor do the weights decide


@each_model
def test_work_is_the_same_with_and_without_the_aimed_at_patient(model):
    check_equal(model, 4)


@pytest.mark.slow
@each_model
def test_work_is_the_same_with_and_without_the_aimed_at_patient_over_two_hundred_rounds(model):
    check_equal(model, 200)


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.kind)
def test_the_second_pass_of_0_1_0_shows_in_the_count(model, monkeypatch):
    monkeypatch.setattr("wardround.client.train.update.clipped_sum_dense", second_pass)
    with pytest.raises(AssertionError):
        check_equal(model, 2)


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.kind)
def test_the_aimed_at_patient_adds_zero_and_the_others_what_they_did(model):
    found = {}
    for name, cohort in tables().items():
        weights = aimed_weights(model, LAYOUT, COLUMN, "not finite")[np.newaxis].astype(np.float64)
        found[name] = clipped_sums(model, LAYOUT, weights, cohort, 0.5)
    assert np.isfinite(found["with"]).all()
    np.testing.assert_allclose(found["with"], found["without"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.kind)
def test_where_all_is_finite_the_sum_is_bit_for_bit_that_of_0_1_0(model, monkeypatch):
    cohort = random_cohort(LAYOUT, (30, 0, 20), 4, Keystream(derive_key("benign")))
    weights = Keystream(derive_key("benign weights")).gaussian(parameter_count(model, LAYOUT))[np.newaxis]
    ours = clipped_sums(model, LAYOUT, weights, cohort, 0.5)
    monkeypatch.setattr("wardround.client.train.update.clipped_sum_dense", second_pass)
    np.testing.assert_array_equal(ours, clipped_sums(model, LAYOUT, weights, cohort, 0.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_rows_that_are_not_kept_become_zero_whatever_they_hold_and_others_stay(dtype, shape):
    rows = np.full(shape, -1.5, dtype)
    rows[1], rows[2], rows[4] = np.nan, -np.inf, np.finfo(dtype).max
    kept = np.array([True, False, False, True, True, False])
    expected = [row if keep else np.zeros_like(row) for row, keep in zip(rows.copy(), kept, strict=True)]
    blank(rows, kept)
    np.testing.assert_array_equal(rows, expected)
    assert not np.signbit(rows[~kept]).any()


def test_denormal_numbers_are_zero_within_and_only_within():
    tiny, one = np.full(100, 1e-40, np.float32), np.ones(100, np.float32)
    assert (tiny * one == tiny).all()
    with no_denormals():
        assert not (tiny * one).view(np.int32).any()
        assert not (np.full(100, 1e-310) * np.ones(100)).view(np.int64).any()
    assert (tiny * one).view(np.int32).all()


def test_a_real_round_computes_without_denormals(approved, monkeypatch):
    import wardround.client.round.participate

    seen = []
    tiny = np.full(8, 1e-40, np.float32)

    def update(*arguments, **settings):
        seen.append((tiny * np.float32(1)).view(np.int32).any())
        return np.zeros((1, 15))

    monkeypatch.setattr(wardround.client.round.participate, "private_update", update)
    approved.released(1)
    assert seen == [False]
    assert (tiny * np.float32(1)).view(np.int32).all()


def test_an_agents_process_computes_in_one_thread():
    program = """
import os, sys
import wardround.client.main
assert "numpy" not in sys.modules
wardround.client.main._compute_in_one_thread(wardround.client.main.parser().parse_args(["agent"]))
print(os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"])
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]
