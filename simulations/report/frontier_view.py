"""How a sweep's frontier looks: on the terminal, and as a chart."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table

from wardround.simulations.report.plots import Drawing, Scale, compact, number, padded, spread, spread_text
from wardround.simulations.report.scores import METHODS
from wardround.simulations.report.terminal import cell

SWEPT_POLICIES = {
    "single": "best single",
    "by_hand": "rules by hand",
    "private": "private model",
    "own": "with own parts",
    "open": "without privacy",
    "oracle": "oracle",
}
"""Policies of a sweep's table of engagement → their heads."""
COLOURS = ("together", "alone", "personalised", "private", "pooled")


@dataclass(frozen=True)
class FrontierRow:
    """Jobs that differ in their seed only.

    settings: the settings that differ over the sweep. epsilon: mean verified patient ε. auc, macro_auc:
    method → (mean, standard deviation over seeds; NaN for one seed). engagement: the same by policy, of all patients;
    empty where no message was chosen.
    """

    settings: Mapping[str, object]
    noise: str
    epsilon: float
    delta: float
    seeds: tuple[int, ...]
    auc: Mapping[str, tuple[float, float]]
    macro_auc: Mapping[str, tuple[float, float]]
    engagement: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def other_settings(self) -> dict[str, object]:
        """The settings that differ, but for ε and noise, which stand in columns of their own."""
        shown = ("privacy.epsilon", "privacy.noise")
        return {key: value for key, value in self.settings.items() if key not in shown}

    @property
    def settings_text(self) -> str:
        """``other_settings`` as on a command line, and the noise where it differs."""
        noise = {key: value for key, value in self.settings.items() if key == "privacy.noise"}
        return " ".join(f"{key}={value}" for key, value in {**noise, **self.other_settings}.items())


@dataclass(frozen=True)
class Frontier:
    """rows by noise mode, then ascending in ε; failed: jobs without a summary, with their overrides where known."""

    rows: tuple[FrontierRow, ...]
    failed: tuple[str, ...]


def frontier_table(frontier: Frontier) -> Table:
    """The frontier for a terminal of 80 columns; failed jobs are in the caption."""
    failed = cell(f"failed: {', '.join(frontier.failed)}") if frontier.failed else None
    table = Table(
        title="Frontier: AUC on held-out patients, mean ± sd over seeds",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.caption, table.caption_justify = failed, "left"
    for column in ("patient ε", "noise", "seeds", "together", "personalised", "alone"):
        table.add_column(column, justify="left" if column == "noise" else "right", no_wrap=True)
    for row in frontier.rows:
        cells = [
            spread_text(row.auc.get(key)) for key in ("federated_private", "personalised", "local_private")
        ]
        table.add_row(f"{row.epsilon:.2f}", cell(row.noise), str(len(row.seeds)), *cells)
    return table


def engaged_table(frontier: Frontier) -> Table | None:
    """Engagement by who chooses messages, for a terminal of 80 columns; None where no message was chosen."""
    rows = [row for row in frontier.rows if row.engagement]
    if not rows:
        return None
    title = "Share of held-out patients who engage, mean ± sd over seeds"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("patient ε", "settings that differ", *SWEPT_POLICIES.values()):
        words = column.startswith("settings")
        table.add_column(
            column, justify="left" if words else "right", overflow="fold" if words else "ellipsis"
        )
    for row in rows:
        other = cell(row.settings_text or "–")
        cells = [spread_text(row.engagement.get(policy)) for policy in SWEPT_POLICIES]
        table.add_row(f"{row.epsilon:.2f}", other, *cells)
    return table


def frontier_chart(rows: Sequence[FrontierRow]) -> str:
    """AUC by patient ε, a line for each private method and other setting, a bar of one standard deviation.

    References without privacy stand beside them.
    """
    drawing = Drawing(960, 420, "AUC by patient ε")
    if not rows:
        drawing.text(20, 40, "no job ended", "label")
        return drawing.svg()
    lines = frontier_lines(rows)
    references = frontier_references(rows)
    ends = [
        mean + sign * (0 if math.isnan(sd) else sd)
        for points in lines.values()
        for _, mean, sd in points
        for sign in (-1, 1)
    ]
    low, high = min(row.epsilon for row in rows), max(row.epsilon for row in rows)
    x = Scale(low / 1.3, high * 1.3, 56, 640, logarithmic=True)
    y = Scale(*padded([*ends, *references.values()]), 350, 30)
    drawing.y_axis(y, 56, 640, "AUC, held-out patients")
    stated = sorted({round(row.epsilon, 2) for row in rows})
    ticks = stated if len(stated) <= 8 else x.ticks()
    for tick, label in zip(ticks, map(compact, ticks), strict=True):
        drawing.line(x(tick), 30, x(tick), 350, "grid")
        drawing.text(x(tick), 368, label, "tick", "middle")
    drawing.text(348, 392, "patient ε (log scale)", "axis", "middle")
    labels = dict(references)
    for value in references.values():
        drawing.line(56, y(value), 640, y(value), "reference")
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        _draw_line(drawing, x, y, points, colour)
        labels[name] = points[-1][1]
    heights = spread([y(value) for value in labels.values()], 16, 30, 356)
    for (name, value), height in zip(labels.items(), heights, strict=True):
        drawing.path([(643, y(value)), (650, y(value)), (659, height), (663, height)], "leader")
        drawing.text(
            668, height + 4, f"{number(value)} {name}", "note" if name in references else "note strong"
        )
    return drawing.svg()


def _draw_line(
    drawing: Drawing, x: Scale, y: Scale, points: Sequence[tuple[float, float, float]], colour: str
) -> None:
    drawing.path([(x(epsilon), y(mean)) for epsilon, mean, _ in points], f"curve s-{colour}")
    for epsilon, mean, sd in points:
        if not math.isnan(sd):
            drawing.line(x(epsilon), y(mean - sd), x(epsilon), y(mean + sd), f"curve s-{colour}")
        drawing.dot(x(epsilon), y(mean), 4.5, f"mark {colour}", f"ε {epsilon:.2f}: {spread_text((mean, sd))}")


def frontier_lines(rows: Sequence[FrontierRow]) -> dict[str, list[tuple[float, float, float]]]:
    """(ε, mean, sd) of every private method of the frontier's table, by method and what differs besides ε."""
    lines: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for method in METHODS:
        for row in rows if method.private else ():
            others = [
                f"{key.split('.')[-1]} {value}"
                for key, value in row.settings.items()
                if key != "privacy.epsilon"
            ]
            if method.key in row.auc:
                name = method.title.lower() + (f" ({', '.join(others)})" if others else "")
                lines[name].append((row.epsilon, *row.auc[method.key]))
    return {name: sorted(points) for name, points in lines.items()}


def frontier_references(rows: Sequence[FrontierRow]) -> dict[str, float]:
    """Methods without privacy, where all rows agree on what they mean: averaged over the sweep."""
    names = {
        "best_possible": "best possible",
        "pooled_boosting": "pooled boosting",
        "local": "alone, no privacy",
    }
    found = {}
    for key, name in names.items():
        values = [row.auc[key][0] for row in rows if key in row.auc]
        if values and max(values) - min(values) < 0.01:
            found[name] = fmean(values)
    return found
