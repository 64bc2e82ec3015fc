"""How many patients engage by who chooses the messages: on the terminal, in the page, and its chart."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from wardround.simulations.measures.engagement import ALL, KNOWN, POLICIES, UNKNOWN, Engagement
from wardround.simulations.report.plots import Drawing, Scale, number, padded, percent, tick_labels
from wardround.simulations.report.terminal import cell

CHARTED = {"private": "together", "own": "alone", "open": "pooled", "oracle": "personalised"}
"""Policies of the chart → the class of their mark."""
COLUMNS = (ALL, KNOWN, UNKNOWN)
INTERVAL = 1.96
"""Standard errors on each side of a 95 % interval."""


def engagement_table(found: Engagement) -> Table:
    """Put ways to choose beside each other: percent that engage, of all, known and unknown users."""
    title = cell(f"Messages to {found.counts[ALL]:,} held-out patients: percent who engage")
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("messages go to", no_wrap=True)
    for column in (*COLUMNS, "changed"):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in engagement_rows(found):
        style = "bold" if row[0] == POLICIES["private"] else ""
        table.add_row(*map(cell, row), style=style)
    return table


def engagement_rows(found: Engagement) -> list[list[str]]:
    """Give a row for each policy: its words, percent that engage by column, and percent of messages that it changed."""
    return [
        [
            POLICIES[policy],
            *(_percent(found.by[group][policy]) if group in found.by else "–" for group in COLUMNS),
            percent(found.changed[policy]) if policy in found.changed else "–",
        ]
        for policy in found.policies
    ]


def group_rows(found: Engagement) -> list[list[str]]:
    """Give a row for each group: its name, its patients, and the gain of each policy of the chart, in points."""
    charted = _charted(found)
    return [
        [group, f"{found.counts[group]:,}", *(_gain(found, policy, group) for policy in charted)]
        for group in found.by
    ]


def group_columns(found: Engagement) -> list[str]:
    """Name the policies of ``group_rows``."""
    return [POLICIES[policy] for policy in _charted(found)]


def engagement_lines(found: Engagement, releasable: bool = True) -> list[str]:
    """Say what the private model gains, which group gains least, and whether a hospital would use it."""
    if "private" not in found.by[ALL]:
        return [
            "The study's moment round was lost, and with it the error of its gains: no message would be changed."
        ]
    least = found.least("private")
    interval = " to ".join(_points(end) for end in _ends(found, "private", least))
    return [
        f"The private model gains {_gain(found, 'private', ALL)} points over the best single message, "
        f"{percent(found.share('private'))} of what is possible.",
        f"{least} gains least: {_gain(found, 'private', least)} points (95 % interval {interval}).",
        *([] if releasable else ["It is not releasable: no hospital would choose a message by it."]),
    ]


def gain_chart(found: Engagement) -> str:
    """Draw the gain over the best single message by group in points, each with its 95 % interval over patients."""
    groups, charted = list(found.by), _charted(found)
    bottom = 34 + 24 * len(groups)
    drawing = Drawing(760, bottom + 46, "gain over the best single message, by group")
    ends = [end for group in groups for policy in charted for end in _ends(found, policy, group)]
    x = Scale(*padded([0.0, *(100 * end for end in ends)], 0.04), 190, 740)
    ticks = x.ticks(6)
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        drawing.line(x(tick), 22, x(tick), bottom, "grid")
        drawing.text(x(tick), bottom + 16, label, "tick", "middle")
    drawing.line(x(0), 22, x(0), bottom, "reference")
    drawing.text(465, bottom + 36, "points of engagement over the best single message", "axis", "middle")
    for place, group in enumerate(groups):
        y = 40 + 24 * place
        drawing.text(180, y + 4, group, "label", "end")
        for shift, policy in enumerate(charted):
            low, high = (x(100 * end) for end in _ends(found, policy, group))
            height = y + 4 * (shift - (len(charted) - 1) / 2)
            drawing.line(low, height, high, height, "grid")
            hint = f"{POLICIES[policy]}, {group}: {_gain(found, policy, group)}"
            drawing.dot(x(100 * found.gain(policy, group)), height, 3.5, f"mark {_mark(policy)}", hint)
    return drawing.svg()


def chart_legend(found: Engagement) -> list[tuple[str, str]]:
    """Give the class of each mark of the chart, and what it stands for."""
    return [(_mark(policy), POLICIES[policy]) for policy in _charted(found)]


def _charted(found: Engagement) -> Sequence[str]:
    return [policy for policy in CHARTED if policy in found.by[ALL]]


def _mark(policy: str) -> str:
    return CHARTED[policy] + (" open" if policy == "open" else "")


def _ends(found: Engagement, policy: str, group: str) -> tuple[float, float]:
    gain, half = found.gain(policy, group), INTERVAL * found.gain_errors[group][policy]
    return gain - half, gain + half


def _gain(found: Engagement, policy: str, group: str) -> str:
    return _points(found.gain(policy, group))


def _points(value: float) -> str:
    return ("+" if value >= 0 else "") + number(100 * value, 1)


def _percent(value: float) -> str:
    return number(100 * value, 1)
