"""A run's figures by matplotlib, for notebooks and papers: each drawn from a summary, metrics and predictions alone.

The report's own plots are SVG written by hand (``simulations.report.charts``), so that a page needs no plotting
package. These are for a person who wants to change a figure: each is an ordinary ``matplotlib`` figure, made
without pyplot, so that no global state is touched and nothing needs to be closed.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.numerals import small_number
from wardround.simulations.measures.engagement import ALL, POLICIES
from wardround.simulations.measures.metrics import calibration
from wardround.simulations.report.engaged import CHARTED, INTERVAL
from wardround.simulations.report.frontier_view import Frontier, frontier_lines, frontier_references
from wardround.simulations.report.scores import ALONE, METHODS, SHARED
from wardround.simulations.report.summary import engagement_of

BLUE, ORANGE, GREY, VIOLET, GREEN = "#0b63b0", "#c8690a", "#6b7684", "#6d4fb3", "#0a8a6a"
COLOURS = (BLUE, ORANGE, GREEN, VIOLET, GREY)
_BINS = 15


class Chart(Figure):
    """A matplotlib figure that a notebook shows even without ``%matplotlib``."""

    def _repr_png_(self) -> bytes:
        return figure_bytes(self, "png")


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Give a figure as ``svg`` or ``png``; the same numbers give the same SVG."""
    buffer = BytesIO()
    # Without a date and with a fixed salt a run that is repeated leaves the same file.
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context({"svg.hashsalt": "wardround", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()


def run_figures(
    summary: Mapping[str, Any], metrics: pl.DataFrame, predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw every figure of a run, by name; one whose method was not run is left out."""
    figures = {"methods": methods_figure(summary)}
    if metrics["round"].drop_nulls().len():
        figures["rounds"] = rounds_figure(summary, metrics)
    if {SHARED, ALONE} <= set(predictions.columns):
        figures["hospitals"] = hospitals_figure(metrics)
    if SHARED in predictions.columns:
        figures["calibration"] = calibration_figure(predictions)
    if summary.get("outreach") is not None:
        figures["outreach"] = outreach_figure(summary)
    return figures


def methods_figure(summary: Mapping[str, Any]) -> Figure:
    """AUC of every method over all held-out events, filled where patients are protected."""
    shown = [method for method in METHODS if summary["auc"].get(method.key) is not None]
    figure, axes = _axes(7.5, 0.8 + 0.36 * len(shown))
    for place, method in enumerate(reversed(shown)):
        value = summary["auc"][method.key]
        colour = BLUE if method.private else GREY
        axes.plot(
            value, place, "o", color=colour, fillstyle="full" if method.private else "none", markersize=8
        )
        axes.annotate(
            f"{value:.3f}", (value, place), (9, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(range(len(shown)), [method.title for method in reversed(shown)])
    axes.margins(x=0.15, y=0.08)
    epsilon, delta = summary["patient_epsilon"], small_number(summary["delta"])
    axes.set_xlabel(f"AUC, held-out patients. Filled: patient ε = {epsilon:.2f} at δ = {delta}")
    axes.grid(axis="x", alpha=0.3)
    return figure


def rounds_figure(summary: Mapping[str, Any], metrics: pl.DataFrame) -> Figure:
    """AUC and patient ε of the shared private model, round after round (the AUC exists in simulations only)."""
    figure, axes = _axes(7.5, 3.6)
    for axis, metric, colour in ((axes, "auc", BLUE), (axes.twinx(), "epsilon", VIOLET)):
        rows = metrics.filter(pl.col("round").is_not_null() & (pl.col("metric") == metric)).sort("round")
        axis.plot(rows["round"], rows["value"], color=colour)
        axis.set_ylabel("AUC, held-out patients" if metric == "auc" else "patient ε spent", color=colour)
    alone = summary["auc"].get(ALONE)
    if alone is not None:
        axes.axhline(alone, color=ORANGE, linestyle="--", label="alone, private")
        axes.legend(loc="lower right")
    axes.set_xlabel("round")
    return figure


def hospitals_figure(metrics: pl.DataFrame) -> Figure:
    """Each hospital's AUC alone against together, both private; above the line it gained.

    Hospitals whose held-out patients have one class have no AUC and are left out.
    """
    rows = metrics.filter(pl.col("hospital").is_not_null() & (pl.col("metric") == "auc"))
    wide = rows.pivot(on="method", index="hospital", values="value").drop_nulls([SHARED, ALONE])
    figure, axes = _axes(4.8, 4.6)
    axes.plot(wide[ALONE], wide[SHARED], "o", color=BLUE, alpha=0.7)
    axes.axline((0.5, 0.5), slope=1, color=GREY, linewidth=1)
    axes.set_xlabel("AUC alone, private")
    axes.set_ylabel("AUC together, private")
    return figure


def calibration_figure(predictions: pl.DataFrame, methods: Sequence[str] = (SHARED,)) -> Figure:
    """Share that engaged by predicted probability, over bins of equal numbers of held-out events.

    predictions: label, and a column per method.
    """
    figure, axes = _axes(4.8, 4.6)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
    for method, colour in zip(methods, COLOURS, strict=False):
        found = calibration(predictions["label"].to_numpy(), predictions[method].to_numpy(), _BINS)
        axes.plot(found.predicted, found.observed, "o-", color=colour, label=method)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share that engaged")
    axes.legend()
    return figure


def outreach_figure(summary: Mapping[str, Any]) -> Figure:
    """Gain over the best single message by group, in points, with 95 % intervals over patients.

    By the private model, with each hospital's own part, one without privacy, and all that a gain may use.
    ConfigurationError where no message was chosen (``outreach=personalised``).
    """
    if summary.get("outreach") is None:
        raise ConfigurationError(
            "outreach=none: this study chose no messages; run it with outreach=personalised"
        )
    found = engagement_of(summary["outreach"])
    groups = list(found.by)[::-1]
    figure, axes = _axes(7.5, 1.2 + 0.34 * len(groups))
    shown = [policy for policy in CHARTED if policy in found.by[ALL]]
    for place, (policy, colour) in enumerate(zip(shown, (BLUE, ORANGE, GREY, VIOLET), strict=False)):
        axes.errorbar(
            [100 * found.gain(policy, group) for group in groups],
            np.arange(len(groups)) + 0.18 * (place - 1.5),
            xerr=[100 * INTERVAL * found.gain_errors[group][policy] for group in groups],
            fmt="o",
            color=colour,
            capsize=2,
            markersize=4,
            label=POLICIES[policy],
        )
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(groups)), groups)
    axes.set_xlabel("points of engagement over the best single message")
    axes.legend(fontsize=8)
    return figure


def frontier_figure(frontier: Frontier) -> Figure:
    """AUC by patient ε: a line for every private method and other setting, with one standard deviation."""
    figure, axes = _axes(7.5, 4.6)
    for (name, points), colour in zip(frontier_lines(frontier.rows).items(), cycle(COLOURS), strict=False):
        epsilon, mean, spread = np.array(points).T
        axes.errorbar(
            epsilon, mean, yerr=np.nan_to_num(spread), fmt="o-", color=colour, capsize=3, label=name
        )
    for name, value in frontier_references(frontier.rows).items():
        axes.axhline(value, color=GREY, linestyle="--", linewidth=1)
        axes.annotate(
            name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
        )
    axes.set_xscale("log")
    axes.set_xlabel("patient ε (log scale)")
    axes.set_ylabel("AUC, held-out patients")
    axes.legend(fontsize=8)
    return figure


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Chart(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
