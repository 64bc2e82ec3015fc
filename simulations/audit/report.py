"""An audit for a person and for a program: the table, ``audit.json``, and the page ``audit.html``."""

import json
import math
from typing import Any

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.table import Table

from wardround.protocol.text.numerals import small_number
from wardround.simulations.audit.bounds import Interval
from wardround.simulations.audit.membership import FALSE_POSITIVE_RATE, MembershipFinding
from wardround.simulations.audit.one_run import OneRunFinding
from wardround.simulations.audit.picture import histograms
from wardround.simulations.audit.results import AuditResults
from wardround.simulations.audit.stages import AuditFinding
from wardround.simulations.report.page import environment
from wardround.simulations.report.plots import number, percent
from wardround.simulations.report.terminal import cell

VERSION = 3
_LARGEST_SHOWN = 1000.0


def audit_table(results: AuditResults) -> Table:
    """One row per stage, then one per mutation."""
    attack = results.settings.attack
    title = cell(
        f"{results.terms.study}: privacy audit, {attack.runs:,} runs with the canary, as many without"
    )
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("stage")
    bound = f"at least\n({percent(attack.confidence)})"
    for column in ("stated\nε", "estimate (interval)", bound, ""):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows(results):
        table.add_row(*(cell(row[key]) for key in ("words", "stated", "estimate", "bound", "verdict")))
    return table


