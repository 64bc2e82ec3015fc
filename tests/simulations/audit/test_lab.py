"""docs/lab/audit.md: what its figures make, and figures that keep what the page says of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT
from wardround.server.algorithm.propose import NEWTON_ROUNDS
from wardround.simulations.audit.__main__ import cases, told_cases
from wardround.simulations.audit.lab import render_lab

LAB = ROOT / "docs" / "lab"


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found = json.loads((LAB / "audit.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_page_is_what_its_figures_make(figures: dict[str, Any]) -> None:
    assert (LAB / "audit.md").read_text(encoding="utf-8") == render_lab(figures)


def test_the_figures_are_of_the_cases_and_runs_that_the_page_names(figures: dict[str, Any]) -> None:
    assert [(one["case"], one["overrides"]) for one in figures["attacked"]] == [
        (case.title, list(case.overrides)) for case in cases()
    ]
    assert [one["case"] for one in figures["told"]] == [case.title for case in told_cases(Path())]
    assert {
        (one["runs"], one["noise"], one["rounds"], one["delta"], one["confidence"])
        for one in figures["attacked"]
    } == {
        (4000, "local", NEWTON_ROUNDS, 1e-5, 0.95),
        (4000, "local", 2, 1e-5, 0.95),
        (4000, "secure", 2, 1e-5, 0.95),
    }


def test_bounds_are_under_what_is_stated_and_near_it(figures: dict[str, Any]) -> None:
    of_releases = [one for one in figures["attacked"] if one["one_runs"]]
    for one, least in zip(of_releases, 2 * (0.5, 3.2, 6.8), strict=True):
        stage = {"local": "releases", "secure": "sums"}[one["noise"]]
        (found,) = (each for each in one["findings"] if each["stage"] == stage and not each["mutation"])
        assert least <= found["epsilon_at_least"] <= found["stated_epsilon"]
    as_it_is = [each for one in figures["attacked"] for each in one["findings"] if not each["mutation"]]
    # At 95 % one true statement in twenty is refuted: more than four of thirty once in 28 such pages.
    assert len(as_it_is) == 30
    assert sum(found["refuted"] for found in as_it_is) <= 4
    # Three of nine once in 120 such pages.
    assert sum(found["refuted"] for one in figures["attacked"] for found in one["one_runs"]) <= 2


def test_code_that_is_broken_is_caught_in_both_kinds_of_noise(figures: dict[str, Any]) -> None:
    broken = {
        noise: {
            found["mutation"]: found["refuted"]
            for one in figures["attacked"]
            for found in one["findings"]
            if one["noise"] == noise and found["mutation"]
        }
        for noise in ("local", "secure")
    }
    everywhere = {"clip", "patients", "noise_halved", "noise_left_out"}
    assert set(broken["local"]) == everywhere
    assert set(broken["secure"]) == everywhere | {"m", "threshold"}
    assert all(caught for found in broken.values() for caught in found.values())


def test_who_took_part_is_hardly_told_from_a_private_model(figures: dict[str, Any]) -> None:
    for one in figures["told"]:
        private, plain = (found["auc"][0] for found in one["memberships"])
        assert private < plain
    assert figures["told"][0]["memberships"][0]["auc"][0] <= 0.52
