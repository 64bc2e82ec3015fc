"""The model card says what the run's facts say, in Markdown and HTML, and no text from data becomes markup."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.builders import SEX, small_contract
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.gaussian_dp import gaussian_excess, gaussian_parameter
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.cost import (
    both_accounts_epsilon,
    epsilon_against,
    study_epsilon,
    two_hospitals_epsilon,
)
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings, table_factors
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.screen import NoRelease
from wardround.server.evaluation.assess import Assessment, assess, measuring, unmeasured
from wardround.server.evaluation.bands import calibration_bars, roc_band
from wardround.server.report.model_card import CardFacts, card_html, card_markdown

TODAY = date(2026, 3, 1)


def terms_of(**fairness: object) -> Terms:
    contract = contract_from_mapping(
        small_contract(
            version=3,
            purpose="reminders | <b>bold</b>",
            consent={"required": True, "basis": "a [signed](form) & more"},
            features={"sex": {**SEX, "vocabulary": ["<i>F", "M"]}},
            groups=["sex"],
        )
    )
    return propose(
        study="tea",
        contract=contract,
        model=ModelSettings(),
        privacy=PrivacySettings(),
        training=TrainingSettings(rounds=2),
        public_patients={"north": 4000, "south": 6000},
        simulation=True,
        evaluation=EvaluationSettings(score_bins=10),
        fairness=FairnessSettings(**fairness),  # type: ignore[arg-type]
    )


def answering(terms: Terms, shift: float):
    """Hospitals whose tables have scores that tell, lower by ``shift`` bins for the second group."""

    def ask(plans: list[RoundPlan]) -> list[Release]:
        counts = np.zeros((4, 2, 10))
        for group, size in ((1, 2000.0), (2, 1500.0)):
            middle = 6 - shift * (group == 2)
            for label, where in ((0, middle - 1), (1, middle + 1)):
                bump = np.exp(-((np.arange(10) - where) ** 2) / 4)
                counts[group, label] = size / 2 * bump / bump.sum()
        counts[0] = counts[1:].sum(axis=0)
        factors = table_factors(terms.contract, terms.evaluation)  # type: ignore[arg-type]
        vector = (contrasts(10).of(counts) * factors[:, None, None]).ravel().astype(np.float32)
        return [
            Release(
                study="tea",
                hospital=plan.hospital,
                round=plan.round,
                terms_fingerprint=terms.fingerprint,
                weights_digest=plan.weights_digest,
                vector=vector,
                simulation=True,
                account=plan.account,
            )
            for plan in plans
        ]

    return ask


def assessed(terms: Terms, shift: float = 0.0, **settings: object) -> Assessment:
    state = rounds.skip_to(rounds.init(terms), 3)
    # What these tables are scored by is calibrated by nobody.
    decision = ReleaseDecisionSettings(max_calibration_gap=1.0, **settings)  # type: ignore[arg-type]
    return assess(terms, state, measuring(terms, answering(terms, shift)), decision, TODAY)


def facts_of(terms: Terms, assessment: Assessment, *people: str) -> CardFacts:
    return CardFacts(
        terms=terms,
        assessment=assessment,
        epsilon_by_adversary={"model": 0.9876, "server": 1.2345},
        parameters=4,
        approved_by=people,
    )


def test_it_says_what_the_facts_say() -> None:
    terms = terms_of()
    facts = facts_of(terms, assessed(terms), "Dr. Weiss")
    for card in (card_markdown(facts), card_html(facts)):
        for text in (
            terms.fingerprint,
            terms.contract.fingerprint,
            "0.988",
            "1.234",
            "2027-03-01",
            "approved by: Dr. Weiss",
            "10,000",
            "Releasable",
            "simulation",
            "δ = 10⁻⁵",
        ):
            assert text in card, text
        auc = facts.assessment.released.evaluation.auc  # type: ignore[union-attr]
        assert f"{auc.value:.3f}" in card


def test_it_says_that_events_counted_by_their_propensities() -> None:
    terms = terms_of()
    plain = {**terms.contract.to_mapping(), "propensity": {"column": "chance", "least": 0.25}}
    weighed = replace(terms, contract=contract_from_mapping(plain))
    for study, said in ((weighed, True), (terms, False)):
        state = rounds.skip_to(rounds.init(study), 3)
        nobody = unmeasured(study, state, ReleaseDecisionSettings(), TODAY)
        card = card_markdown(facts_of(study, nobody))
        assert ("what an event counts: 0.25 ÷ its propensity, at most 1" in card) == said


def test_it_says_what_delta_is_not_and_what_two_hospitals_cost() -> None:
    terms = terms_of()
    card = card_markdown(facts_of(terms, assessed(terms)))
    chance = gaussian_excess(gaussian_parameter(0.9876, terms.privacy.delta), 0.9876)
    assert f"δ is not the chance that the factor is exceeded: that chance is {chance:.1e}." in card
    assert f"ε is then at most {two_hospitals_epsilon(terms, terms.privacy.delta):.3f}." in card
    assert "but for a chance of" not in card
    both = both_accounts_epsilon(terms, terms.privacy.delta)
    assert f"a patient there may have been both, at ε = {both:.3f} at most" in card
    assert both > max(study_epsilon(terms, terms.privacy.delta).values())


def test_in_secure_sums_it_says_how_many_hospitals_are_assumed_to_help_and_what_if_every_mask_failed() -> (
    None
):
    terms = propose(
        study="tea",
        contract=contract_from_mapping(small_contract()),
        model=ModelSettings(),
        privacy=PrivacySettings(noise="secure"),
        training=TrainingSettings(rounds=2),
        public_patients=dict.fromkeys([f"h{number}" for number in range(20)], 1000),
        simulation=True,
    )
    state = rounds.skip_to(rounds.init(terms), 4)
    nobody = unmeasured(terms, state, ReleaseDecisionSettings(), TODAY)
    costs = epsilon_against(terms, UPDATE, terms.last_round)
    text = card_markdown(replace(facts_of(terms, nobody), epsilon_by_adversary=costs))
    assert "a server that lies, with 2 other hospitals" in text
    assert f"{costs['masks_failed']:.3f}" in text


def test_texts_from_data_cannot_become_markup() -> None:
    terms = terms_of()
    facts = facts_of(terms, assessed(terms), "<script>alert(1)</script>")
    page, text = card_html(facts), card_markdown(facts)
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "<i>F" not in page
    assert "default-src 'none'" in page
    assert "\\[signed\\](form)" in text
    assert "\\<script\\>" in text
    # A cell that holds a bar would open another column.
    lines = [line for line in text.splitlines() if line.startswith("| sex")]
    assert lines
    assert all("<i>" not in line for line in lines)


def test_an_unmet_limit_is_on_top_and_an_exception_beside_its_reason() -> None:
    terms = terms_of(max_selection_gap=0.1)
    stopped = card_markdown(facts_of(terms, assessed(terms, shift=3.0)))
    assert "**Not releasable: selection by sex" in stopped
    signed = assessed(terms, shift=3.0, exception_by="Dr. Weiss", exception_reason="both groups are called")
    card = card_markdown(facts_of(terms, signed))
    assert "**Releasable, by the exception that Dr. Weiss signed" in card
    assert "both groups are called" in card
    assert "limit 0.1 exceeded" in card


def test_the_effect_of_a_mitigation_is_shown() -> None:
    terms = terms_of(max_selection_gap=0.1, mitigation="equal_selection")
    found = assessed(terms, shift=3.0)
    assert found.event is not None
    assert found.event.count == 2
    card = card_markdown(facts_of(terms, found))
    assert "Mitigation “equal selection”" in card
    assert f"| sex: M | {found.thresholds['sex']['M']:.3f} |" in card
    assert found.thresholds["sex"]["M"] < found.thresholds["sex"]["<i>F"]


def test_without_an_evaluation_there_is_a_card_but_no_release() -> None:
    terms = replace(terms_of(), evaluation=None)
    nobody = measuring(terms, lambda plans: [])
    found = assess(terms, rounds.skip_to(rounds.init(terms), 3), nobody, ReleaseDecisionSettings(), TODAY)
    card = card_markdown(facts_of(terms, found))
    assert "Not releasable: it was not evaluated" in card
    assert "Not evaluated." in card
    assert found.epsilon == 0
    assert found.event is None


def test_refusals_are_named_where_nobody_answers() -> None:
    from wardround.protocol.errors import ConfigurationError

    terms = terms_of()
    state = rounds.skip_to(rounds.init(terms), 3)

    def refused(plans: Sequence[RoundPlan]) -> list[NoRelease]:
        return [NoRelease(plan.hospital, "refused: max_epsilon_for_life") for plan in plans]

    with pytest.raises(ConfigurationError, match=r"no release \(refused: max_epsilon_for_life\)"):
        assess(
            terms,
            state,
            measuring(terms, refused),
            ReleaseDecisionSettings(),
            TODAY,
        )


def test_curves_are_drawn_with_bands_and_say_what_holds_at_once() -> None:
    terms = terms_of()
    facts = facts_of(terms, assessed(terms))
    html, markdown = card_html(facts), card_markdown(facts)
    assert html.count("<svg ") == html.count("</svg>") == 2
    assert "<svg" not in markdown
    for card in (html, markdown):
        assert (
            "95% band: it includes the noise and the draw of the patients, and holds at all marked points"
            in card
        )
        assert "hold at all ranges at once" in card
        assert "Every patient weighs the same, also in the AUC" in card
    found = facts.assessment.released.evaluation  # type: ignore[union-attr]
    assert html.count("<circle ") == len(roc_band(found).curve) - 2 + len(calibration_bars(found))


def test_a_simulations_card_has_the_exact_numbers_beside_the_noised_ones_and_no_other_has_them() -> None:
    terms = terms_of()
    facts = facts_of(terms, assessed(terms))
    assert "exact" not in card_markdown(facts)
    measures = dict.fromkeys(("selection", "true_positive", "false_positive", "calibration"), 0.25)
    group = {"attribute": "sex", "group": "M", "patients": 1234.0, **measures, "auc": math.nan}
    exact = {"auc": 0.8125, "log_loss": 0.5, "calibration_gap": 0.0, "prevalence": 0.5, "patients": 7000.0}
    card = card_markdown(replace(facts, exact=exact, exact_groups=(group,)))
    assert "exact, without noise |" in card
    assert "| 0.812 |" in card
    assert "| sex: M | 1,234 | 0.250 |" in card
    assert "– |" in card.split("sex: M | 1,234")[1].split("\n")[0]
