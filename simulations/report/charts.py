"""The report's charts of methods, rounds, hospitals, ε and calibration, each a function of its numbers."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.measures.metrics import Calibration
from wardround.simulations.report.plots import (
    Drawing,
    Scale,
    compact,
    number,
    padded,
    shorten,
    spread,
    tick_labels,
)

MOST_ROWS = 30
"""Hospitals with a row of their own in the dumbbell chart; the others are in the scatter and the table."""
MOST_DOTS = 2_000


def auc_scale(values: Sequence[float], width: float) -> Scale:
    """Make the axis that all rows of the comparison share."""
    return Scale(*padded(values, 0.08), 8, width - 8)


def auc_cell(scale: Scale, value: float, kind: str, height: float = 34) -> str:
    """One row's dot on the shared axis; grid lines run through so that rows join into one chart."""
    drawing = Drawing(scale.end + 8, height, f"AUC {number(value)}")
    for tick in scale.ticks(4):
        drawing.line(scale(tick), 0, scale(tick), height, "grid")
    if math.isfinite(value):
        drawing.dot(scale(value), height / 2, 6, f"mark {kind}", f"AUC {number(value, 4)}")
    return drawing.svg()


def auc_header(scale: Scale) -> str:
    """Tick labels of the shared axis."""
    drawing = Drawing(scale.end + 8, 18, "AUC axis")
    ticks = scale.ticks(4)
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        drawing.text(scale(tick), 13, label, "tick", "middle")
    return drawing.svg()


def rounds_chart(rounds: Sequence[int], auc: Sequence[float], references: Mapping[str, float]) -> str:
    """AUC on held-out patients by round, with named reference lines at the right."""
    drawing = Drawing(600, 300, "AUC by round")
    known = [(r, a) for r, a in zip(rounds, auc, strict=True) if math.isfinite(a)]
    low, high = _rounds_range([a for _, a in known], [v for v in references.values() if math.isfinite(v)])
    x = Scale(min(rounds, default=0), max(rounds, default=1), 46, 430)
    y = Scale(low, high, 250, 28)
    drawing.y_axis(y, 46, 430, "AUC, held-out patients")
    for tick in sorted({round(tick) for tick in x.ticks(6)}):
        drawing.text(x(tick), 268, compact(tick), "tick", "middle")
    drawing.text(238, 288, "round", "axis", "middle")
    first = next((index for index, (_, a) in enumerate(known) if a >= low), 0)
    if first:
        drawing.path(
            [(x(known[first][0]) - 4, y(low)), (x(known[first][0]), y(known[first][1]))], "curve s-together"
        )
    drawing.path([(x(r), y(a)) for r, a in known[first:]], "curve s-together")
    ends = {name: value for name, value in references.items() if math.isfinite(value)}
    heights = spread([y(value) for value in ends.values()], 15, 28, 256)
    for (name, value), height in zip(ends.items(), heights, strict=True):
        drawing.line(46, y(value), 430, y(value), "reference")
        drawing.path([(433, y(value)), (440, y(value)), (449, height), (453, height)], "leader")
        drawing.text(457, height + 4, f"{number(value)} {name}", "note")
    if known:
        round_number, last = known[-1]
        drawing.dot(x(round_number), y(last), 4.5, "mark together", f"last round {number(last, 4)}")
    return drawing.svg()


