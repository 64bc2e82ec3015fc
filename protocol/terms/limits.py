"""A hospital's limits on a study's terms, and each as a clause: decided from terms, limits and clock alone.

Both sides need them: the hospital refuses by them (``client.policy.policy``), and where it chose to publish them
(``protocol.wire.published_policy``) the operator sees before a study who would refuse it, and why.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.privacy.noise import LOCAL, SECURE
from wardround.protocol.terms.cost import study_epsilon, unmasked_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.section import shown

MAX_DELTA_TIMES_PATIENTS = 0.1
"""A mechanism that publishes each patient's whole record with probability δ satisfies (0, δ): it would publish
δ × patients records on average."""

MAX_EPSILON_UNMASKED = 25.0
"""The most that a study with secure sums may cost if every mask failed, unless a policy sets another: more hospitals
help the server than assumed, or X25519 is broken one day. At H = 81 and ε = 1 it is 9.7, at H = 300 22."""

MIN_REPLY_DELAY_SECONDS = 2.0
"""The least delay of replies, unless a policy sets another. Replies leave at whole multiples of the delay, so that an
operator learns no more of the computing time than how many delays it took."""

MIN_HONEST_HOSPITALS, MIN_COLLUDING = 2, 1
"""Unless a policy says otherwise: a sum of one hospital alone is none, and one known hospital may turn out a helper."""

_FIRST_EXPIRY, _LAST_EXPIRY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CAP_CLAUSES = ("max_epsilon_per_study", "max_epsilon_per_operator", "max_epsilon_for_life")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that terms may only tighten; the defaults allow nothing.

    contracts lists fingerprints, features the ``table.column``s that may be read: where both stand
    both must hold, where neither stands no contract is allowed. models are those that may be trained, queries what may
    be asked without training any. ε caps are at ``delta``, the one δ of all studies. max_delta_times_patients: with δ
    and the patients that the largest hospital of the terms declared. Of secure sums: max_epsilon_unmasked is what a
    study may cost if every mask failed, min_honest_hospitals the least m (``Thresholds.honest_shares``), min_colluding
    the least t.
    """

    delta: float
    purposes: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    max_epsilon_per_study: float = 0.0
    max_epsilon_per_operator: float = 0.0
    max_epsilon_for_life: float = 0.0
    queries: tuple[str, ...] = ()
    max_rounds: int = 0
    max_events_per_patient: int = 0
    min_clip_norm: float = math.inf
    max_clip_norm: float = 0.0
    min_noise_multiplier: float = math.inf
    max_epsilon_unmasked: float = MAX_EPSILON_UNMASKED
    max_delta_times_patients: float = MAX_DELTA_TIMES_PATIENTS
    min_reply_delay_seconds: float = MIN_REPLY_DELAY_SECONDS
    require_consent: bool = True
    min_honest_hospitals: int = MIN_HONEST_HOSPITALS
    min_colluding: int = MIN_COLLUDING


@dataclass(frozen=True)
class Clause:
    """One limit: what is asked, what this hospital allows, whether that holds, and which of its files says so.

    remedy: what a person of the hospital does about it, where that is more than to change the file or the terms.
    """

    name: str
    asked: str
    allowed: str
    holds: bool
    file: str = "policy.yaml"
    remedy: str = ""


def validity_clauses(terms: Terms, now: datetime) -> Iterator[Clause]:
    """Give what holds for every hospital: noise that needs nobody's help, or masks; and terms that have not expired."""
    yield one_of("noise", "privacy.noise", terms.privacy.noise, (LOCAL.name, SECURE.name))
    expiry, expires = f"expires_at={shown(terms.expires_at)}", expiry_of(terms)
    allowed = f"later than {now.isoformat()}, at most {_LAST_EXPIRY:%Y-%m-%d}"
    yield Clause("expires_at", expiry, allowed, expires is not None and now < expires)


def limit_clauses(limits: Limits, terms: Terms) -> Iterator[Clause]:
    """Give every clause of the limits about these terms, by themselves: what was spent before is not known here."""
    yield from _what(limits, terms.contract)
    if terms.query is None:
        yield one_of("models", "model.kind", terms.model.kind, limits.models)
    else:
        yield one_of("queries", "query.kind", terms.query.kind, limits.queries)
    yield from _how(limits, terms)
    yield from _how_much(limits, terms)
    if terms.secure_sum is not None:
        sums, honest = terms.secure_sum, terms.thresholds.honest_shares
        yield at_least("min_colluding", "secure_sum.colluding", sums.colluding, limits.min_colluding)
        yield at_least(
            "min_honest_hospitals", "honest hospitals of a sum", honest, limits.min_honest_hospitals
        )


def delta_clause(delta: float, patients: int, most: float) -> Clause:
    """Give the clause on δ × patients; most: the policy's max_delta_times_patients."""
    asked = f"delta × patients={small_number(delta)} × {patients}={delta * patients:.3g}"
    # Decimal fractions: 1e-5 × 10,000 is 0.1, whatever binary makes of it.
    holds = delta * patients <= most * (1 + 1e-9)
    return Clause("max_delta_times_patients", asked, f"at most {most:g}", holds)


