"""From an operator's proposal to signed terms."""

from dataclasses import replace
from datetime import datetime, timedelta

from wardround.conf.proposal import Proposal
from wardround.protocol.errors import require
from wardround.protocol.terms.terms import Terms, require_countable
from wardround.protocol.wire.signed_terms import SignedTerms, sign_terms
from wardround.protocol.wire.signing import load_key
from wardround.server.algorithm.propose import propose


def signed_terms(proposal: Proposal, now: datetime) -> SignedTerms:
    """Compose and sign the terms of a proposal, valid from now."""
    _check_real(proposal)
    key = load_key(proposal.key)
    terms = propose(
        study=proposal.study,
        contract=proposal.contract,
        model=proposal.model,
        privacy=proposal.privacy,
        training=proposal.training,
        public_patients=proposal.training.public_patients,
        simulation=proposal.simulation,
        evaluation=proposal.evaluation,
        fairness=proposal.fairness,
        secure_sum=proposal.secure_sum,
    )
    expires_at = (now + timedelta(days=proposal.valid_days)).isoformat(timespec="seconds")
    delay = proposal.reply_delay_seconds
    # Before the signature: no hospital can even read such terms, and that would only come out at the hospitals.
    require_countable(terms)
    return sign_terms(replace(terms, expires_at=expires_at, reply_delay_seconds=delay), key)


def _check_real(proposal: Proposal) -> None:
    """Refuse what no server or agent of this release runs."""
    fits = proposal.simulation or not proposal.privacy.mode.summed
    line = "needs secure sums, which servers and agents do not run yet; use local"
    require(fits, "privacy.noise", proposal.privacy.noise, line)


def evaluation_words(terms: Terms) -> str:
    """Say what is asked of held-out patients."""
    asked = terms.evaluation
    if asked is None:
        return "no evaluation on held-out patients: the model will not be marked releasable"
    named = ", ".join(
        f"{number}" if number <= terms.training.rounds else "mitigation" for number in asked.rounds
    )
    return f"evaluated on held-out patients after round {named}, at ε = {asked.epsilon:g} for them together"
