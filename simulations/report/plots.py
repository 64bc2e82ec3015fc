"""Plots as SVG text, written by hand: no plotting package, light and dark from the page's own CSS.

Every colour is a CSS class (``s-…`` strokes, ``f-…`` fills), every text is escaped, and coordinates are
pixels of the ``viewBox``. ``simulations.report.charts`` draws the report with these.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

CHARACTER_PX = 6.4
"""Mean width of a character at 12 px, on the safe side; used to keep labels from touching."""


@dataclass(frozen=True)
class Scale:
    """A straight or logarithmic map from data to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, 1e-12))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within the range, about ``count`` of them."""
        return (
            log_ticks(self.low, self.high) if self.logarithmic else linear_ticks(self.low, self.high, count)
        )


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * 0.999)
    # 1e-9: an end that is a multiple of the step keeps its tick, whatever binary fractions make of the division.
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high]; with their twos and fives where that leaves fewer than three."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for units in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        found = [unit * 10.0**e for e in exponents for unit in units if low <= unit * 10.0**e <= high]
        if len(found) >= 3:
            break
    return found


def padded(values: Iterable[float], share: float = 0.06, least: float = 1e-3) -> tuple[float, float]:
    """Range of the finite values with room at both ends; (0, 1) without any."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    room = max((max(finite) - min(finite)) * share, least)
    return min(finite) - room, max(finite) + room


def percent(share: float) -> str:
    """Whole per cent, or an en dash."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "–"


def number(value: float, digits: int = 3) -> str:
    """Write a number for a reader: fixed digits, a true minus, an en dash where there is none."""
    if not math.isfinite(value):
        return "–"
    # + 0.0: what rounds to a negative zero would read −0.000.
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def compact(value: float) -> str:
    """Write a tick's number: 0.05, 10, 2,000, 1.5."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{round(value, 6):g}".replace("-", "−")


def spread_text(found: tuple[float, float] | None) -> str:
    """``0.719 ±0.002``, without the spread for one seed; an en dash where there is nothing."""
    if found is None:
        return "–"
    mean, sd = found
    return number(mean) if math.isnan(sd) else f"{number(mean)} ±{sd:.3f}"


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many decimals as the finest needs: 0.70 beside 0.72."""
    texts = [compact(tick) for tick in ticks]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [
        text if tick == 0 or not decimals else number(tick, decimals)
        for text, tick in zip(texts, ticks, strict=True)
    ]


def shorten(text: str, characters: int) -> str:
    """Cut a long text and say so with an ellipsis."""
    return text if len(text) <= characters else text[: max(characters - 1, 1)].rstrip() + "…"


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart by at least ``gap`` within [low, high], in their order, as little as is simple."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed, previous = [0.0] * len(positions), low - gap
    for index in order:
        previous = placed[index] = max(positions[index], previous + gap)
    following = high + gap
    for index in reversed(order):
        following = placed[index] = min(placed[index], following - gap)
    return placed


@dataclass
class Drawing:
    """An SVG under construction; ``svg`` closes it. Text is escaped here and nowhere else."""

    width: float
    height: float
    title: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Straight line."""
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f'<line {ends} class="{style}"/>')

    def path(self, points: Iterable[tuple[float, float]], style: str, close: bool = False) -> None:
        """Polyline through the points; filled by its class where closed."""
        steps = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if steps:
            self.parts.append(f'<path d="M{steps}{"Z" if close else ""}" class="{style}"/>')

    def dot(self, x: float, y: float, radius: float, style: str, hint: str = "") -> None:
        """Circle; ``hint`` shows under the pointer."""
        tip = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{style}">{tip}</circle>')

    def bar(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        style: str,
        hint: str = "",
        opacity: float = 1.0,
    ) -> None:
        """Rectangle."""
        tip = f"<title>{escape(hint)}</title>" if hint else ""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self.parts.append(f'<rect {box} class="{style}"{faint}>{tip}</rect>')

    def text(
        self, x: float, y: float, words: str, style: str = "", anchor: str = "start", turn: float = 0
    ) -> None:
        """Words with their baseline at (x, y); anchor start, middle or end; turn in degrees."""
        turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}'
        self.parts.append(f'<text {place} class="{style}">{escape(words)}</text>')

    def x_axis(self, scale: Scale, y: float, top: float, title: str) -> None:
        """Grid lines from ``top`` to ``y``, tick labels under ``y``, and the axis's title with its unit."""
        ticks = scale.ticks()
        for tick, label in zip(ticks, tick_labels(ticks), strict=True):
            x = scale(tick)
            self.line(x, top, x, y, "grid")
            self.text(x, y + 16, label, "tick", "middle")
        if title:
            self.text((scale.start + scale.end) / 2, y + 34, title, "axis", "middle")

    def y_axis(self, scale: Scale, x: float, right: float, title: str, count: int = 5) -> None:
        """Grid lines from ``x`` to ``right``, tick labels left of ``x``, the title above."""
        ticks = scale.ticks(count)
        for tick, label in zip(ticks, tick_labels(ticks), strict=True):
            y = scale(tick)
            self.line(x, y, right, y, "grid")
            self.text(x - 8, y + 4, label, "tick", "end")
        if title:
            self.text(0, min(scale.start, scale.end) - 12, title, "axis")

    def svg(self) -> str:
        """Close the drawing."""
        box = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(self.title)}">'
        return head + "".join(self.parts) + "</svg>"