def one_run_table(results: AuditResults) -> Table:
    """One row per stage that one run can audit."""
    title = cell(f"One run with {results.settings.attack.canaries:,} canaries, each there or not by a coin")
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("stage")
    for column in ("stated\nε", "at least,\nby the shift", "at least,\nby guesses", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for row in one_run_rows(results):
        table.add_row(*(cell(row[key]) for key in ("words", "stated", "shift", "guesses", "verdict")))
    return table


def one_run_rows(results: AuditResults) -> list[dict[str, str]]:
    """That table's rows as text, for the terminal and the page."""
    return [
        {
            "words": found.words,
            "stated": number(found.stated, 2),
            "shift": _epsilon(found.shift),
            "guesses": f"{_epsilon(found.guesses)} ({found.coins.correct} of {found.coins.guesses} right)",
            "verdict": "not refuted" if found.holds else "REFUTED",
        }
        for found in results.one_runs
    ]


def membership_table(results: AuditResults) -> Table:
    """One row per kind of model."""
    title = cell(f"Who took part, told from {results.settings.attack.models} models")
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model")
    for column in (
        "AUC of the attack\n(interval)",
        "told at\n0.1 % false",
        "AUC at most,\nby the stated ε",
        "",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for row in membership_rows(results):
        table.add_row(*(cell(row[key]) for key in ("words", "auc", "told", "most", "verdict")))
    return table


def membership_rows(results: AuditResults) -> list[dict[str, str]]:
    """That table's rows as text, for the terminal and the page."""
    return [_membership_row(found) for found in results.memberships]


def _membership_row(found: MembershipFinding) -> dict[str, str]:
    area = found.auc
    verdict = "" if found.most is None else "not refuted" if found.holds else "REFUTED"
    return {
        "words": found.words,
        "auc": f"{number(area.value, 3)} ({number(area.low, 3)} to {number(area.high, 3)})",
        "told": f"{number(100 * found.true_positive_rate, 2)} %",
        "most": "–" if found.most is None else number(found.most, 3),
        "verdict": verdict,
    }


def rows(results: AuditResults) -> list[dict[str, str]]:
    """The table's rows as text, for the terminal and the page."""
    return [_row(found) for found in results.findings]


def _row(found: AuditFinding) -> dict[str, str]:
    broken = found.mutation
    good, bad = ("missed", "caught") if broken else ("not refuted", "REFUTED")
    return {
        "words": f"broken: {broken.words}" if broken else found.stage.words,
        "stated": number(found.stage.stated, 2),
        "estimate": _estimate(found.estimate),
        "bound": _epsilon(found.epsilon_bound),
        "verdict": good if found.holds else bad,
    }


def _estimate(found: Interval | None) -> str:
    if found is None:
        return "–"
    return f"{_epsilon(found.value)} ({_epsilon(found.low)} to {_epsilon(found.high)})"


def _epsilon(value: float) -> str:
    return number(value, 2) if value < _LARGEST_SHOWN else f"> {_LARGEST_SHOWN:.0f}"


def closing_lines(results: AuditResults) -> list[str]:
    """Sentences under the table."""
    terms, lines = results.terms, []
    for told in results.memberships:
        if not told.holds:
            lines.append(f"WARNING: {told.words}: it tells more of who took part than the stated ε allows.")
    delta = small_number(terms.privacy.delta)
    for found in results.as_it_is:
        if not found.holds:
            lines.append(
                f"WARNING: {found.stage.words}: the attack refutes the stated ε (a true one is refuted in "
                f"{percent(1 - results.settings.attack.confidence)} of audits: repeat with another seed)."
            )
    for one in results.one_runs:
        if not one.holds:
            lines.append(f"WARNING: {one.words}: one run with many canaries refutes the stated ε.")
    for found in results.broken:
        if found.holds and found.mutation:
            lines.append(f"WARNING: missed: {found.mutation.words}. Give more runs.")
    lines.append(
        f"δ = {delta}; noise {terms.privacy.mode.name}. A bound is what this attack shows, and no proof of ε."
    )
    lines.append(f"Time: {results.seconds:.0f} s.")
    return lines


def audit_json(results: AuditResults) -> bytes:
    """The findings as JSON."""
    return (json.dumps(plain_results(results), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain_results(results: AuditResults) -> dict[str, Any]:
    """The findings as plain data: null for a number that is not finite, and for what was not estimated."""
    attack, terms = results.settings.attack, results.terms
    return {
        "version": VERSION,
        "study": terms.study,
        "terms_fingerprint": terms.fingerprint,
        "noise": terms.privacy.mode.name,
        "delta": terms.privacy.delta,
        "rounds": terms.training.rounds,
        "seed": results.settings.study.seed,
        "runs": attack.runs,
        "confidence": attack.confidence,
        "seconds": round(results.seconds, 1),
        "findings": [_plain(found) for found in results.findings],
        "one_runs": [_plain_one_run(found) for found in results.one_runs],
        "memberships": [plain_membership(found) for found in results.memberships],
    }


def _plain(found: AuditFinding) -> dict[str, object]:
    measured, estimate = found.measured, found.estimate
    return {
        "stage": found.stage.key,
        "mutation": found.mutation.name if found.mutation else None,
        "stated_epsilon": found.stage.stated,
        "epsilon_at_least": _finite(found.epsilon_bound),
        "epsilon_at_least_any_mechanism": _finite(measured.epsilon_any),
        "mu_at_least": _finite(measured.parameter_bound),
        "mu": [
            _finite(v) for v in (measured.parameter.value, measured.parameter.low, measured.parameter.high)
        ],
        "epsilon": [_finite(v) for v in (estimate.value, estimate.low, estimate.high)] if estimate else None,
        "refuted": not found.holds,
    }


def _plain_one_run(found: OneRunFinding) -> dict[str, object]:
    return {
        "stage": found.words,
        "stated_epsilon": found.stated,
        "canaries": found.canaries,
        "epsilon_at_least_by_shift": _finite(found.shift),
        "epsilon_at_least_by_guesses": found.guesses,
        "canaries_guessed_of": found.coins.canaries,
        "guesses": found.coins.guesses,
        "correct": found.coins.correct,
        "refuted": not found.holds,
    }


def plain_membership(found: MembershipFinding) -> dict[str, object]:
    """One finding about final models as plain data."""
    return {
        "model": found.words,
        "auc": [found.auc.value, found.auc.low, found.auc.high],
        "true_positive_rate": found.true_positive_rate,
        "false_positive_rate": FALSE_POSITIVE_RATE,
        "auc_at_most": found.most,
        "refuted": not found.holds,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def audit_page(results: AuditResults) -> str:
    """The page as text; every name is escaped."""
    return (
        environment()
        .get_template("audit.html")
        .render(
            results=results,
            attack=results.settings.attack,
            rows=rows(results),
            one_run_rows=one_run_rows(results),
            membership_rows=membership_rows(results),
            lines=closing_lines(results),
            charts=[Markup(histograms(found)) for found in results.as_it_is],  # noqa: S704 (escaped in Drawing)
            delta=small_number(results.terms.privacy.delta),
            confidence=percent(results.settings.attack.confidence),
        )
    )
