"""The model card of a simulated run, and its measured parts as they stand in the report."""

from markupsafe import Markup

from wardround.server.report.card_text import block_html
from wardround.server.report.model_card import CardFacts, card_html, card_markdown, measured_sections
from wardround.simulations.report.summary import Results


def card_facts(results: Results) -> CardFacts | None:
    """Gather what the card is written from; None where the model was not assessed."""
    if results.terms is None or results.assessment is None:
        return None
    exact = results.exact
    return CardFacts(
        terms=results.terms,
        assessment=results.assessment,
        epsilon_by_adversary=results.privacy.epsilon_by_adversary,
        parameters=len(results.weights),
        approved_by=results.approved_by,
        warnings=results.warnings,
        exact=exact.measures if exact else None,
        exact_groups=exact.groups if exact else (),
    )


def card_files(results: Results) -> dict[str, bytes]:
    """Give the card's files by name; none where the model was not assessed."""
    facts = card_facts(results)
    if facts is None:
        return {}
    return {"model_card.html": card_html(facts).encode(), "model_card.md": card_markdown(facts).encode()}


def measured(results: Results) -> list[tuple[str, Markup]]:
    """Give title and escaped HTML of what was measured privately: accuracy and fairness."""
    facts = card_facts(results)
    if facts is None:
        return []
    return [
        (section.title, Markup("".join(map(block_html, section.blocks))))  # noqa: S704 (escaped by block_html)
        for section in measured_sections(facts)
    ]
