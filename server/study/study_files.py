"""What a served study leaves: the model with its marks, its card, the measurements, and a report; all of it signed."""

from collections import Counter
from pathlib import Path
from typing import Any

from wardround.protocol.files import write_durably
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.model.weight_error_file import WEIGHT_ERROR, weight_error_bytes
from wardround.protocol.terms.cost import epsilon_against, study_epsilon
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.numerals import small_number
from wardround.protocol.wire.signed_model import MODEL, SIGNATURE, sign_files
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.server.evaluation.assess import Assessment
from wardround.server.evaluation.measured import null_where_nan, summary_of
from wardround.server.report.card_text import Block, CardSection, CardTable, Items, to_html
from wardround.server.report.model_card import CardFacts, card_html, card_markdown, mark, measured_sections
from wardround.server.report.model_facts import model_facts
from wardround.server.store.checkpoint import resume
from wardround.server.store.event_log import closed_rounds, read_events
from wardround.server.study.exception_file import load_exception
from wardround.server.study.release_decision_file import load_release_decision
from wardround.server.study.served import ServedStudy


def write_files(study: ServedStudy, found: Assessment) -> tuple[Path, ...]:
    """Write every file of the study, each whole or not at all; gives the paths, the report last.

    The signature over all of them is written after them: a crash in between leaves files that nobody takes for
    signed, until ``resume`` writes them again.
    """
    terms = study.terms
    facts = card_facts(study, found)
    epsilon = study_epsilon(terms, terms.privacy.delta)["training"]
    model = model_bytes(terms.contract, terms.model, found.weights, model_facts(terms, found, epsilon))
    contents = {
        MODEL: model,
        "evaluation.json": canonical_json(null_where_nan(summary_of(found))) + b"\n",
        "model_card.md": card_markdown(facts).encode(),
        "model_card.html": card_html(facts).encode(),
        "report.json": canonical_json(report(study, found)) + b"\n",
        "report.html": report_html(study, facts).encode(),
    }
    if (error := _weight_error(study)) is not None:
        # Before the report, which stays the last of them.
        contents = {MODEL: model, WEIGHT_ERROR: error, **contents}
    exception = load_exception(study) if found.release_decision.exception_by else None
    signature = sign_files(study.home.key(), terms.study, terms.fingerprint, contents, exception)
    for name, content in {**contents, SIGNATURE: signature}.items():
        write_durably(study.folder.folder / name, content)
    return tuple(study.folder.folder / name for name in contents)


def _weight_error(study: ServedStudy) -> bytes | None:
    """Write how far noise may have moved the weights; None where the study's steps do not tell."""
    resumed = resume(study.folder.checkpoints, study.terms)
    factor = None if resumed is None else posterior_factor(study.terms, resumed.state.optimizer)
    return None if factor is None else weight_error_bytes(study.terms.contract, factor)


def card_facts(study: ServedStudy, found: Assessment) -> CardFacts:
    """Gather what card and report are written from."""
    terms = study.terms
    return CardFacts(
        terms=terms,
        assessment=found,
        epsilon_by_adversary=epsilon_against(terms, UPDATE, terms.last_round),
        parameters=len(found.weights),
        approved_by=load_release_decision(study.folder.release_decision)[0].approved_by,
    )


def report(study: ServedStudy, found: Assessment) -> dict[str, Any]:
    """Count by hospital what the log says; ε is what the terms promise each patient at most."""
    closed = closed_rounds(read_events(study.folder.events)).values()
    took_part = Counter(name for event in closed for name in event["accepted"])
    seconds = [float(event["seconds"]) for event in closed]
    return {
        "study": study.terms.study,
        "terms": study.terms.fingerprint,
        "rounds": study.terms.training.rounds,
        "rounds_by_hospital": {name: took_part[name] for name in study.terms.hospitals},
        "epsilon_at_most": study.terms.privacy.epsilon,
        "evaluation_epsilon_at_most": found.epsilon,
        "delta": study.terms.privacy.delta,
        "seconds_per_round": round(sum(seconds) / max(len(seconds), 1), 3),
        "releasable": found.release_decision.releasable,
        "simulation": study.terms.simulation,
    }


def report_html(study: ServedStudy, facts: CardFacts) -> str:
    """One page: what the study cost, who took part in which round, and what was measured of its model."""
    sections = (
        CardSection("The study", _study(study, facts)),
        CardSection("Rounds", _rounds(study)),
        *measured_sections(facts),
    )
    title = f"Report: {study.terms.study}"
    return to_html(title, mark(facts), facts.assessment.release_decision.releasable, sections)


def _study(study: ServedStudy, facts: CardFacts) -> tuple[Block, ...]:
    plain, terms = report(study, facts.assessment), study.terms
    counts: dict[str, int] = plain["rounds_by_hospital"]
    lines = (
        f"at most ε = {terms.privacy.epsilon:g} at δ = {small_number(terms.privacy.delta)} for a training patient, "
        "over all rounds",
        f"at most ε = {facts.assessment.epsilon:.4g} for a held-out patient, over all evaluations",
        f"terms {terms.fingerprint}",
    )
    rows = tuple((name, f"{count:,} of {terms.training.rounds:,}") for name, count in counts.items())
    return Items(lines), CardTable(("hospital", "rounds"), rows)


def _rounds(study: ServedStudy) -> tuple[Block, ...]:
    closed = closed_rounds(read_events(study.folder.events))
    rows = tuple(
        (
            str(number),
            ", ".join(event["accepted"]),
            "; ".join(
                [*(f"{name}: {reason}" for name, reason in event["rejected"].items()), *event["missing"]]
            ),
            f"{float(event['seconds']):.1f}",
        )
        for number, event in sorted(closed.items())
    )
    return (CardTable(("round", "in it", "not in it", "seconds"), rows),)
