"""What a secure sum gives and on what it stands, in the words that a privacy officer answers for at approval."""

from dataclasses import dataclass

from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.notice.sum_condition import still_unmasked
from wardround.client.policy.peers import KnownMembers
from wardround.client.policy.policy import Forecast, Policy, known_in
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import (
    releases,
    two_hospitals_epsilon,
    unmasked_epsilon,
    unmasked_event,
)
from wardround.protocol.terms.terms import ACCOUNTS, Terms
from wardround.protocol.wire.roster_phrase import PHRASE_COST, ScryptCost, roster_phrase
from wardround.protocol.wire.signed_terms import SignedTerms


@dataclass(frozen=True, kw_only=True)
class SumFacts:
    """A study's secure sums, as one hospital sees them.

    hospitals: N of the terms. colluding: t. honest: m, the fewest honest hospitals in any sum that a lying operator
    gets. Each ε is the larger one of both accounts, at the policy's δ: epsilon while at most t help the operator,
    unmasked otherwise, two_hospitals of a person who is a patient at two; unmasked_ever is what unmasked comes to with
    all that this hospital's ledger holds, once the study has run to its end. words: the roster's, to be read aloud.
    """

    hospitals: int
    known: KnownMembers
    colluding: int
    honest: int
    epsilon: float
    unmasked: float
    unmasked_ever: float
    two_hospitals: float
    words: str


def gather_sums(
    policy: Policy, signed: SignedTerms, seen: Forecast, ledger: SqliteLedger, cost: ScryptCost = PHRASE_COST
) -> SumFacts | None:
    """Read the facts, None where the study has no secure sums. The words take two seconds of processor time.

    seen: the study's forecast, which says whether the same patients pay for both accounts.
    """
    terms = signed.terms
    if terms.secure_sum is None:
        return None
    return SumFacts(
        hospitals=len(terms.hospitals),
        known=known_in(policy, terms),
        colluding=terms.thresholds.colluding,
        honest=terms.thresholds.honest_shares,
        epsilon=max(seen.epsilon, seen.heldout_epsilon),
        unmasked=_unmasked(terms, policy.delta, seen.joined),
        unmasked_ever=_unmasked_ever(signed, policy.delta, seen.joined, ledger),
        two_hospitals=two_hospitals_epsilon(terms, policy.delta, seen.joined),
        words=roster_phrase(terms.secure_sum.members, cost),
    )


def sum_sentences(facts: SumFacts) -> tuple[str, ...]:
    """Say what the sums give against whom; a line each."""
    known, others = facts.known, "other" if facts.colluding == 1 else "others"
    return (
        f"{facts.hospitals} hospitals. You know {len(known.direct)} of them yourself, {len(known.by_vouchers)} by more "
        f"than {facts.colluding} {others}, {len(known.unknown)} not: they count as helpers of the operator.",
        f"If no more than {facts.colluding} of the {facts.hospitals} help the operator (or were broken into, copied or "
        f"restored), the operator sees only sums of at least {facts.honest} hospitals: ε = {facts.epsilon:.4g}.",
        f"If more do, or the encryption is broken one day: ε = {facts.unmasked:.4g}; and with all that ever left this "
        f"hospital, once this study has ended: ε = {facts.unmasked_ever:.4g}.",
        f"A patient at two hospitals: ε = {facts.two_hospitals:.4g}.",
    )


def roster_lines(facts: SumFacts) -> tuple[str, ...]:
    """Name whom this hospital does not know itself, and give the words that all hospitals must have alike."""
    named = (
        ("Known by others' word alone", facts.known.by_vouchers),
        ("Not known", facts.known.unknown),
    )
    return (
        *(f"{what}: {', '.join(names)}." for what, names in named if names),
        f"The hospitals and their keys, as eight words: {facts.words}",
        "Compare all eight with the other hospitals: whoever has other words was shown another list.",
    )


def _unmasked_ever(signed: SignedTerms, delta: float, joined: bool, ledger: SqliteLedger) -> float:
    """Compose all that was charged here and the rest of this study if every mask failed, by the worse account."""
    return max(
        ledger.spent_unmasked(
            account, delta, further=still_unmasked([signed], account, ledger, joined), joined=joined
        )
        for account in ACCOUNTS
    )


def _unmasked(terms: Terms, delta: float, joined: bool) -> float:
    """Compose what a study costs if every mask failed, by the worse account, or by both where they are one's."""
    if not joined:
        return max(unmasked_epsilon(terms, delta).values())
    return compose_epsilon(
        [unmasked_event(terms, account, event) for account, found in releases(terms) for event in found],
        delta,
    )