def _what(limits: Limits, contract: Contract) -> Iterator[Clause]:
    yield one_of("purposes", "purpose", contract.purpose, limits.purposes)
    # By fingerprint alone: a name is the operator's to choose, and says nothing of what is read.
    known = contract.fingerprint in limits.contracts
    if limits.contracts or not limits.features:
        asked = f"contract={contract.fingerprint} ({contract.name} {contract.version})"
        yield Clause("contracts", asked, listed(limits.contracts), known)
    if limits.features:
        read = {f"{table}.{column}" for table in TABLES for column in contract.columns(table)}
        unlisted = ", ".join(sorted(read - set(limits.features)))
        asked = f"columns={shown(unlisted or 'all listed')}"
        yield Clause("features", asked, listed(limits.features), not unlisted)
    consent, allowed = contract.consent.required, "true" if limits.require_consent else "true or false"
    holds = consent or not limits.require_consent
    yield Clause("require_consent", f"consent.required={consent}", allowed, holds)
    most = limits.max_events_per_patient
    yield at_most("max_events_per_patient", "events_per_patient", contract.events_per_patient, most)


def _how(limits: Limits, terms: Terms) -> Iterator[Clause]:
    delta, clip_norm = terms.privacy.delta, terms.privacy.clip_norm
    # Equal, not at most: the ledger composes all studies' ε at one δ (rule 6).
    asked, allowed = (small_number(one) for one in (delta, limits.delta))
    yield Clause("delta", f"delta={asked}", allowed, delta == limits.delta)
    # The largest of the terms, not this hospital's own: a refusal may depend on no table (rule 2).
    yield delta_clause(delta, max(terms.training.public_patients.values()), limits.max_delta_times_patients)
    # A query clips nothing: its table's bound of one patient follows from its shape, and is nobody's choice.
    if terms.query is None:
        yield at_least("min_clip_norm", "clip_norm", clip_norm, limits.min_clip_norm)
        yield at_most("max_clip_norm", "clip_norm", clip_norm, limits.max_clip_norm)
    floor = limits.min_noise_multiplier
    yield at_least("min_noise_multiplier", "noise_multiplier", terms.noise_multiplier, floor)
    if terms.evaluation is not None:  # tables of held-out patients are noised releases as all others
        noise = terms.evaluation.noise_multiplier
        yield at_least("min_noise_multiplier", "evaluation.noise_multiplier", noise, floor)
    yield at_most("max_rounds", "rounds", terms.last_round, limits.max_rounds)
    delay, least = terms.reply_delay_seconds, limits.min_reply_delay_seconds
    yield at_least("min_reply_delay_seconds", "reply_delay_seconds", delay, least)


def _how_much(limits: Limits, terms: Terms) -> Iterator[Clause]:
    stated = {"training": terms.privacy.epsilon}
    if terms.evaluation is not None:
        stated["held_out"] = terms.evaluation.epsilon
    elif terms.query is not None and terms.query.both_accounts:
        stated["held_out"] = terms.privacy.epsilon
    caps = (limits.max_epsilon_per_study, limits.max_epsilon_per_operator, limits.max_epsilon_for_life)
    # Composed here from noise, rate and steps: what terms say of their own ε is not believed.
    for account, cost in study_epsilon(terms, limits.delta).items():
        asked = f"composed epsilon of {account} patients={cost:.8g}"
        yield Clause("epsilon", asked, f"{stated[account]:g}, as the terms say", cost <= stated[account])
        for name, cap in zip(CAP_CLAUSES, caps, strict=True):
            yield at_most(name, f"epsilon of the study, {account} patients", cost, cap)

    for account, cost in unmasked_epsilon(terms, limits.delta).items():
        asked = f"epsilon of the study if every mask failed, {account} patients"
        yield at_most("max_epsilon_unmasked", asked, cost, limits.max_epsilon_unmasked)


def expiry_of(terms: Terms) -> datetime | None:
    """Read when terms expire, in UTC: the one place that does; None where no hospital may take it for a time.

    That is text which is no time with its zone, or one at the calendar's ends: ``9999-12-31T23:59:59-01:00`` once
    was charged, and then could not be turned into UTC.
    """
    try:
        time = datetime.fromisoformat(terms.expires_at)
        expiry = time.astimezone(UTC) if time.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None
    return expiry if expiry is not None and _FIRST_EXPIRY <= expiry <= _LAST_EXPIRY else None


def listed(allowed: Collection[str]) -> str:
    """Spell what is allowed."""
    return shown(", ".join(allowed)) if allowed else "none"


def one_of(name: str, key: str, value: str, allowed: tuple[str, ...]) -> Clause:
    """A value that must be listed."""
    return Clause(name, f"{key}={shown(value)}", listed(allowed), value in allowed)


def at_least(name: str, key: str, value: float, least: float) -> Clause:
    """A value with a floor."""
    return Clause(name, f"{key}={value:.8g}", f"at least {least:g}", value >= least)


def at_most(name: str, key: str, value: float, most: float) -> Clause:
    """A value with a cap."""
    return Clause(name, f"{key}={value:.8g}", f"at most {most:g}", value <= most)
