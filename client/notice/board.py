"""The page for a privacy board, before a study is decided on: from the terms, the policy and the ledger alone.

It may be sent to the board as it stands: no count of patients is on it, only what the terms declare and whether the
hospital's floors hold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from wardround.client.gate.identity import HELDOUT_SHARE
from wardround.client.ledger.port import Ledger
from wardround.client.notice.odds import Odds, odds
from wardround.client.notice.page import dots, render
from wardround.client.notice.sum_words import SumFacts, roster_lines, sum_sentences
from wardround.client.notice.uplift_words import stated_words
from wardround.client.notice.words import count_words, used_features
from wardround.client.policy.policy import Forecast, Policy
from wardround.protocol.model.sizes import numbers_released
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.privacy.gaussian_dp import gaussian_excess, gaussian_parameter
from wardround.protocol.terms.cost import events_left, releases, two_hospitals_epsilon
from wardround.protocol.terms.evaluation import table_size
from wardround.protocol.terms.limits import Clause
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.text import visible
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.protocol.wire.signing import key_fingerprint


@dataclass(frozen=True)
class Cost:
    """What one account's patients pay, composed: this study by itself, all so far, all with the study's rest.

    Where who is one patient has changed, both accounts are of the same patients, and each is what both come to.
    """

    account: str
    study: float
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """Everything that the page says.

    seen: the study's clauses, those of the ledger included; checks: those that depend on the tables. excess: the
    chance that the factor e^ε is exceeded, None where patients are sampled. after: odds when the study has run;
    life: at the policy's cap. sums: on whom its secure sums stand, None where it has none.
    """

    hospital: str
    at: datetime
    terms: Terms
    operator: str
    operator_listed: bool
    operator_key: str
    decision: str
    policy: Policy
    seen: Forecast
    checks: tuple[Clause, ...]
    costs: tuple[Cost, ...]
    two_hospitals: float
    excess: float | None
    study_odds: Odds
    after: Odds
    life: Odds
    policy_digest: str
    ledger_head: str
    sums: SumFacts | None = None

    @property
    def broken(self) -> tuple[Clause, ...]:
        """Clauses that do not hold, a person's approval aside: with any of them the study cannot be approved.

        Those that depend on the tables say so in words: no count leaves with the page.
        """
        stated = [c for c in self.seen.clauses if not c.holds and c.name != "approval"]
        counted = [replace(c, asked=_BY_TABLES[c.name]) for c in self.checks if not c.holds]
        return (*stated, *counted)


def gather_board(
    *,
    hospital: str,
    signed: SignedTerms,
    operator: str,
    decision: str,
    policy: Policy,
    policy_text: bytes,
    ledger: Ledger,
    ledger_head: str,
    seen: Forecast,
    checks: Sequence[Clause],
    now: datetime,
    sums: SumFacts | None = None,
) -> BoardFacts:
    """Read the facts; nothing is spent and nothing decided. operator: the policy's name for whoever proposes."""
    terms, delta = signed.terms, policy.delta
    costs = tuple(account_costs(terms, signed.operator, policy, ledger, seen.joined))
    study = max(cost.study for cost in costs)
    after = max(cost.after for cost in costs)
    sampled = terms.training.sampling_rate < 1
    return BoardFacts(
        hospital=hospital,
        at=now,
        terms=terms,
        operator=operator,
        operator_listed=any(c.name == "operators" and c.holds for c in seen.clauses),
        operator_key=key_fingerprint(signed.operator),
        decision=decision,
        policy=policy,
        seen=seen,
        checks=tuple(checks),
        costs=costs,
        two_hospitals=two_hospitals_epsilon(terms, delta, seen.joined),
        excess=None if sampled else gaussian_excess(gaussian_parameter(study, delta), study),
        study_odds=odds(study, delta),
        after=odds(after, delta),
        # What is spent stays spent, also where the cap was lowered since.
        life=odds(max(policy.max_epsilon_for_life, after), delta),
        policy_digest=hashlib.sha256(policy_text).hexdigest(),
        ledger_head=ledger_head,
        sums=sums,
    )


