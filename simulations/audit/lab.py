"""``docs/lab/audit.md``: what the audit does, what it does not reach, and the measured figures."""

from collections.abc import Mapping, Sequence
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
    """One audit of the page: its title and its overrides."""

    title: str
    overrides: tuple[str, ...]


def render_lab(figures: Sequence[Mapping[str, Any]]) -> str:
    """The page in Markdown; figures as ``audit.json`` holds them."""
    as_it_is = [_row(case, found) for case in figures for found in case["findings"] if not found["mutation"]]
    broken = [_row(case, found) for case in figures for found in case["findings"] if found["mutation"]]
    page = environment().get_template("audit.md.j2")
    text = page.render(
        as_it_is=as_it_is,
        broken=broken,
        refuted=sum(
            found["refuted"] and not found["mutation"] for case in figures for found in case["findings"]
        ),
        runs=f"{figures[0]['runs']:,}",
        seconds=f"{sum(case['seconds'] for case in figures):,.0f}",
        seed=figures[0]["seed"],
        rounds=figures[0]["rounds"],
    )
    return f"{text}\n"


def _row(case: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    low, high = found["epsilon"][1:]
    return {
        "case": case["case"],
        "stage": found["stage"],
        "broken": BROKEN.get(found["mutation"] or "", ""),
        "stated": number(found["stated_epsilon"], 2),
        "estimate": _number(found["epsilon"][0]),
        "interval": f"{_number(low)} to {_number(high)}",
        "bound": _number(found["epsilon_at_least"]),
        "any": _number(found["epsilon_at_least_any_mechanism"]),
    }


def _number(value: float | None) -> str:
    return "above 1000" if value is None or value > 1000 else number(value, 2)
