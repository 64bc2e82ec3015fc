"""The model card: what a model is, what it cost, how good and how fair it is, and who answers for it.

Written from the run's facts alone: the signed terms and what was measured privately. Nothing in it was read
off a patient's table without noise. After Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardround.protocol.contract.contract import TABLES
from wardround.protocol.privacy.gaussian_dp import gaussian_excess, gaussian_parameter
from wardround.protocol.terms.cost import (
    SMALLEST_SUM,
    both_accounts_epsilon,
    colluding_hospitals,
    two_hospitals_epsilon,
)
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.server.evaluation.assess import Assessment
from wardround.server.report.adversaries import adversary
from wardround.server.report.card_text import Block, CardSection, CardTable, Items, to_html, to_markdown
from wardround.server.report.measured_blocks import accuracy_blocks, fairness_blocks


@dataclass(frozen=True, eq=False)
class CardFacts:
    """What the card is written from.

    epsilon_by_adversary: as ``protocol.privacy.accounting`` gives it. warnings: what a reader must be told
    before any figure. exact, exact_groups: what a simulation knows beside what was measured, without noise.
    """

    terms: Terms
    assessment: Assessment
    epsilon_by_adversary: Mapping[str, float]
    parameters: int
    approved_by: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    exact: Mapping[str, float] | None = None
    exact_groups: Sequence[Mapping[str, Any]] = ()


def card_html(facts: CardFacts) -> str:
    """One self-contained page."""
    return to_html(_title(facts), mark(facts), facts.assessment.release_decision.releasable, sections(facts))


def card_markdown(facts: CardFacts) -> str:
    """The same as Markdown."""
    return to_markdown(_title(facts), mark(facts), sections(facts))


def mark(facts: CardFacts) -> str:
    """Say in one line whether the model may be used."""
    decision = facts.assessment.release_decision
    if not decision.releasable:
        return f"Not releasable: {'; '.join(decision.blocks)}."
    signed = f", by the exception that {decision.exception_by} signed" if decision.exception_by else ""
    simulated = " (simulation: not for real patients)" if facts.terms.simulation else ""
    return f"Releasable{signed}, usable until {decision.usable_until.isoformat()}{simulated}."


def sections(facts: CardFacts) -> tuple[CardSection, ...]:
    """Give the card's contents in their order."""
    return (
        CardSection("What it is", _what(facts)),
        CardSection("Data contract", _contract(facts)),
        CardSection("Consent", _consent(facts)),
        CardSection("Privacy: what it cost a patient", _privacy(facts)),
        CardSection("Accuracy", _accuracy(facts)),
        CardSection("Fairness", _fairness(facts)),
        CardSection("Limits of use", _limits(facts)),
        CardSection("Who is responsible", _people(facts)),
    )


def measured_sections(facts: CardFacts) -> tuple[CardSection, ...]:
    """Give what was measured privately, for a report."""
    return CardSection("Accuracy", _accuracy(facts)), CardSection("Fairness", _fairness(facts))


def _title(facts: CardFacts) -> str:
    return f"Model card: {facts.terms.study}"


def _what(facts: CardFacts) -> tuple[Block, ...]:
    terms = facts.terms
    contract = terms.contract
    outcome = f"Engaged means that {contract.label.column} is {' or '.join(contract.label.engaged)}"
    return (
        f"Predicts the chance that a patient engages with a message, for the purpose {contract.purpose}. "
        f"{outcome}.",
        Items(
            (
                f"model: {terms.model.kind}, {facts.parameters:,} parameters",
                f"trained together by {len(terms.hospitals):,} hospitals in {terms.training.rounds:,} rounds",
                f"terms {terms.fingerprint}",
                f"contract {contract.name} {contract.version}, {contract.fingerprint}",
            )
        ),
    )


def _contract(facts: CardFacts) -> tuple[Block, ...]:
    contract = facts.terms.contract
    columns = tuple(
        (table, ", ".join(contract.columns(table))) for table in TABLES if contract.columns(table)
    )
    retention = f"{contract.retention_days} days" if contract.retention_days else "no limit"
    declared = sum(facts.terms.training.public_patients.values())
    drawn = contract.propensity
    weighed = () if drawn is None else (f"what an event counts: {drawn.least:g} ÷ its propensity, at most 1",)
    return (
        "Hospitals read these columns and no others:",
        CardTable(("table", "columns"), columns),
        Items(
            (
                f"events of one patient that are learned from: at most {contract.events_per_patient}",
                f"age of events that are used: {retention}",
                f"training patients, as the hospitals declared them: {declared:,}",
                f"groups compared for fairness: {', '.join(contract.groups) or 'none'}",
                *weighed,
            )
        ),
    )


def _consent(facts: CardFacts) -> tuple[Block, ...]:
    consent = facts.terms.contract.consent
    required = "Patients had to consent to the purpose" if consent.required else "No consent was required"
    blocks: list[Block] = [f"{required}. Basis: {consent.basis or 'not stated'}."]
    topic = facts.terms.contract.topic
    if topic is not None and topic.sensitive:
        blocks.append(f"Topics that needed a separate opt-in: {', '.join(topic.sensitive)}.")
    blocks.append(
        "Consent was checked at every round. What earlier rounds learned from a patient who later withdrew remains, "
        "bounded by ε."
    )
    return tuple(blocks)