def account_costs(terms: Terms, operator: str, policy: Policy, ledger: Ledger, joined: bool) -> list[Cost]:
    """Compose each account's cost; what the study was charged already counts once."""
    payer = ledger.identify(operator) or operator
    whole, rest = {}, {}
    for account, found in releases(terms):
        charged = ledger.rounds_charged(payer, terms.fingerprint, account)
        whole[account], rest[account] = found, events_left(terms, account, charged)
    if joined:
        both, further = (tuple(event for events in by.values() for event in events) for by in (whole, rest))
        whole, rest = dict.fromkeys(whole, both), dict.fromkeys(rest, further)
    return [
        Cost(
            account,
            compose_epsilon(events, policy.delta),
            ledger.spent(account, policy.delta, joined=joined),
            ledger.spent(account, policy.delta, None, None, rest[account], joined),
        )
        for account, events in whole.items()
    ]


def board_html(facts: BoardFacts) -> str:
    """Say the facts to a privacy board; whatever terms, policy or ledger hold is escaped."""
    terms = facts.terms
    numbers = numbers_released(terms)
    tables = table_size(terms.contract, terms.evaluation) if terms.evaluation else 0
    return render(
        "board.html",
        facts=facts,
        terms=terms,
        contract=terms.contract,
        policy=facts.policy,
        declared=terms.training.public_patients.get(facts.hospital),
        delta_patients=terms.privacy.delta * max(terms.training.public_patients.values()),
        numbers=numbers,
        tables=tables,
        used=used_features,
        dots=dots,
        count=count_words,
        heldout_share=HELDOUT_SHARE,
        expires=_day(terms.expires_at),
        others=max(len(terms.hospitals) - _MOST_NAMED, 0),
        named=tuple(terms.training.public_patients.items())[:_MOST_NAMED],
        models=_MODELS,
        accounts={"training": "learned from", "held_out": "used to measure only"},
        asks=_asks(terms),
        stated=stated_words(terms),
        helped=_helped(terms),
        noise_words=_noise_words,
        training_noise=_training_noise(terms),
        unmasked=odds(facts.sums.unmasked, facts.policy.delta) if facts.sums else None,
        sum_lines=(*sum_sentences(facts.sums), *roster_lines(facts.sums)) if facts.sums else (),
    )


def _asks(terms: Terms) -> str:
    """Say in the page's title what the study would do with patients."""
    if terms.query is None:
        return "learn from patients here"
    return "compare the arms of a trial here" if terms.query.both_accounts else "count patients here"


def _helped(terms: Terms) -> str:
    """Say the condition of a study's ε where it has secure sums: how many hospitals may help whoever guesses."""
    if terms.secure_sum is None:
        return ""
    return f", while at most {terms.thresholds.colluding} of the {len(terms.hospitals)} hospitals help the operator"


def _training_noise(terms: Terms) -> str:
    """Say the noise of sums over those learned from: the least of any round, and that it is the least."""
    own = terms.hospital_noise_stddev(terms.quietest_round) / terms.privacy.clip_norm
    words = _noise_words(terms, own, terms.noise_multiplier)
    return f"{words}, and more in other rounds" if terms.round_noise_multipliers else words


def _noise_words(terms: Terms, own: float, stated: float) -> str:
    """Say how much noise this hospital adds, and in secure sums what the smallest sum that can be read has.

    own, stated: in units of what one patient can add.
    """
    if terms.secure_sum is None:
        return f"{stated:.3g} times what one patient can add"
    return (
        f"{own:.3g} times what one patient can add, by this hospital; at least {stated:.3g} times in any sum over "
        f"{terms.thresholds.honest_shares} hospitals"
    )


def _day(time: str) -> str:
    """Write the day of a time; a text that is not a time, and so is refused, stays as it is."""
    try:
        return f"{datetime.fromisoformat(time):%-d %B %Y}"
    except ValueError:
        return visible(time, 40)


_MOST_NAMED = 60
_BY_TABLES = {
    "hospital": "the terms do not name this hospital",
    "min_patients": "fewer patients pass the gate today",
    "max_delta_times_patients": "δ times the patients who pass the gate today is larger",
    "max_patients": "more patients pass the gate today",
}
_MODELS = {
    "additive": "additive: it adds up one number for each answer, and a person can read them all",
    "wide_deep": "part additive, part a small neural network, which a person cannot read",
    "mlp": "a small neural network, which a person cannot read",
    "interactions": "additive, and one number for each pair of answers; a person can read them all",
}
