"""How this hospital stands in the secure sums of its approved studies: set up, not yet, or never again."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from wardround.client.checks.finding import Finding, ok, warn
from wardround.client.home.home import Home
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.operator_names import operator_name
from wardround.client.policy.policy import Policy
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.wire.signed_terms import SignedTerms


def secure_sums(home: Home, ledger: SqliteLedger, studies: Iterable[SignedTerms]) -> Iterator[Finding]:
    """Say it of every study with secure sums; one that cannot go on here keeps no other from running."""
    for signed in studies:
        if standing := sum_standing(home, ledger, signed):
            line = f"{signed.terms.study}: {standing.detail if isinstance(standing, Refusal) else standing}"
            if isinstance(standing, Refusal):
                yield warn("secure sum", line, "ask the operator for a new study")
            else:
                yield ok("secure sum", line)


def sum_standing(home: Home, ledger: SqliteLedger, signed: SignedTerms) -> str | Refusal:
    """Say where a study's set-up stands here; empty without secure sums, a Refusal where it can never go on."""
    terms, sums = signed.terms, home.sums(ledger)
    if terms.secure_sum is None or sums is None:
        return ""
    try:
        ready = sums.is_set_up(terms, signed.operator)
    except Refusal as refusal:
        return refusal
    members, least = terms.thresholds.hospitals, terms.thresholds.threshold
    if not ready:
        return f"the secure sum of {members} hospitals is not set up yet; the operator's server asks for it"
    line = f"the secure sum of {members} hospitals is set up; {least} must take part in each round"
    return line + _extension(sums.kept_until(terms, signed.operator), expiry_of(terms))


def _extension(until: datetime | None, expiry: datetime | None) -> str:
    """Say that terms were extended beyond what was approved, while that can still be approved."""
    if until is None or expiry is None or expiry <= until:
        return ""
    return (
        f"; its keys are kept until {until:%Y-%m-%d %H:%M} UTC, as approved, and the terms now say "
        f"{expiry:%Y-%m-%d %H:%M}: approve them again before, or this hospital takes no further part"
    )


def contradictions(ledger: SqliteLedger, policy: Policy) -> Iterator[str]:
    """Say in a line each of whose lies the proof is kept here."""
    found: dict[tuple[str, str], list[str]] = {}
    for (operator, _, account, number), study in ledger.contradicted().items():
        found.setdefault((operator, study), []).append(f"round {number}, {account} patients")
    # A line for a study: whoever lies in every round must not push other lines off the screen.
    for (operator, study), sums in found.items():
        count = "one sum" if len(sums) == 1 else f"{len(sums)} sums, the first"
        yield (
            f"{operator_name(policy, ledger, operator)} signed two requests for other survivors of {count} (study "
            f"{study}, {sums[0]}): their server is broken, or lies; the second got nothing"
        )


def lies(ledger: SqliteLedger, policy: Policy) -> Iterator[Finding]:
    """Warn of them: each slot was answered once all the same, and a person decides what follows."""
    for line in contradictions(ledger, policy):
        remedy = "ledger evidence --out FILE, show it to the other hospitals, and decline the study"
        yield warn("secure sum", line, remedy)