_PAIRS_ROUND = (
    " In the last round they sent sums of what the model left unexplained, by pairs of bins of two features, clipped "
    "and noised in the same way. The server reads interactions of features from them."
)


def _privacy(facts: CardFacts) -> tuple[Block, ...]:
    terms, assessment = facts.terms, facts.assessment
    measured = assessment.epsilon_by_adversary
    rows = [
        (_against(key, terms), f"{epsilon:.3f}", f"{measured[key]:.3f}" if key in measured else "–")
        for key, epsilon in facts.epsilon_by_adversary.items()
    ]
    shared = not terms.privacy.mode.alone
    moments = terms.training.moment_rounds
    in_place = (
        f" In {moments} of {terms.training.rounds} rounds hospitals sent sums of the patients' mean rows of features "
        "instead of gradients, clipped and noised in the same way. The server uses them for its second-order steps."
    )
    return (
        "The guarantee is for one patient with all events at one hospital. It holds against each reader below: with or "
        "without this patient, the chance of any conclusion changes by a factor of at most e^ε, plus at most "
        f"δ = {small_number(terms.privacy.delta)}. "
        f"{_excess(terms, facts.epsilon_by_adversary)}",
        CardTable(("against", "ε of a training patient", "ε of a held-out patient"), tuple(rows)),
        "At one hospital a patient is either a training or a held-out patient, so the two do not add up there"
        + _if_joined(terms) + " A person who is a patient at two hospitals may be one kind at each: ε is then at most "
        f"{two_hospitals_epsilon(terms, terms.privacy.delta):.3f}.",
        f"Each patient's gradient was {_MAPPED if terms.precondition else ''}clipped to "
        f"{terms.privacy.clip_norm:g}. The noise was "
        + ("shared between hospitals, in secure sums: no release is seen by itself." if shared else
           "added in full at each hospital.") + (in_place if moments else "")
        + (_PAIRS_ROUND if terms.model.structure.interactions else ""),
    )  # fmt: skip


_MAPPED = "multiplied by a public matrix, which the server undoes, then "


def _if_joined(terms: Terms) -> str:
    """Say what holds at a hospital that changed who is one patient: the operator is not told whether one did."""
    if terms.evaluation is None:
        return "."
    both = both_accounts_epsilon(terms, terms.privacy.delta)
    return (
        ", unless the hospital changed how it tells one patient from another after its first release (column, form or "
        f"key of the identifier). Then a patient there may have been both, at ε = {both:.3f} at most against its own "
        "releases. That hospital's ledger adds both up, and its notice to patients says so."
    )


def _against(key: str, terms: Terms) -> str:
    found = adversary(key, colluding_hospitals(terms))
    return f"{found.who} ({found.sees})"


def _excess(terms: Terms, epsilon_by_adversary: Mapping[str, float]) -> str:
    """Say how often the factor is exceeded, which is not δ; for full participation, whose loss is known exactly."""
    # In secure sums the stated ε is that of the smallest sum; whoever has the model alone sees more noise.
    epsilon = epsilon_by_adversary.get(SMALLEST_SUM) or epsilon_by_adversary.get("model", 0.0)
    if terms.training.sampling_rate < 1 or not epsilon:
        return "δ is not the chance that the factor is exceeded: that chance is larger."
    chance = gaussian_excess(gaussian_parameter(epsilon, terms.privacy.delta), epsilon)
    return f"δ is not the chance that the factor is exceeded: that chance is {chance:.1e}."


def _accuracy(facts: CardFacts) -> tuple[Block, ...]:
    return accuracy_blocks(facts.assessment.released, facts.exact)


def _fairness(facts: CardFacts) -> tuple[Block, ...]:
    return fairness_blocks(facts.assessment, facts.terms.fairness.mitigation, facts.exact_groups)


def _limits(facts: CardFacts) -> tuple[Block, ...]:
    contract = facts.terms.contract
    lines = [
        f"Use it for the purpose {contract.purpose} only. "
        "Do not use it for clinical decisions or to decide who gets care.",
        "It predicts how patients like these engage, not why. A low score is no reason to send nothing.",
        "It was not tested on patients of other hospitals, or at times outside the tables.",
        "The report says nothing about groups that are suppressed or that the contract does not name.",
    ]
    if facts.terms.simulation:
        # First: whoever reads one line of the limits reads this one.
        lines.insert(
            0,
            "This is a simulation. Its noise came from a seed and protects nobody. Do not use it with real patients.",
        )
    lines = [*(f"Warning: {warning.rstrip('.')}." for warning in facts.warnings), *lines]
    return (Items(tuple(lines)),)


def _people(facts: CardFacts) -> tuple[Block, ...]:
    decision = facts.assessment.release_decision
    lines = [f"approved by: {name}" for name in facts.approved_by] or ["approved by: nobody is named"]
    lines.append(f"usable until: {decision.usable_until.isoformat()}")
    if decision.exception_by:
        lines.append(f"exception signed by {decision.exception_by}: {decision.exception_reason}")
    lines += [f"not met: {block}" for block in decision.blocks]
    return (Items(tuple(lines)),)
