"""A federation's frontier as a standalone SVG, light and dark: AUC by ε, a panel for each noise mode."""

import math
from collections.abc import Mapping, Sequence

from wardround.simulations.methods.cases import EPSILONS, SHOWN_NOISES
from wardround.simulations.methods.compared import DEFAULT
from wardround.simulations.methods.summary import Found
from wardround.simulations.report.figure import NOISE_WORDS, standalone_style
from wardround.simulations.report.plots import Drawing, Scale, compact, number, padded, spread

REFERENCES = {"best_possible": "best possible", "pooled_boosting": "pooled boosting", "alone": "alone"}
COLOURS = (
    ("#0b63b0", "#63aef2"), ("#c8690a", "#f2a24b"), ("#1a7f37", "#56d364"), ("#8250df", "#bc8cff"),
    ("#bf3989", "#f778ba"), ("#0a7e8c", "#4fd1dc"), ("#6e5a00", "#d4b72c"),
)  # fmt: skip
PANEL, GAP, LABELS, HEIGHT = 300, 46, 172, 380


def frontier(title: str, found: Sequence[Found]) -> str:
    """Draw the methods of one federation, the default first; bars are one sd over seeds, lines references."""
    drawing = Drawing(2 * (PANEL + GAP + LABELS), HEIGHT, f"AUC by patient ε: {title}")
    methods = [one.method for one in found if one.noise in SHOWN_NOISES and one.method != "personalised"]
    names = sorted(dict.fromkeys(methods), key=lambda name: name != DEFAULT)
    drawing.parts.append(_style(len(names)))
    references = {REFERENCES[one.method]: one.mean("auc") for one in found if one.method in REFERENCES}
    shown = [one for one in found if one.noise in SHOWN_NOISES and one.method in names]
    low, high = padded([*(one.mean("auc") for one in shown), *references.values()])
    y = Scale(low, high, HEIGHT - 54, 40)
    noises = [noise for noise in SHOWN_NOISES if any(one.noise == noise for one in found)]
    for index, noise in enumerate(noises):
        lines = {name: [o for o in shown if o.method == name and o.noise == noise] for name in names}
        _panel(drawing, y, GAP + index * (PANEL + GAP + LABELS), noise, lines, references)
    return drawing.svg()


def _panel(
    drawing: Drawing,
    y: Scale,
    left: float,
    noise: str,
    lines: Mapping[str, Sequence[Found]],
    references: Mapping[str, float],
) -> None:
    right = left + PANEL
    for tick in y.ticks():
        drawing.line(left, y(tick), right, y(tick), "grid")
        drawing.text(left - 6, y(tick) + 4, number(tick), "tick", "end")
    drawing.text(left, 18, NOISE_WORDS[noise], "strong")
    for epsilon in EPSILONS:
        label = "∞" if math.isinf(epsilon) else compact(epsilon)
        drawing.text(_place(epsilon, left), HEIGHT - 36, label, "tick", "middle")
    drawing.text(left + PANEL / 2, HEIGHT - 14, "patient ε", "axis", "middle")
    ends = {}
    for name, value in references.items():
        drawing.line(left, y(value), right, y(value), "reference")
        ends[name] = value
    for index, (name, points) in enumerate(lines.items()):
        if points:
            _line(drawing, y, left, index, points)
            ends[name] = max(points, key=lambda one: one.epsilon).mean("auc")
    heights = spread([y(value) for value in ends.values()], 15, 40, HEIGHT - 50)
    for (name, value), height in zip(ends.items(), heights, strict=True):
        drawing.path([(right + 2, y(value)), (right + 14, height)], "leader")
        place = list(lines).index(name) if name in lines else -1
        drawing.text(right + 18, height + 4, f"{number(value)} {name}", f"f{place}" if place >= 0 else "tick")


def _line(drawing: Drawing, y: Scale, left: float, index: int, points: Sequence[Found]) -> None:
    ordered = sorted(points, key=lambda one: one.epsilon)
    places = [(_place(one.epsilon, left), y(one.mean("auc"))) for one in ordered]
    drawing.path(places, f"s{index}")
    for one, (x, height) in zip(ordered, places, strict=True):
        sd = one.spreads["auc"].sd
        if not math.isnan(sd):
            drawing.line(x, y(one.mean("auc") - sd), x, y(one.mean("auc") + sd), f"s{index} thin")
        drawing.dot(
            x, height, 3.5, f"f{index}", f"{one.method}, ε {one.epsilon:g}: {number(one.mean('auc'), 4)}"
        )


def _place(epsilon: float, left: float) -> float:
    """Even steps: the grid is about logarithmic, and ∞ has no place on such a scale."""
    places = {one: index for index, one in enumerate(EPSILONS)}
    return left + 14 + (PANEL - 28) * places[epsilon] / (len(EPSILONS) - 1)


def _style(count: int) -> str:
    def rules(shade: int) -> str:
        colours = [COLOURS[index % len(COLOURS)][shade] for index in range(count)]
        return "".join(f".s{i}{{stroke:{c}}}.f{i}{{fill:{c}}}" for i, c in enumerate(colours))

    lines = ",".join(f".s{index}" for index in range(count)) or ".s0"
    light = f""".reference{{stroke:#6b7684;stroke-dasharray:4 4}}.leader{{stroke:#afb8c1;fill:none}}
{lines}{{fill:none;stroke-width:2}}.thin{{stroke-width:1}}{rules(0)}"""
    return standalone_style(light, rules(1))
