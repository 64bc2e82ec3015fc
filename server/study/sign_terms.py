"""From an operator's proposal to signed terms."""

from dataclasses import replace
from datetime import datetime, timedelta

from wardround.conf.proposal import Proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.noise import SECURE
from wardround.protocol.terms.terms import Terms, require_countable
from wardround.protocol.wire.signed_terms import SignedTerms, sign_terms
from wardround.protocol.wire.signing import load_key
from wardround.server.algorithm.noise_choice import chosen_noise
from wardround.server.algorithm.propose import propose
from wardround.server.store.operator_home import load_operator_home


def signed_terms(proposal: Proposal, now: datetime) -> SignedTerms:
    """Compose and sign the terms of a proposal, valid from now."""
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
        members=_members(proposal),
    )
    expires_at = (now + timedelta(days=proposal.valid_days)).isoformat(timespec="seconds")
    delay = proposal.reply_delay_seconds
    # Before the signature: no hospital can even read such terms, and that would only come out at the hospitals.
    require_countable(terms)
    return sign_terms(replace(terms, expires_at=expires_at, reply_delay_seconds=delay), key)


def _members(proposal: Proposal) -> dict[str, str] | None:
    """Give the signing keys of the study's hospitals, where it has secure sums: those with which they joined.

    ConfigurationError where one of them is not enrolled in the home that the operator's key lies in.
    """
    training = proposal.training
    chosen = chosen_noise(
        proposal.privacy.noise, len(training.public_patients), training, proposal.simulation
    )
    if proposal.simulation or chosen != SECURE.name:
        return None
    enrolled = load_operator_home(proposal.key.parent).hospitals()
    unknown = [name for name in proposal.training.public_patients if name not in enrolled]
    if unknown:
        raise ConfigurationError(
            f"training.public_patients: {', '.join(unknown)} are not enrolled, and the terms of a secure sum name "
            "each hospital's signing key; wardround-serve enrol --request FILE"
        )
    return {name: enrolled[name].signing_key for name in proposal.training.public_patients}


def evaluation_words(terms: Terms) -> str:
    """Say what is asked of held-out patients."""
    asked = terms.evaluation
    if asked is None:
        return "no evaluation on held-out patients: the model will not be marked releasable"
    named = ", ".join(
        f"{number}" if number <= terms.training.rounds else "mitigation" for number in asked.rounds
    )
    return f"evaluated on held-out patients after round {named}, at ε = {asked.epsilon:g} for them together"
