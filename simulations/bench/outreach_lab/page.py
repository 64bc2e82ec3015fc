"""docs/lab/outreach.md and outreach.json, from measured cells: means over seeds with their 95 % intervals."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import t

from wardround.protocol.files import write_durably
from wardround.simulations.bench.outreach_lab.federations import (
    ASSIGNMENTS,
    CONTRACTS,
    FEDERATIONS,
    NOISES,
    OutreachCell,
)
from wardround.simulations.measures.engagement import ALL, KNOWN, POLICIES, UNKNOWN, Engagement

Measured = Sequence[tuple[OutreachCell, Engagement]]
_INTRODUCTION = Path(__file__).with_name("page.txt")


def write_page(measured: Measured, out: Path) -> None:
    """Write the page, and all that it stands on."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_rounded({**asdict(cell), **asdict(found)})) for cell, found in measured]
    write_durably(out / "outreach.json", ("[" + ",\n".join(lines) + "]\n").encode())
    write_durably(out / "outreach.md", page(measured).encode())


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 5) if isinstance(value, float) else value


def page(measured: Measured) -> str:
    """Write the page in Markdown."""
    seeds = sorted({cell.seed for cell, _ in measured})
    text = _INTRODUCTION.read_text(encoding="utf-8").format(seeds=", ".join(map(str, seeds)))
    return text + "\n".join(
        [
            "## How much of what is possible\n",
            *_shares(measured),
            "\n## Who gains, and whether anybody loses\n",
            *_groups(measured),
            "\n## Other ways to choose\n",
            *_policies(measured),
            "",
        ]
    )


def _shares(measured: Measured) -> list[str]:
    lines = [
        "The private model's gain over the best single message, in percent of the oracle's, and in points",
        "of engagement. Intervals are over seeds.\n",
        "| federation | messages | pairs | noise | % of the oracle's gain | gain in points | interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for federation, assignment, contract, noise in product(FEDERATIONS, ASSIGNMENTS, CONTRACTS, NOISES):
        found = _of(measured, federation, assignment, contract, noise)
        share = np.mean([one.share("private") for one in found])
        gain, half = interval([one.gain("private") for one in found])
        lines.append(
            f"| {federation} | {assignment} | {contract} | {noise} | {100 * share:.0f} | {_points(gain)} "
            f"| {_points(gain - half)} to {_points(gain + half)} |"
        )
    return lines


def _groups(measured: Measured) -> list[str]:
    lines = [
        "Gain over the best single message in points, for all patients and for those without any history; and",
        "the group (by sex, age, language or history) that gains least, with its interval over seeds. A group",
        "loses where the interval lies below zero.\n",
        "| federation | messages | pairs | noise | all | unknown users | least of all groups | its interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for federation, way, contract, noise in product(FEDERATIONS, ASSIGNMENTS, CONTRACTS, NOISES):
        found = _of(measured, federation, way, contract, noise)
        least, name = min((interval(_gains(found, group))[0], group) for group in _reported(found))
        half = interval(_gains(found, name))[1]
        lines.append(
            f"| {federation} | {way} | {contract} | {noise} | {_points(_mean(found, ALL))} "
            f"| {_points(_mean(found, UNKNOWN))} | {_points(least)} ({name}) "
            f"| {_points(least - half)} to {_points(least + half)} |"
        )
    return lines


def _policies(measured: Measured) -> list[str]:
    lines = [
        "Engagement in percent on the default federation, all pairs named, secure sums, by how the messages in",
        "the tables had been chosen, and for known and unknown users where they had been chosen at random.\n",
        "| messages go to | at random | by staff | known users | unknown users |",
        "|---|---|---|---|---|",
    ]
    federation, (first, second) = next(iter(FEDERATIONS)), ASSIGNMENTS
    tried = _of(measured, federation, first, "all named", "secure")[0].policies
    for policy, words in ((one, POLICIES[one]) for one in tried):
        columns = [(first, ALL), (second, ALL), (first, KNOWN), (first, UNKNOWN)]
        cells = [
            np.mean([one.by[group][policy] for one in _of(measured, federation, way, "all named", "secure")])
            for way, group in columns
        ]
        lines.append(f"| {words} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |")
    return lines


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Give the mean and half the width of its 95 % interval, by Student's t over seeds."""
    if len(values) < 2:
        return float(np.mean(values)), 0.0
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(t.ppf(0.975, len(values) - 1) * error)


def _of(measured: Measured, federation: str, assignment: str, contract: str, noise: str) -> list[Engagement]:
    wanted = (federation, assignment, contract, noise)
    return [
        found
        for cell, found in measured
        if (cell.federation, cell.assignment, cell.contract, cell.noise) == wanted
    ]


def _reported(found: Sequence[Engagement]) -> list[str]:
    """Groups that every seed has enough moments of."""
    return [group for group in found[0].by if all(group in one.by for one in found)]


def _gains(found: Sequence[Engagement], group: str) -> list[float]:
    return [one.gain("private", group) for one in found]


def _mean(found: Sequence[Engagement], group: str) -> float:
    return float(np.mean(_gains(found, group)))


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
