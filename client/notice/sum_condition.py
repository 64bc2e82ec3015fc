"""The condition of what the notice states where a study has secure sums, and what holds without it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.notice.odds import Odds, odds
from wardround.client.policy.policy import Policy
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.terms.cost import events_left, releases, unmasked_event
from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.wire.signed_terms import SignedTerms


@dataclass(frozen=True)
class StudyOnSums:
    """A study with secure sums: its hospitals, this one among them, how many may help, the fewest in a sum."""

    name: str
    hospitals: int
    colluding: int
    honest: int


@dataclass(frozen=True)
class SumCondition:
    """What the stated odds stand on, and the odds where it does not hold.

    so_far: against whoever reads each release with this hospital's share of the noise alone, over all studies that were
    charged, those without secure sums too. planned: the same once the running studies have run to their end. No limit
    on all studies together covers this case; most: the policy's ``max_epsilon_unmasked``, for each study.
    """

    studies: tuple[StudyOnSums, ...]
    so_far: Odds
    planned: Odds
    most: float


def gather_condition(
    known: Sequence[SignedTerms],
    told: Collection[str],
    running: Sequence[SignedTerms],
    policy: Policy,
    ledger: SqliteLedger,
) -> SumCondition | None:
    """Read the condition; None where no study told of, or charged, has secure sums.

    known: all terms that are here. told: fingerprints of the studies on the page. running: those that may still learn.
    """
    terms = {signed.terms.fingerprint: signed.terms for signed in known}
    spent = (entry for entry in ledger.entries() if entry.kind in ("charged", "assumed"))
    met = {*told, *(str(entry.fields["terms"]) for entry in spent)}
    studies = tuple(
        StudyOnSums(one.study, len(one.hospitals), one.thresholds.colluding, one.thresholds.honest_shares)
        for fingerprint, one in terms.items()
        if fingerprint in met and one.secure_sum is not None
    )
    if not studies:
        return None
    joined = ledger.joined
    further = {account: still_unmasked(running, account, ledger, joined) for account in ACCOUNTS}
    # The larger one, as everywhere on the page: a patient is in one of the accounts, and it speaks to all.
    so_far, planned = (
        max(
            ledger.spent_unmasked(account, policy.delta, further=more.get(account, ()), joined=joined)
            for account in ACCOUNTS
        )
        for more in ({}, further)
    )
    return SumCondition(
        studies, odds(so_far, policy.delta), odds(planned, policy.delta), policy.max_epsilon_unmasked
    )


def still_unmasked(
    running: Sequence[SignedTerms], account: str, ledger: SqliteLedger, joined: bool
) -> list[PrivacyEvent]:
    """Give what running studies may still charge an account, with one share of the noise in secure sums.

    joined: both accounts, where they add up.
    """
    return [
        unmasked_event(signed.terms, of, event)
        for signed in running
        for of, _ in releases(signed.terms)
        if joined or of == account
        for event in events_left(
            signed.terms, of, ledger.rounds_charged(signed.operator, signed.terms.fingerprint, of)
        )
    ]
