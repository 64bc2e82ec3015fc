"""The additive model's effects for a reader: a curve or bars per feature, a heat map per cross."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import MISSING, Feature
from wardround.protocol.contract.layout import Coarse, Cross, Field
from wardround.protocol.model.interactions import cell_scale
from wardround.protocol.model.model import column_scale, named_parameters
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.report.plots import CHARACTER_PX, Drawing, Scale, compact, number, padded, shorten

ORDERED = ("numeric", "ordered", "hour", "gap_days", "history", "weekday", "month")
MOST_CELLS = 240


@dataclass(frozen=True, eq=False)
class Effect:
    """What one feature or cross adds to the log-odds, centred on the plain mean of its bins.

    values: float64 [bins]; for a ranged feature, its two ends. labels are short names of the bins.
    shape is ``curve``, ``bars``, ``line`` or ``heat``; rows are a heat map's row labels.
    """

    name: str
    shape: str
    labels: tuple[str, ...]
    values: Floats
    rows: tuple[str, ...] = ()

    @property
    def reach(self) -> float:
        """Largest difference between two bins, in log-odds."""
        return float(np.ptp(self.values)) if len(self.values) else 0.0


def additive_effects(contract: Contract, model: ModelSettings, weights: Floats) -> tuple[Effect, ...]:
    """Effects of the linear part and interactions, largest reach first; none for a model without a linear part.

    An interaction that adds nothing anywhere is left out.
    """
    layout = contract.layout
    named = named_parameters(model, layout, weights)
    if "linear" not in named:
        return ()
    # Weights act on scaled columns: times the scale they are log-odds.
    linear = named["linear"] * column_scale(model, layout)
    features = {feature.name: feature for feature in contract.features}
    effects = []
    for offset, field in zip(layout.offsets, layout.fields, strict=True):
        part = linear[offset : offset + field.size]
        effects.append(_field_effect(field, features, part - part.mean()))
    for position, name in enumerate(layout.values):
        slope = float(linear[layout.width - len(layout.values) + position])
        low, high = features[name].range or (-1.0, 1.0)
        # A ranged value is scaled to [−1, 1] before it meets its weight.
        effects.append(Effect(name, "line", (compact(low), compact(high)), np.array([-slope, slope])))
    if "interactions" in named:
        cells, start = named["interactions"] * cell_scale(layout), 0
        for pair in layout.interactions:
            part, start = cells[start : start + pair.size], start + pair.size
            if part.any():
                effects.append(_field_effect(pair, features, part))
    return tuple(sorted(effects, key=lambda effect: -effect.reach))


def _field_effect(field: Field | Cross | Coarse, features: dict[str, Feature], values: Floats) -> Effect:
    if isinstance(field, Coarse):
        return Effect(field.name, "bars", tuple(label.replace("_", " ") for label in field.labels), values)
    if isinstance(field, Cross):
        first, second = (features[parent] for parent in field.parents)
        return Effect(field.name, "heat", short_labels(second), values, rows=short_labels(first))
    feature = features[field.name]
    return Effect(field.name, "curve" if feature.kind in ORDERED else "bars", short_labels(feature), values)


def short_labels(feature: Feature) -> tuple[str, ...]:
    """Names of the bins that fit an axis: ``<18``, ``18–29``, ``≥65``, ``Mon``, ``–`` for missing."""
    if feature.kind in ("weekday", "month"):
        return tuple(label[:3] if label != MISSING else "–" for label in feature.labels)
    if not feature.edges:
        return tuple("–" if label == MISSING else label.replace("_", " ") for label in feature.labels)
    edges = feature.edges
    whole = all(float(edge).is_integer() for edge in edges) and feature.statistic != "rate"
    step = 1 if whole else 0
    middle = [
        f"{low:g}" if low == high - step else f"{low:g}–{high - step:g}" for low, high in pairwise(edges)
    ]
    first = "0" if whole and edges[0] == 1 and feature.kind in ("history", "hour") else f"<{edges[0]:g}"
    return (first, *middle, f"≥{edges[-1]:g}", "–")


def effect_chart(effect: Effect, low: float, high: float) -> str:
    """One small chart; low and high are the log-odds range that all curves and bars share."""
    if effect.shape == "heat":
        return _heat_map(effect, max(abs(low), abs(high)))
    return _bars(effect, low, high) if effect.shape == "bars" else _curve(effect, low, high)


def shared_range(effects: Sequence[Effect]) -> tuple[float, float]:
    """Find a log-odds range that holds every effect and zero."""
    return padded([0.0, *(float(value) for effect in effects for value in effect.values)], 0.05, 0.05)


def _curve(effect: Effect, low: float, high: float) -> str:
    width = 260 / len(effect.values)
    turn = -40 if max(len(label) for label in effect.labels) * CHARACTER_PX > width else 0
    drawing = Drawing(300, 214 if turn else 186, f"Effect of {effect.name}")
    y = Scale(low, high, 160, 30)
    drawing.text(0, 13, effect.name.replace("_", " "), "label strong")
    drawing.y_axis(y, 36, 296, "", 4)
    drawing.line(36, y(0), 296, y(0), "zero")
    centres = [36 + width * (index + 0.5) for index in range(len(effect.values))]
    # A curve's last bin is "missing" or "other", beside the order and not at its end.
    last = len(effect.values) - (effect.shape == "curve")
    if effect.shape == "line":
        centres = [36.0, 296.0]
    drawing.path([(centres[i], y(effect.values[i])) for i in range(last)], "curve s-together")
    for index, (label, value) in enumerate(zip(effect.labels, effect.values, strict=True)):
        kind = "together" if index < last else "hollow"
        hint = f"{effect.name} {label}: {number(value, 2)}"
        drawing.dot(centres[index], y(value), 3.5, f"mark {kind}", hint)
        anchor = "end" if turn else "middle"
        drawing.text(centres[index] + (4 if turn else 0), 176, shorten(label, 15), "tick", anchor, turn)
    return drawing.svg()


def _bars(effect: Effect, low: float, high: float) -> str:
    drawing = Drawing(300, max(60 + 22 * len(effect.values), 100), f"Effect of {effect.name}")
    x = Scale(low, high, 104, 292)
    bottom = 26 + 22 * len(effect.values)
    drawing.text(0, 13, effect.name.replace("_", " "), "label strong")
    for tick in x.ticks(4):
        drawing.line(x(tick), 24, x(tick), bottom, "grid")
        drawing.text(x(tick), bottom + 16, compact(tick), "tick", "middle")
    for row, (label, value) in enumerate(zip(effect.labels, effect.values, strict=True)):
        middle = 36 + 22 * row
        drawing.text(98, middle + 4, "missing" if label == "–" else shorten(label, 15), "tick", "end")
        start, end = sorted((x(0), x(value)))
        hint = f"{effect.name} {label}: {number(value, 2)}"
        drawing.bar(
            start, middle - 6, max(end - start, 1), 12, "f-together" if value >= 0 else "f-alone", hint
        )
    drawing.line(x(0), 24, x(0), bottom, "zero")
    return drawing.svg()


def _heat_map(effect: Effect, strongest: float) -> str:
    """Blue lifts and orange lowers the log-odds; fuller colour means more."""
    columns, rows = len(effect.labels), len(effect.rows)
    cells = effect.values.reshape(rows, columns)
    cell = min(46.0, 340 / columns)
    tall = 24.0
    turned = max(len(label) for label in effect.labels) * CHARACTER_PX > cell
    head = 26 + (min(max(len(label) for label in effect.labels), 14) * 4.6 if turned else 16)
    drawing = Drawing(470, head + tall * rows + 10, f"Effect of {effect.name}")
    drawing.text(0, 13, effect.name.replace("_", " "), "label strong")
    for column, label in enumerate(effect.labels):
        x = 118 + cell * (column + 0.5)
        words = shorten(label, 14)
        drawing.text(x, head - 5, words, "tick", "start" if turned else "middle", -40 if turned else 0)
    strongest = float(np.abs(cells).max()) or strongest or 1.0
    for row, label in enumerate(effect.rows):
        y = head + tall * row
        drawing.text(112, y + 16, shorten(label, 16), "tick", "end")
        for column in range(columns):
            value = float(cells[row, column])
            hint = f"{label} × {effect.labels[column]}: {number(value, 2)}"
            style = "f-together" if value >= 0 else "f-alone"
            strength = abs(value) / strongest
            drawing.bar(
                118 + cell * column, y, cell - 1.5, tall - 1.5, style, hint, min(0.05 + 0.9 * strength, 1)
            )
            if cell >= 34 and tall >= 20:
                ink = "cell strong" if strength > 0.6 else "cell"
                drawing.text(118 + cell * (column + 0.5), y + 16, number(value, 1), ink, "middle")
    return drawing.svg()
