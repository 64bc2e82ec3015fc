"""The README's figure, from a run's summary: each hospital alone → together → every record in one place.

``python -m wardround.simulations.report.figure SUMMARY FIGURE`` draws it; ``make figure`` runs the demo before.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.privacy.noise import NOISE_MODES, SUPPOSED
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.say import complain, say
from wardround.simulations.report.plots import Drawing, Scale, number, padded, tick_labels

LIGHT = """.mark.alone{fill:#c8690a}.mark.together{fill:#0b63b0}
.mark.pooled{fill:none;stroke:#6b7684;stroke-width:2}"""
DARK = ".mark.alone{fill:#f2a24b}.mark.together{fill:#63aef2}.mark.pooled{stroke:#97a3b2}"
LARGEST = 2**26  # bytes of a summary
NOISE_WORDS = {mode.name: mode.words for mode in NOISE_MODES.values()}
NOISE_WORDS[SUPPOSED] = "noise shared (assumes secure aggregation)"
"""By a result's noise mode, what a figure says of it."""


def standalone_style(light: str, dark: str) -> str:
    """Give the stylesheet of an SVG that stands by itself, on light and on dark pages; own rules for each."""
    return f"""<style>
text{{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}}
.tick,.axis{{font-size:12px;fill:#59636e}}.strong{{font-weight:600}}.grid{{stroke:#d1d9e0;stroke-width:1}}
{light}
@media(prefers-color-scheme:dark){{text{{fill:#f0f6fc}}.tick,.axis{{fill:#9198a1}}.grid{{stroke:#3d444d}}
{dark}}}
</style>"""


def headline_figure(summary: Mapping[str, Any]) -> str:
    """Draw the AUC of the methods that the README compares, as a standalone SVG for light and dark pages.

    summary: a run's summary.json; a method that was not run is left out.
    """
    epsilon = f"patient ε = {summary['patient_epsilon']:.2g}"
    rows = [
        ("alone", f"each hospital alone, {epsilon}", summary["auc"]["local_private"]),
        ("together", f"together, {epsilon}", summary["auc"]["federated_private"]),
        ("pooled", "every record in one place, no privacy", summary["auc"]["pooled_boosting"]),
        ("pooled", "best possible", summary["auc"]["best_possible"]),
    ]
    rows = [row for row in rows if row[2] is not None]
    drawing = Drawing(760, 74 + 30 * len(rows), "AUC alone, together and pooled")
    drawing.parts.append(standalone_style(LIGHT, DARK))
    x, bottom = Scale(*padded([row[2] for row in rows], 0.1), 290, 690), 20 + 30 * len(rows)
    ticks = x.ticks(5)
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        drawing.line(x(tick), 10, x(tick), bottom, "grid")
        drawing.text(x(tick), bottom + 18, label, "tick", "middle")
    axis = f"AUC on held-out patients (0.5 is chance); together: {NOISE_WORDS[summary['noise']]}"
    drawing.text(490, bottom + 40, axis, "axis", "middle")
    for row, (kind, name, value) in enumerate(rows):
        weight = " strong" if kind == "together" else ""
        drawing.text(270, 32 + 30 * row, name, f"label{weight}", "end")
        drawing.dot(x(value), 28 + 30 * row, 6.5, f"mark {kind}")
        drawing.text(x(value) + 13, 32 + 30 * row, number(value), f"label{weight}")
    return drawing.svg()


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure of one run into a file; 2 where the summary cannot be read or is not a run's."""
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.report.figure")
    parser.add_argument("summary", type=Path, help="a run's summary.json")
    parser.add_argument("figure", type=Path, help="the SVG to write")
    options = parser.parse_args(arguments)
    try:
        figure = headline_figure(read_json(read_bounded(options.summary, LARGEST), LARGEST))
        write_durably(options.figure, figure.encode())
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}")
        return 2
    except (ValueError, KeyError, TypeError):
        complain(f"{options.summary} is not a run's summary; name the summary.json of a run's folder")
        return 2
    say(str(options.figure))
    return 0


if __name__ == "__main__":
    sys.exit(main())
