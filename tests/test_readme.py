"""Figures in README and guides are those that programs found: nobody copies one by hand and forgets it."""

import json
import re
from pathlib import Path

import pytest

from wardround.protocol.terms.settings import TrainingSettings
from wardround.server.algorithm.noise_schedule import round_weights, weighted_multipliers

ROOT = Path(__file__).parent.parent
LONGEST = 140  # lines: a page that is read to its end
DELTA = 1e-5


def table_rows(page: str, first: str) -> list[list[str]]:
    """Give the cells of the rows below the table's head, which begins with ``first``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    table = text[text.index(first) :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def rounded(mean: float, sd: float) -> str:
    return f"{mean:.3f} ± {sd:.3f}"


def measured(method: str, noise: str) -> str:
    """Give a private method's AUC on no-show at ε = 1, as the benchmark wrote it."""
    results = json.loads((ROOT / "docs/lab/results.json").read_text(encoding="utf-8"))
    asked = ("noshow", method, noise, 1.0)
    (one,) = [row for row in results if (row["data"], row["method"], row["noise"], row["epsilon"]) == asked]
    return rounded(one["auc_mean"], one["auc_sd"])


def without_privacy(method: str) -> str:
    """Give the AUC on no-show of a method without privacy, from the benchmark's page."""
    page = (ROOT / "docs/lab/results.md").read_text(encoding="utf-8")
    section = page.partition("\n## No-show")[2].partition("\n## ")[0]
    mean, sd = re.findall(rf"^\| {method} \| ([\d.]+) ±([\d.]+) \|", section, re.MULTILINE)[0]
    return rounded(float(mean), float(sd))


def test_readme_has_the_figures_that_the_benchmark_wrote() -> None:
    printed = [row[-1] for row in table_rows("README.md", "| | privacy | AUC |")]
    assert printed[:-1] == [  # the last row is of the command's own comparison: tests/api/test_study.py
        without_privacy("pooled boosting"),
        without_privacy("pooled"),
        measured("default", "secure"),
        measured("personalised", "secure"),
        measured("default", "local"),
        measured("personalised", "local"),
    ]


@pytest.mark.parametrize("row", table_rows("docs/operator.md", "| patient ε | σ"), ids=lambda row: row[0])
def test_the_guide_has_the_noise_that_the_accountant_finds(row: list[str]) -> None:
    epsilon = float(row[0])
    weights = round_weights(TrainingSettings(rounds=12, optimizer="newton", moment_rounds=1), 0)
    each = weighted_multipliers(weights, epsilon, DELTA)
    equal = [weighted_multipliers([1.0] * rounds, epsilon, DELTA)[0] for rounds in (12, 40)]
    assert row[1:] == [f"{each[-1]:.2f} to {each[1]:.2f}", *(f"{one:.2f}" for one in equal)]
    assert (each[-1], each[1]) == (min(each), max(each))


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST
