"""The picture of an attack: its scores with and without the canary, and the threshold between them."""

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.simulations.audit.stages import AuditFinding
from wardround.simulations.report.plots import Drawing, Scale

BINS = 60


def histograms(found: AuditFinding) -> str:
    """Draw two outlines over the score in standard deviations, measured runs alone, as SVG."""
    measured = found.measured
    centre, spread = measured.threshold, float(measured.without.std()) or 1.0
    without, with_canary = (measured.without - centre) / spread, (measured.with_canary - centre) / spread
    ends = np.quantile(np.concatenate([without, with_canary]), [0.001, 0.999])
    edges = np.linspace(float(ends[0]) - 0.2, float(ends[1]) + 0.2, BINS + 1)
    counts = [np.histogram(scores, edges)[0] for scores in (without, with_canary)]
    drawing = Drawing(600, 260, f"Scores of the attack: {found.stage.words}")
    x = Scale(float(edges[0]), float(edges[-1]), 20, 580)
    y = Scale(0.0, float(max(max(each.max() for each in counts), 1)), 210, 40)
    drawing.x_axis(x, 210, 40, "score, in standard deviations from the threshold")
    drawing.path(_outline(edges, counts[0], x, y), "curve s-alone")
    drawing.path(_outline(edges, counts[1], x, y), "curve s-together")
    drawing.line(x(0.0), 40, x(0.0), 210, "leader")
    drawing.text(20, 20, found.stage.words, "note strong")
    drawing.text(580, 20, "orange: without the canary; blue: with it", "note", "end")
    return drawing.svg()


def _outline(edges: Floats, counts: Floats, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """The corners of a histogram's steps."""
    heights = np.repeat(counts, 2)
    return [
        (x(float(edge)), y(float(height)))
        for edge, height in zip(np.repeat(edges, 2)[1:-1], heights, strict=True)
    ]