def _rounds_range(auc: Sequence[float], references: Sequence[float]) -> tuple[float, float]:
    """Leave out the first rounds' climb from chance where it would flatten all that follows."""
    low, high = padded([*auc, *references])
    settled = sorted(auc)[len(auc) // 5 :]
    lowest = min([*settled, *references], default=low)
    return max(low, lowest - 0.25 * (high - lowest)), high


def epsilon_by_round_chart(rounds: Sequence[int], epsilon: Sequence[float], target: float) -> str:
    """Patient ε spent so far, under the target."""
    drawing = Drawing(340, 300, "Patient ε by round")
    x = Scale(0, max(rounds, default=1), 40, 326)
    y = Scale(0, max([target, *epsilon]) * 1.08, 250, 28)
    drawing.y_axis(y, 40, 326, "patient ε spent")
    for tick in sorted({round(tick) for tick in x.ticks(5)}):
        drawing.text(x(tick), 268, compact(tick), "tick", "middle")
    drawing.text(183, 288, "round", "axis", "middle")
    drawing.line(40, y(target), 326, y(target), "reference")
    drawing.text(44, y(target) - 6, f"target {compact(target)}", "note")
    points = [(x(r), y(e)) for r, e in zip([0, *rounds], [0.0, *epsilon], strict=True)]
    drawing.path(points, "curve s-private")
    return drawing.svg()


def hospitals_chart(names: Sequence[str], patients: Integers, marks: Mapping[str, Floats]) -> str:
    """Alone → together → personalised: one row for each of the ``MOST_ROWS`` hospitals with most patients.

    marks: kind (``alone``, ``together``, ``personalised``) → AUC float64 [hospitals].
    """
    defined = np.flatnonzero(~np.isnan(marks["together"]))
    shown = defined[np.argsort(-patients[defined], kind="stable")][:MOST_ROWS]
    drawing = Drawing(960, 66 + 20 * len(shown), "AUC of each hospital alone, together and personalised")
    values = [float(v) for auc in marks.values() for v in auc[shown]]
    left = 12 + 6.9 * min(26, max((len(names[i]) for i in shown.tolist()), default=8))
    x = Scale(*padded(values), left + 84, 940)
    bottom = 28 + 20 * len(shown)
    drawing.x_axis(x, bottom, 18, "AUC, the hospital's own held-out patients")
    drawing.text(left, 12, "hospital", "axis", "end")
    drawing.text(left + 64, 12, "patients", "axis", "end")
    for row, index in enumerate(shown.tolist()):
        _hospital_row(drawing, x, 36 + 20 * row, names[index], int(patients[index]), marks, index)
    return drawing.svg()


def _hospital_row(
    drawing: Drawing, x: Scale, y: float, name: str, patients: int, marks: Mapping[str, Floats], index: int
) -> None:
    found = {kind: float(auc[index]) for kind, auc in marks.items() if math.isfinite(auc[index])}
    drawing.text(x.start - 84, y + 4, shorten(name, 26), "label", "end")
    drawing.text(x.start - 20, y + 4, f"{patients:,}", "tick", "end")
    if "alone" in found:
        better = found["together"] > found["alone"]
        drawing.line(x(found["alone"]), y, x(found["together"]), y, f"link {'up' if better else 'down'}")
        drawing.dot(x(found["alone"]), y, 4.5, "mark alone", f"{name}, alone {number(found['alone'])}")
    drawing.dot(x(found["together"]), y, 5, "mark together", f"{name}, together {number(found['together'])}")
    if "personalised" in found:
        place = x(found["personalised"])
        drawing.bar(
            place - 1.75,
            y - 8,
            3.5,
            16,
            "f-personalised",
            f"{name}, personalised {number(found['personalised'])}",
        )


def gain_chart(names: Sequence[str], patients: Integers, gain: Floats) -> str:
    """Show what training together added to each hospital's AUC, by its size."""
    drawing = Drawing(470, 300, "Gain in AUC from training together, by hospital size")
    shown = np.flatnonzero(~np.isnan(gain) & (patients > 0))
    shown = shown[:: max(1, math.ceil(len(shown) / MOST_DOTS))]
    x = _patients_scale(patients[shown], 56, 452)
    low, high = padded([0.0, *gain[shown].tolist()])
    y = Scale(low, high, 240, 28)
    drawing.y_axis(y, 56, 452, "AUC together − alone (both private)")
    drawing.x_axis(x, 240, 28, "training patients of the hospital (log scale)")
    drawing.line(56, y(0), 452, y(0), "zero")
    for index in shown.tolist():
        kind = "together" if gain[index] > 0 else "alone"
        hint = f"{names[index]}: {number(gain[index])}, {patients[index]:,} patients"
        drawing.dot(x(patients[index]), y(gain[index]), 3.8, f"mark faint {kind}", hint)
    return drawing.svg()


def epsilon_by_hospital_chart(
    names: Sequence[str], patients: Integers, epsilon: Floats, target: float
) -> str:
    """Patient ε of each hospital's patients, by the hospital's size."""
    drawing = Drawing(470, 300, "Patient ε by hospital")
    step = max(1, math.ceil(len(patients) / MOST_DOTS))
    x = _patients_scale(np.maximum(patients, 1), 56, 452)
    y = Scale(0, max(target, float(epsilon.max())) * 1.15, 240, 28)
    drawing.y_axis(y, 56, 452, "patient ε")
    drawing.x_axis(x, 240, 28, "training patients of the hospital (log scale)")
    drawing.line(56, y(target), 452, y(target), "reference")
    drawing.text(448, y(target) - 7, f"target {compact(target)}", "note", "end")
    for index in range(0, len(patients), step):
        hint = f"{names[index]}: ε {number(epsilon[index])}"
        drawing.dot(x(max(int(patients[index]), 1)), y(epsilon[index]), 3.8, "mark faint private", hint)
    return drawing.svg()


def _patients_scale(patients: Integers, start: float, end: float) -> Scale:
    low, high = (float(patients.min()), float(patients.max())) if len(patients) else (1.0, 10.0)
    return Scale(low / 1.25, high * 1.25, start, end, logarithmic=True)


def epsilon_bar(epsilon: float, largest: float) -> str:
    """Draw one adversary's ε on the scale of the largest."""
    drawing = Drawing(180, 16, f"ε {number(epsilon)}")
    drawing.bar(0, 3, 180 * min(epsilon / largest, 1.0) if largest > 0 else 0, 10, "f-private")
    return drawing.svg()


def calibration_chart(title: str, found: Calibration, kind: str, high: float) -> str:
    """Predicted against observed in bins of equal numbers of events; right scores lie on the diagonal."""
    drawing = Drawing(300, 322, f"Calibration of {title}")
    x, y = Scale(0, high, 40, 286), Scale(0, high, 262, 34)
    drawing.text(0, 14, title, "label strong")
    for tick in x.ticks(5):
        drawing.line(x(tick), 34, x(tick), 262, "grid")
        drawing.line(40, y(tick), 286, y(tick), "grid")
        drawing.text(x(tick), 278, compact(tick), "tick", "middle")
        drawing.text(34, y(tick) + 4, compact(tick), "tick", "end")
    drawing.text(163, 296, "predicted probability", "axis", "middle")
    drawing.text(44, 48, "observed share", "axis")
    drawing.line(x(0), y(0), x(high), y(high), "reference")
    points = list(zip(found.predicted, found.observed, found.events, strict=True))
    drawing.path([(x(p), y(o)) for p, o, _ in points], f"curve s-{kind}")
    for p, o, events in points:
        drawing.dot(
            x(p), y(o), 3.5, f"mark {kind}", f"predicted {number(p)}, observed {number(o)}, {events:,} events"
        )
    note = f"error {number(found.expected_error)} · slope {number(found.slope, 2)}"
    drawing.text(163, 316, f"{note} · intercept {number(found.intercept, 2)}", "tick", "middle")
    return drawing.svg()
