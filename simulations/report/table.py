"""The terminal's view of a run: one table that reads in 80 columns and without colour."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from wardround.protocol.terms.cost import MASKS_FAILED, SMALLEST_SUM
from wardround.protocol.text.numerals import small_number
from wardround.server.report.adversaries import adversary
from wardround.simulations.report.engaged import engagement_lines, engagement_table
from wardround.simulations.report.plots import number, percent
from wardround.simulations.report.run_files import RunFiles
from wardround.simulations.report.scores import METHODS
from wardround.simulations.report.summary import PROTECTS_NOBODY_WARNING, Results
from wardround.simulations.report.terminal import cell, console, draw, show


def comparison_table(results: Results) -> Table:
    """Put methods beside each other: AUC over all events, averaged over hospitals, log-loss, calibration."""
    title = cell(f"{results.study}: {len(results.hospitals):,} hospitals, held-out patients")
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("method", no_wrap=True)
    for column in ("ε", "AUC", "AUC by\nhospital", "log-loss", "calibr.\nerror"):
        table.add_column(column, justify="right", no_wrap=True)
    for method in METHODS:
        if method.key not in results.scores:
            continue
        found = results.scores[method.key]
        cells = [
            f"{results.privacy.patient_epsilon:.2f}" if method.private else "none",
            number(found.auc),
            number(found.macro_auc),
            number(found.log_loss),
            number(found.calibration.expected_error),
        ]
        cells[0] = "–" if method.key == "best_possible" else cells[0]
        table.add_row(method.title, *cells, style="bold" if method.key == "federated_private" else "")
    return table


def print_run(results: Results, files: RunFiles) -> None:
    """Print how tables were read, the methods side by side, what privacy cost, warnings, and where the files are."""
    for line in results.how_read.values():
        console().print(cell(f"Read {line}"))
    if results.how_read:
        console().print(cell(_set_aside_line(results)))
    draw(comparison_table(results))
    if results.outreach is not None:
        draw(engagement_table(results.outreach))
    for line in closing_lines(results):
        console().print(cell(line))
    show(f"Report: {files.report or files.summary}")
    if files.card is not None:
        show(f"Model card: {files.card}")


def _set_aside_line(results: Results) -> str:
    """Say how many rows of a table of one's own nobody learns from, by the gate's reasons; the largest first."""
    # What passed the gate is counted beside what did not: "training events", "heldout patients".
    reasons = {
        name: n for name, n in results.gate.items() if n and not name.endswith((" events", " patients"))
    }
    largest_first = sorted(reasons.items(), key=lambda item: -item[1])
    return f"Set aside: {', '.join(f'{name} {n:,}' for name, n in largest_first) or 'no row'}."


def closing_lines(results: Results) -> list[str]:
    """Sentences under the table."""
    privacy, lines = results.privacy, []
    delta = small_number(privacy.delta)
    against = "whoever gets the model"
    if not privacy.mode.alone:
        against = adversary(SMALLEST_SUM, privacy.colluding).who
    lines.append(f"Patient ε = {privacy.patient_epsilon:.3f} at δ = {delta}, against {against}.")
    if not privacy.mode.alone:
        failed = privacy.epsilon_by_adversary[MASKS_FAILED]
        lines.append(f"If every mask failed: ε = {failed:.1f}.")
    if results.why_additive:
        lines.append(f"{results.why_additive}.")
    if results.real_table:
        lines.insert(0, f"WARNING: {PROTECTS_NOBODY_WARNING}")
    if "local_private" in results.scores:
        share = percent(results.share_better_together)
        lines.append(f"{share} of hospitals do better together than alone at the same ε.")
    lines += _assessed_lines(results)
    lines += engagement_lines(results.outreach, results.releasable) if results.outreach is not None else []
    left_out = next((scores.one_class for scores in results.scores.values()), 0)
    if left_out:
        lines.append(
            f"The mean over hospitals leaves out {left_out} whose held-out patients all engaged or all did not."
        )
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in results.seconds.items())
    lines.append(f"Time: {seconds}. Peak memory: {results.peak_rss_mb:,.0f} MB.")
    return lines


def _assessed_lines(results: Results) -> list[str]:
    """Say what was measured privately, whether anybody is worse off, and whether the model may be used."""
    lines = []
    found = results.no_worse_off
    if found is not None and found.hospitals:
        who = f" (worse: {', '.join(found.exceptions)})" if found.exceptions else ""
        share = f"{percent(found.share)} of {found.hospitals} hospitals with at least {found.least_patients} patients"
        lines.append(f"{share} do no worse with the personalised model than alone without privacy{who}.")
    if results.assessment is None:
        return lines
    released, decision = results.assessment.released, results.assessment.release_decision
    if released is not None:
        auc = released.evaluation.auc.text(released.evaluation.confidence)
        spent = results.privacy.evaluation_epsilon
        lines.append(
            f"Private evaluation (each patient weighs the same): AUC {auc}. Held-out patients paid ε = {spent:.3f}."
        )
    blocks = f": {'; '.join(decision.blocks)}" if decision.blocks else ""
    lines.append(f"{'Releasable' if decision.releasable else 'Not releasable'}{blocks}.")
    return lines
