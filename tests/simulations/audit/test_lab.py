"""docs/lab/audit.md: what its figures make, and figures that keep what the page says of them."""

import json
from typing import Any

import pytest

from tests.builders import ROOT
from wardround.simulations.audit.__main__ import cases
from wardround.simulations.audit.lab import render_lab

LAB = ROOT / "docs" / "lab"


@pytest.fixture(scope="module")
def figures() -> list[dict[str, Any]]:
    found = json.loads((LAB / "audit.json").read_text(encoding="utf-8"))
    assert isinstance(found, list)
    return found


def test_the_page_is_what_its_figures_make(figures: list[dict[str, Any]]) -> None:
    assert (LAB / "audit.md").read_text(encoding="utf-8") == render_lab(figures)


def test_the_figures_are_of_the_cases_and_runs_that_the_page_names(figures: list[dict[str, Any]]) -> None:
    assert [(one["case"], one["overrides"]) for one in figures] == [
        (case.title, list(case.overrides)) for case in cases()
    ]
    assert {
        (one["runs"], one["noise"], one["rounds"], one["delta"], one["confidence"]) for one in figures
    } == {
        (4000, "local", 40, 1e-5, 0.95),
        (4000, "secure", 2, 1e-5, 0.95),
    }


def test_bounds_are_under_what_is_stated_and_near_it_and_broken_code_is_caught(
    figures: list[dict[str, Any]],
) -> None:
    for one, least in zip(figures, 2 * (0.5, 3.2, 6.8), strict=True):
        stage = {"local": "releases", "secure": "sums"}[one["noise"]]
        (found,) = (each for each in one["findings"] if each["stage"] == stage and not each["mutation"])
        assert least <= found["epsilon_at_least"] <= found["stated_epsilon"]
    every = [found for one in figures for found in one["findings"]]
    assert {found["mutation"] for found in every if found["mutation"] and found["refuted"]} == {
        "clip", "patients", "noise_halved", "noise_left_out"
    }  # fmt: skip
    # At 95 % one true statement in twenty is refuted: more than two of fifteen once in 25 such pages.
    as_it_is = [found for found in every if not found["mutation"]]
    assert len(as_it_is) == 15
    assert sum(found["refuted"] for found in as_it_is) <= 2
