"""The zoo's command: what may not be looked at is not, what was is written down, and rows say what cells hold."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer

from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods import __main__ as command
from wardround.simulations.methods import opacus_fedavg, runner
from wardround.simulations.methods.cases import Case
from wardround.simulations.methods.column import REFERENCES, Cell, Column, settings_of
from wardround.simulations.methods.opacus_fedavg import OpacusSettings, Site, train_with
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.store import append_record, cell_key
from wardround.simulations.methods.zoo_page import differences, interval, ratio_error, write_page
from wardround.simulations.population import zoo_design
from wardround.simulations.population.zoo_design import BY_NAME, ZOO


def case_of(name: str) -> Case:
    return Case(name=name, title=name, seeds=(1,), zoo=name, delta=1e-5)


@pytest.fixture(scope="module")
def federation() -> Federation:
    """The smallest federation for choosing that has several hospitals with a batch of patients each."""
    return Column(case_of("zoo_02"), 1).federation


def folders(tmp_path: Path) -> list[str]:
    return [
        "--store",
        str(tmp_path),
        "--out",
        str(tmp_path),
        "--looks",
        str(tmp_path / "looks.md"),
        "--workers",
        "1",
    ]


def test_what_is_not_for_choosing_is_refused_without_a_reason_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = [one for one in ZOO if one.part != "choosing"]
    assert len(hidden) == 24
    asked = [["--only", one.name, *part] for one in hidden for part in ([], ["--part", one.part])]
    for arguments in (*asked, ["--part", "untouched"], ["--part", "fresh"]):
        assert command.main(["zoo", *arguments, *folders(tmp_path)]) == 2
        assert "--look WHY" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_a_reason_only_the_half_for_choosing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Case] = []
    monkeypatch.setattr(runner, "run_tasks", lambda tasks, *_: seen.extend(t.case for t in tasks) or [])
    for more, personal in (([], (1.0,)), (["--no-personal"], ())):
        assert command.main(["zoo", "--seeds", "1", *more, *folders(tmp_path)]) == 0
        assert sorted(one.zoo for one in seen) == [one.name for one in ZOO if one.part == "choosing"]
        # The smallest first: a run that is stopped has whole federations.
        sizes = [
            BY_NAME[one.zoo].patients * BY_NAME[one.zoo].events * BY_NAME[one.zoo].fields for one in seen
        ]
        assert sizes == sorted(sizes)
        assert {one.personal for one in seen} == {personal}
        seen.clear()
    assert not (tmp_path / "looks.md").exists()


def test_without_references_only_private_methods_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Task] = []
    monkeypatch.setattr(runner, "run_tasks", lambda tasks, *_: seen.extend(tasks) or [])
    asked = ["zoo", "--only", "zoo_02", "--methods", "rounds_40", "--seeds", "1", *folders(tmp_path)]
    for more, references in (([], [REFERENCES]), (["--no-references"], [])):
        assert command.main([*asked, *more]) == 0
        assert [cell.method for cell in seen.pop().cells] == [*references, "default", "rounds_40"]


def test_a_look_stands_in_the_book_before_anything_runs_and_the_next_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []

    def killed(tasks: Sequence[Task], *_: object) -> list[str]:
        found.append((tmp_path / "looks.md").read_text(encoding="utf-8"))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_tasks", killed)
    for why in ("first | look\nat it", "second"):
        with pytest.raises(KeyboardInterrupt):
            command.main(
                ["zoo", "--look", why, "--only", "zoo_20", "--methods", "boosting", *folders(tmp_path)]
            )
    lines = found[1].splitlines()
    assert "| zoo_20 | default, boosting | first / look at it |" in lines[-2]
    assert lines[-1].endswith("| second |")


@pytest.mark.parametrize(
    ("name", "part"), [("zoo_13", []), ("zoo_13", ["--part", "untouched"]), ("zoo_25", ["--part", "fresh"])]
)
def test_a_page_of_what_is_not_for_choosing_is_a_look_as_well(
    name: str, part: list[str], tmp_path: Path
) -> None:
    arguments = ["zoo", "--page-only", "--look", "only reading", "--only", name, *part, *folders(tmp_path)]
    assert command.main(arguments) == 0
    assert f"| {name} | default | only reading |" in (tmp_path / "looks.md").read_text(encoding="utf-8")
    page = tmp_path / f"zoo-{BY_NAME[name].part}.md"
    assert f"| {name} |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--only", "zoo_99"],
        ["--part", "best"],
        ["--methods", "magic"],
        ["--noises", "loud"],
        ["--epsilons", "2"],
    ],
)
def test_what_does_not_exist_is_named(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["zoo", *wrong, *folders(tmp_path)]) == 2
    assert f"{wrong[0]} {wrong[1]}" in capsys.readouterr().err


def test_a_cells_key_knows_its_federation_and_the_contract_of_it() -> None:
    cell = Cell(REFERENCES)
    keys = set()
    for case in (case_of("zoo_01"), case_of("zoo_02"), replace(case_of("zoo_01"), zoo="zoo_03")):
        settings = settings_of(case, 1, cell)
        assert settings.contract.name == case.zoo
        keys.add(cell_key(case, settings, cell, "code", ""))
    assert len(keys) == 3
    # Of another row under the same name the contract is another: so is the key, by the code's digest at least.
    assert settings_of(case_of("zoo_01"), 1, Cell("default", "local", 1.0)).contract.name == "zoo_01"


def test_a_federation_of_the_zoo_is_run_and_found_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(BY_NAME["zoo_02"], patients=300, hospitals=3, fields=6, events=2.0)
    monkeypatch.setitem(zoo_design.BY_NAME, "zoo_02", small)
    cells = (Cell(REFERENCES), Cell("default", "local", 1.0))
    task = Task(replace(case_of("zoo_02"), personal=(1.0,)), 1, cells, "code", "", tmp_path)
    assert runner.run_task(task) == 2
    assert runner.run_task(task) == 0
    references, default = task.records()
    assert references["best_possible"]["auc"] > 0.5  # type: ignore[index]
    assert default["verified_epsilon"] <= 1.0  # type: ignore[operator]
    write_page([task], [small], "choosing", tmp_path / "page.md")
    assert "| zoo_02 |" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_one_step_is_that_of_opacus(federation: Federation) -> None:
    layout, cohort = federation.contract.layout, federation.training.hospital(0)
    site = Site.of(layout, cohort, 64, 64)
    drawn = np.arange(0, min(40, cohort.patient_count), 2)
    weights = np.random.default_rng(0).normal(scale=0.1, size=layout.width)
    most = int(cohort.events_per_patient[drawn].max())
    events, mask = np.zeros((len(drawn), most, layout.width)), np.zeros((len(drawn), most))
    labels = np.zeros((len(drawn), most))
    for row, patient in enumerate(drawn):
        own = slice(site.events_from[patient], site.events_from[patient + 1])
        count = own.stop - own.start
        events[row, :count], mask[row, :count] = site.design[own].toarray(), 1 / count
        labels[row, :count] = site.labels[own]
    linear = torch.nn.Linear(layout.width, 1, bias=False, dtype=torch.float64)
    linear.weight.data = torch.from_numpy(weights[None].copy())
    module = GradSampleModule(linear, loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.5), noise_multiplier=0.0, max_grad_norm=0.4,
        expected_batch_size=64, loss_reduction="mean",
    )  # fmt: skip
    logits = module(torch.from_numpy(events).requires_grad_()).squeeze(-1)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(labels), reduction="none"
    )
    (losses * torch.from_numpy(mask)).sum().backward()
    optimizer.step()
    expected = linear.weight.detach().numpy()[0]
    ours = weights - 0.5 / 64 * site.clipped_sum(weights, drawn, 0.4)
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    assert np.abs(ours - weights).max() > 1e-4
    assert np.linalg.norm(site.clipped_sum(weights, drawn[:1], 0.01)) <= 0.01 * (1 + 1e-9)
    assert not site.clipped_sum(weights, drawn[:0], 0.4).any()


def test_every_hospital_of_dp_fedavg_pays_at_most_the_target(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    privacy = PrivacySettings(epsilon=1.0, delta=1e-5, noise="local")
    costs = []
    real = opacus_fedavg._cost
    monkeypatch.setattr(opacus_fedavg, "_cost", lambda *given: costs.append(real(*given)) or costs[-1])
    found = train_with(OpacusSettings(rounds=2, batch=32), federation, privacy, seed=1)
    spent = [compose_epsilon([cost], 1e-5) for cost in costs]
    assert len(costs) == len(federation.hospitals)
    assert {cost.sampling_rate * cost.count for cost in costs} == {2.0}  # an epoch a round
    assert 0.99 < max(spent) <= 1.0
    assert found.epsilon(1e-5) == max(spent)
    again = train_with(OpacusSettings(rounds=2, batch=32), federation, privacy, seed=1)
    np.testing.assert_array_equal(found.logits, again.logits)


def test_differences_are_of_one_split_and_intervals_are_students() -> None:
    aucs = {
        ("a", "zoo_01", 1): 0.7,
        ("b", "zoo_01", 1): 0.6,
        ("a", "zoo_01", 2): 0.9,
        ("a", "zoo_02", 1): 0.1,
    }
    assert differences(aucs, "a", "b", "zoo_01") == pytest.approx([0.1])
    assert interval([0.1, 0.2, 0.3]) == pytest.approx((0.2, 4.3027 * 0.1 / math.sqrt(3)), rel=1e-4)
    assert interval([0.1]) == (0.1, math.inf)
    assert math.isnan(interval([])[0])


def test_the_error_of_a_ratio_of_means_is_that_of_repeated_draws() -> None:
    drawn = np.random.default_rng(3).normal((2.0, 3.0), (0.4, 0.3), size=(400, 30, 2))
    ratios = drawn[..., 0].mean(axis=1) / drawn[..., 1].mean(axis=1)
    stated = [ratio_error(*map(list, pairs.T)) for pairs in drawn]
    assert np.mean(stated) == pytest.approx(np.std(ratios), rel=0.1)
    assert ratio_error([1.0, 2.0], [2.0, 4.0]) == 0


def test_the_page_gives_the_reduced_gap_its_error_and_the_worst_federation(tmp_path: Path) -> None:
    gaps = {"zoo_25": (0.02, 0.04), "zoo_26": (0.05, 0.04), "zoo_27": (0.01, 0.04)}
    cells, tasks = (Cell(REFERENCES), Cell("default", "local", 1.0)), []
    for name, (own, older) in gaps.items():
        task = Task(case_of(name), 1, cells, "code", "", tmp_path)
        about = {"case": name, "seed": 1, "noise": "local", "epsilon": 1.0, "cpu_seconds": 1.0}
        bar = {"pooled_boosting": {"auc": 0.8}}
        append_record(task.path, {**about, "key": task.key(cells[0]), "method": REFERENCES, **bar})
        append_record(task.path, {**about, "key": task.key(cells[1]), "method": "default", "auc": 0.8 - own})
        older_path = tmp_path / f"{name}-1-0.1.0.jsonl"
        append_record(older_path, {**about, "key": "0.1.0", "method": "release_0_1_0", "auc": 0.8 - older})
        tasks.append(task)
    write_page(tasks, [BY_NAME[name] for name in gaps], "fresh", tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text(encoding="utf-8").split())
    error = 100 * math.sqrt(2 / 3 * sum((x - 8 / 12) ** 2 for x in (6 / 8, 3 / 8, 7 / 8)))
    assert f"0.0267, of release 0.1.0 0.0400; reduced by 33 % (standard error {error:.0f})" in text
    assert "minus 0.1.0 is least on zoo_26: −0.0100." in text
    assert "twelve fresh federations" in text
    assert 'methods zoo --look "WHY" --part fresh ```' in text
    assert "personalised" not in text


def test_the_page_says_who_is_ahead_and_by_more_than_its_interval(tmp_path: Path) -> None:
    cells = (Cell(REFERENCES), Cell("default", "local", 1.0), Cell("boosting", "local", 1.0))
    tasks = [Task(case_of("zoo_01"), seed, cells, "code", "", tmp_path) for seed in (1, 2, 3)]
    for index, task in enumerate(tasks):
        for cell, auc in zip(cells, (0.8, 0.78, 0.7 + 0.001 * index), strict=True):
            about = {
                "key": task.key(cell),
                "case": "zoo_01",
                "seed": task.seed,
                "cpu_seconds": 1.0,
                "method": cell.method,
            }
            figure = {"pooled_boosting": {"auc": auc}} if cell.method == REFERENCES else {"auc": auc}
            append_record(task.path, {**about, "noise": cell.noise, "epsilon": cell.epsilon, **figure})
    write_page(tasks, [BY_NAME["zoo_01"]], "choosing", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| zoo_01 | – | 0.8000 | −0.0200 ±0.0000 | −0.0990 ±0.0025 |" in text
    assert "| boosting | +0.0790 | 1 | 1 | 1 | 0 |" in text
    assert "methods zoo --methods boosting\n" in text


def test_the_page_holds_the_default_against_forty_rounds_without_a_bar(tmp_path: Path) -> None:
    cells = (Cell("default", "local", 1.0), Cell("rounds_40", "local", 1.0))
    tasks = [Task(case_of("zoo_16"), seed, cells, "code", "", tmp_path) for seed in (1, 2)]
    for index, task in enumerate(tasks):
        for cell, auc in zip(cells, (0.75, 0.76 - 0.02 * index), strict=True):
            about = {
                "key": task.key(cell),
                "case": "zoo_16",
                "seed": task.seed,
                "cpu_seconds": 1.0,
                "auc": auc,
            }
            append_record(
                task.path, {**about, "method": cell.method, "noise": cell.noise, "epsilon": cell.epsilon}
            )
    write_page(tasks, [BY_NAME["zoo_16"]], "untouched", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    # 12.7062: Student's t of one degree of freedom, times half the distance of the two differences.
    assert f"| zoo_16 | – | – | – | – | +0.0000 ±{12.7062 * 0.01:.4f} |" in text
    assert "pooled boosting over" not in text
    assert 'methods zoo --look "WHY" --no-references --methods rounds_40\n' in text
    assert "0.1.0" not in text
