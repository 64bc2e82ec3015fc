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
    assert {(one["runs"], one["rounds"], one["delta"], one["confidence"]) for one in figures} == {
        (4000, 40, 1e-5, 0.95)
    }


def test_bounds_are_under_what_is_stated_and_near_it_and_broken_code_is_caught(
    figures: list[dict[str, Any]],
) -> None:
    for one, least in zip(figures[:3], (0.5, 3.2, 6.8), strict=True):
        assert least <= one["findings"][0]["epsilon_at_least"] <= one["findings"][0]["stated_epsilon"]
    refuted = {found["mutation"] for one in figures for found in one["findings"] if found["refuted"]}
    assert refuted == {"clip", "noise_halved", "noise_left_out"}
