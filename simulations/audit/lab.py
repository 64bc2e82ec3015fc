"""``docs/lab/audit.md``: what the audit does, what it does not reach, and the measured figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardround.simulations.report.page import environment
from wardround.simulations.report.plots import number

BROKEN = {
    "clip": "no clip, gradients × 3",
    "patients": "each event clipped by itself",
    "noise_halved": "half the noise",
    "noise_left_out": "no noise in the last round",
    "m": "m taken for q",
    "threshold": "a sum of fewer than q",
    "sample": "no sampling",
}


@dataclass(frozen=True)
class LabCase:
    """One audit of the page: its title and its overrides. shown: the stages that are kept, all where empty."""

    title: str
    overrides: tuple[str, ...]
    shown: tuple[str, ...] = ()


def render_lab(figures: Mapping[str, Any]) -> str:
    """The page in Markdown; figures as ``audit.json`` holds them."""
    attacked = figures["attacked"]
    found = [(case, one) for case in attacked for one in case["findings"]]
    page = environment().get_template("audit.md.j2")
    text = page.render(
        as_it_is=[_row(case, one) for case, one in found if not one["mutation"]],
        broken=[_row(case, one) for case, one in found if one["mutation"]],
        refuted=sum(one["refuted"] and not one["mutation"] for _, one in found),
        missed=sum(not one["refuted"] and bool(one["mutation"]) for _, one in found),
        one_runs=[_one_run_row(case, one) for case in attacked for one in case["one_runs"]],
        refuted_once=sum(one["refuted"] for case in attacked for one in case["one_runs"]),
        told=[_told_row(case, one) for case in figures["told"] for one in case["memberships"]],
        models=figures["told"][0]["models"],
        runs=f"{attacked[0]['runs']:,}",
        rounds=attacked[0]["rounds"],
        canaries=f"{attacked[0]['one_runs'][0]['canaries']:,}",
        minutes=number(sum(case["seconds"] for case in attacked) / 60, 0),
        seed=attacked[0]["seed"],
    )
    return f"{text}\n"


def _row(case: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    low, high = found["epsilon"][1:]
    return {
        "case": case["case"],
        "stage": found["stage"].replace("_", " "),
        "broken": BROKEN.get(found["mutation"] or "", ""),
        "stated": number(found["stated_epsilon"], 2),
        "estimate": _number(found["epsilon"][0]),
        "interval": f"{_number(low)} to {_number(high)}",
        "bound": _number(found["epsilon_at_least"]),
        "any": _number(found["epsilon_at_least_any_mechanism"]),
    }


def _one_run_row(case: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "case": case["case"],
        "stage": found["stage"],
        "stated": number(found["stated_epsilon"], 2),
        "shift": _number(found["epsilon_at_least_by_shift"]),
        "guesses": _number(found["epsilon_at_least_by_guesses"]),
        "right": f"{found['correct']} of {found['guesses']}",
    }


def _told_row(case: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    area, low, high = found["auc"]
    most = found["auc_at_most"]
    return {
        "case": f"{case['case']}, {case['noise']}",
        "words": found["model"],
        "auc": f"{number(area, 3)} ({number(low, 3)} to {number(high, 3)})",
        "told": f"{number(100 * found['true_positive_rate'], 2)} %",
        "most": "–" if most is None else number(most, 3),
    }


def _number(value: float | None) -> str:
    return "above 1000" if value is None or value > 1000 else number(value, 2)
