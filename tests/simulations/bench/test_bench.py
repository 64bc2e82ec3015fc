"""The benchmark's own parts: turns and ratios, a page that keeps its findings, programs that do what is claimed."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from wardround.client.train.patient_batch import pad_patients
from wardround.conf.composed import compose_study
from wardround.protocol.model.modules import build_module, to_vector
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.bench import step
from wardround.simulations.bench.__main__ import main
from wardround.simulations.bench.others import build_pfl
from wardround.simulations.bench.page import BEGIN, END, Part, shown, write_page
from wardround.simulations.bench.scaling import measure
from wardround.simulations.bench.step import ENGINES, full_cohort, opacus_step, plain_step, private_step
from wardround.simulations.bench.timing import Times, interleaved


class Clock:
    """A clock that only moves when somebody works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds


def test_contestants_take_turns_and_ratios_are_within_a_repetition():
    clock, order = Clock(), []
    contestants = {
        "slow": lambda: (order.append("slow"), clock.work(3.0)),
        "fast": lambda: (order.append("fast"), clock.work(1.0)),
    }
    times = interleaved(contestants, 3, clock=clock)
    assert order[4:] == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert times.ratio("slow", "fast") == 3.0
    assert times.median("fast") == 1.0


def test_the_ratio_is_a_median_of_ratios_not_a_ratio_of_medians():
    assert Times({"a": (1.0, 20.0, 3.0), "b": (1.0, 10.0, 1.0)}).ratio("a", "b") == 2.0


def test_a_fast_contestant_is_called_as_often_as_it_takes():
    clock, calls = Clock(), []
    interleaved({"tick": lambda: (calls.append(1), clock.work(0.25))}, 2, least_seconds=1.0, clock=clock)
    assert len(calls) == 2 + 2 * 4


def test_the_page_keeps_findings_and_what_an_earlier_run_found(tmp_path):
    first = Part("b", "Second", ("what", "seconds"), [["x", 1.5]])
    write_page([first], tmp_path, "full run")
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\nabove\n\n{BEGIN}\nold\n{END}\n\nfindings\n", encoding="utf-8")
    write_page(
        [Part("a", "First", ("what", "ratio"), [["y", 2.0]]), Part("b", "", skipped="no table")],
        tmp_path,
        "quick run",
    )
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Performance\n\nabove\n")
    assert text.endswith("\n\nfindings\n")
    assert "old" not in text
    assert text.index("(a) First") < text.index("(b) Second")
    parts = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))["parts"]
    assert parts["b"]["rows"] == [["x", 1.5]]
    assert parts["b"]["run"] == "full run"
    assert parts["a"]["run"] == "quick run"


def test_what_was_skipped_says_why(tmp_path):
    missing = tmp_path / "away.csv"
    assert main(["--only", "b,c,e", "--data", str(missing), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert text.count(f"Not run: the no-show table is not at {missing}; name it with --data PATH.") == 3


def test_an_unknown_part_is_one_line(capsys, tmp_path):
    assert main(["--only", "a,z", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "--only z: must be among a,b,c,d,e,f\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cell", "text"), [(0.12345, "0.123"), (12345.6, "12,346"), (1000, "1,000"), (None, "–")]
)
def test_cells(cell, text):
    assert shown(cell) == text


def test_an_environment_that_cannot_be_built_says_so(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    python, fault = build_pfl(tmp_path / "file" / "below")
    assert python is None
    assert "could not be built" in fault


@pytest.fixture(scope="module")
def layout():
    return compose_study("data=noshow", "data.path=none.csv").contract.layout


def test_every_patient_of_the_grid_has_all_events(layout):
    cohort = full_cohort(layout, 5, 8)
    assert cohort.events_per_patient.tolist() == [8] * 5
    assert cohort.hospital_count == 1


@pytest.mark.parametrize(
    "model", [ModelSettings(), ModelSettings(kind="mlp", hidden=(4, 3))], ids=lambda m: m.kind
)
def test_every_contestant_moves_its_weights_at_every_step(layout, model, monkeypatch):
    modules, asked, clipped = [], [], step.clipped_sums

    def build(*arguments):
        modules.append(build_module(*arguments))
        return modules[-1]

    def sums(model, layout, weights, *more):
        asked.append(weights)
        return clipped(model, layout, weights, *more)

    monkeypatch.setattr(step, "build_module", build)
    monkeypatch.setattr(step, "clipped_sums", sums)
    cohort = full_cohort(layout, 6, 2)
    batch = pad_patients(layout, cohort, torch.float32)
    contestants = [plain_step(model, layout, batch)]
    contestants += [opacus_step(model, layout, batch, engine) for engine in ENGINES]
    for module, one in zip(modules, contestants, strict=True):
        seen = [to_vector(module.parameters())]
        for _ in range(2):
            one()
            seen.append(to_vector(module.parameters()))
        assert all((before != after).any() for before, after in pairwise(seen))
    ours = private_step(model, layout, cohort)
    for _ in range(3):
        ours()
    assert all((before != after).any() for before, after in pairwise(asked))
    assert len(asked) == 3


def test_plain_loops_descend_alike():
    from wardround.simulations.bench.pooled import _matrices, _Product

    columns = np.array([[0, 2], [1, 2], [0, 1]], np.int32)
    rows, transposed = _matrices(columns, 3)
    dense = rows.to_dense()
    weights = torch.tensor([[1.0], [-2.0], [0.5]], requires_grad=True)
    (_Product.apply(rows, transposed, weights) ** 2).sum().backward()
    found = weights.grad.clone()
    weights.grad = None
    ((dense @ weights) ** 2).sum().backward()
    torch.testing.assert_close(found, weights.grad)


def test_scaling_runs_the_rounds_of_a_study():
    found = measure(3, 2, ())
    assert (found["hospitals"], found["rounds"]) == (3, 2)
    assert found["microseconds"] > 0
    assert found["peak_mb"] > 1
