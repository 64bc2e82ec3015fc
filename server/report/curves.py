"""ROC curve and calibration of a private evaluation, drawn with the bands that hold at all their points at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from wardround.server.evaluation.bands import CalibrationBar, Point, RocBand

_SIZE, _MARGIN = 260.0, 34.0
_INK, _COLOUR = "currentColor", "#3b74b8"
"""Ink follows the page, light or dark; the colour is read on both."""


@dataclass(frozen=True)
class _Square:
    """A plot of shares: the unit square in pixels, with its axes' titles. high: the largest share shown."""

    across: str
    up: str
    high: float = 1.0

    def at(self, point: Point) -> tuple[float, float]:
        x, y = (min(share / self.high, 1.0) for share in point)
        return _MARGIN + x * _SIZE, 8 + (1 - y) * _SIZE

    def path(self, points: Iterable[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))

    def svg(self, title: str, parts: Iterable[str]) -> str:
        """Close the drawing; all texts are our own."""
        width, height = _SIZE + _MARGIN + 8, _SIZE + _MARGIN + 12
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-label="{title}" font-size="11" fill="{_INK}">'
            f"{''.join((*self._frame(), *parts))}</svg>"
        )

    def _frame(self) -> Iterable[str]:
        left, bottom = self.at((0.0, 0.0))
        right, top = self.at((self.high, self.high))
        yield f'<rect x="{left:g}" y="{top:g}" width="{_SIZE:g}" height="{_SIZE:g}" fill="none" {_stroke(0.35)}/>'
        yield f'<path d="M{left:g},{bottom:g}L{right:g},{top:g}" {_stroke(0.35)} stroke-dasharray="3 3"/>'
        for share in (0.0, self.high / 2, self.high):
            x, y = self.at((share, share))
            yield f'<text x="{x:.1f}" y="{bottom + 13:g}" text-anchor="middle">{share:.2g}</text>'
            yield f'<text x="{left - 4:g}" y="{y + 4:.1f}" text-anchor="end">{share:.2g}</text>'
        yield f'<text x="{(left + right) / 2:g}" y="{bottom + 28:g}" text-anchor="middle">{self.across}</text>'
        yield f'<text x="{left + 6:g}" y="{top + 14:g}">{self.up}</text>'


def roc_chart(band: RocBand) -> str:
    """Draw the curve, its measured points and the band around it."""
    square = _Square("false positive rate", "true positive rate")
    around = square.path((*band.upper, *reversed(band.lower)))
    dots = (square.at(point) for point in band.curve[1:-1])
    return square.svg(
        "ROC curve with its band",
        (
            f'<polygon points="{around}" fill="{_COLOUR}" fill-opacity="0.22"/>',
            f'<polyline points="{square.path(band.curve)}" fill="none" stroke="{_COLOUR}" stroke-width="1.8"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{_COLOUR}"/>' for x, y in dots),
        ),
    )


def calibration_chart(bars: tuple[CalibrationBar, ...]) -> str:
    """Draw each range of scores as a point with its bar; right scores lie on the diagonal."""
    high = min(1.0, 1.1 * max(max(one.high, one.predicted) for one in bars))
    square = _Square("mean prediction", "share that engaged", high)
    return square.svg("Calibration with its bars", (part for one in bars for part in _bar(square, one)))


def _bar(square: _Square, one: CalibrationBar) -> Iterable[str]:
    x, y = square.at((one.predicted, one.observed))
    (_, low), (_, high) = square.at((one.predicted, one.low)), square.at((one.predicted, one.high))
    yield f'<path d="M{x:.1f},{low:.1f}V{high:.1f}" stroke="{_COLOUR}" stroke-width="5" stroke-opacity="0.3"/>'
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_COLOUR}"/>'


def _stroke(opacity: float) -> str:
    return f'stroke="{_INK}" stroke-opacity="{opacity:g}"'
