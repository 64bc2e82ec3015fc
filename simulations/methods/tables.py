"""Markdown tables of means and spreads."""

import math
from collections.abc import Sequence

from wardround.simulations.methods.cases import EPSILONS, SHOWN_NOISES
from wardround.simulations.methods.compared import DEFAULT
from wardround.simulations.methods.summary import Found, Spread


def spread(found: Spread) -> str:
    """Mean ± standard deviation in four digits; a dash for what does not exist."""
    if math.isnan(found.mean):
        return "–"
    return f"{found.mean:.4f}" + ("" if math.isnan(found.sd) else f" ±{found.sd:.4f}")


def epsilon_text(value: float) -> str:
    """ε for a reader."""
    return "∞" if math.isinf(value) else f"{value:g}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its first column to the left."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return (
        # A bar within a cell would end it.
        "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines) + "\n"
    )


def wide_table(found: Sequence[Found], measure: str) -> str:
    """One row for each noise mode and method, the default first; a column for each ε."""
    methods = sorted(dict.fromkeys(one.method for one in found), key=lambda name: name != DEFAULT)
    known = {(one.noise, one.method, one.epsilon): one for one in found}
    epsilons = [one for one in EPSILONS if any(key[2] == one for key in known)]
    rows = []
    for noise in SHOWN_NOISES:
        for method in methods:
            own = [known.get((noise, method, epsilon)) for epsilon in epsilons]
            if any(own):
                name = f"**{method}**" if method == DEFAULT else method
                rows.append(
                    [noise, name, *("–" if one is None else spread(one.spreads[measure]) for one in own)]
                )
    return markdown(["noise", "method", *(f"ε = {epsilon_text(one)}" for one in epsilons)], rows)
