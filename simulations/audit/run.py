"""One audit, told once: tables → terms → attacks → table on the terminal and files."""

import time
from dataclasses import dataclass
from pathlib import Path

from wardround.conf.audited import AuditSettings
from wardround.protocol.files import write_durably
from wardround.simulations.audit.membership import memberships
from wardround.simulations.audit.report import (
    audit_json,
    audit_page,
    audit_table,
    closing_lines,
    membership_table,
    one_run_table,
)
from wardround.simulations.audit.results import AuditResults
from wardround.simulations.audit.stages import findings, one_runs, stages
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.report.run_files import make_room
from wardround.simulations.report.terminal import draw, show
from wardround.simulations.study.study import simulated_terms


@dataclass(frozen=True)
class AuditFiles:
    """Where an audit's files are; page is None where ``report.html`` is false."""

    summary: Path
    page: Path | None


def run(settings: AuditSettings) -> AuditFiles:
    """Run the audit, leave its files in ``settings.study.output_dir``, and print its table.

    Errors: those of ``protocol.errors``; nothing is written then.
    """
    results = conduct(settings)
    folder = settings.study.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder / "audit.json", folder / "audit.html")
    page = folder / "audit.html" if settings.study.report.html else None
    if page is not None:
        write_durably(page, audit_page(results).encode())
    write_durably(folder / "audit.json", audit_json(results))
    draw(audit_table(results))
    if results.one_runs:
        draw(one_run_table(results))
    if results.memberships:
        draw(membership_table(results))
    show(*closing_lines(results), f"Audit: {page or folder / 'audit.json'}")
    return AuditFiles(folder / "audit.json", page)


def conduct(settings: AuditSettings) -> AuditResults:
    """Run the audit and give what it found; nothing is written and nothing printed."""
    started = time.perf_counter()
    federation = load_cached(settings.study)
    terms = simulated_terms(settings.study, federation)
    listed = stages(federation, terms, settings.attack.others)
    attack, seed = settings.attack, settings.study.seed
    found = tuple(findings(listed, attack, seed))
    once = tuple(one_runs(listed, attack, seed))
    told = memberships(federation, terms, attack.models, attack.confidence, seed)
    seconds = time.perf_counter() - started
    return AuditResults(
        settings=settings, terms=terms, findings=found, one_runs=once, memberships=told, seconds=seconds
    )
