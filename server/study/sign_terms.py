"""From an operator's proposal to signed terms."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from wardround.conf.proposal import Proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.reading import require_countable
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import SignedTerms, sign_terms
from wardround.protocol.wire.signing import load_key, new_key
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.store.operator_home import SETTINGS, load_operator_home

GO_ON_LOCAL = "privacy.noise=local, which needs no peers and adds more noise"
"""What an operator may do whose hospitals do not know one another."""


def signed_terms(proposal: Proposal, now: datetime) -> SignedTerms:
    """Compose and sign the terms of a proposal, valid from now.

    ConfigurationError where they have secure sums and a hospital is not enrolled in the home that the key lies in.
    """
    members = _members(proposal)
    signed = _signed(proposal, now, members)
    strangers = [name for name in proposal.training.public_patients if name not in members]
    if strangers and signed.terms.secure_sum is not None:
        raise ConfigurationError(
            f"training.public_patients: {', '.join(strangers)} are not enrolled, and the terms of a secure sum name "
            f"each hospital's signing key; wardround-serve enrol --request FILE, or {GO_ON_LOCAL}"
        )
    return signed


def forecast_terms(proposal: Proposal, now: datetime) -> SignedTerms:
    """Compose and sign terms that are only looked at: a hospital not enrolled yet has a key that nobody holds."""
    return _signed(proposal, now, _members(proposal))


def unsigned_terms(proposal: Proposal) -> Terms:
    """Compose terms that are only looked at, without a key or a home: every hospital has a key that nobody holds."""
    return _composed(proposal, {})


def _signed(proposal: Proposal, now: datetime, members: Mapping[str, str]) -> SignedTerms:
    key, terms = load_key(proposal.key), _composed(proposal, members)
    expires_at = (now + timedelta(days=proposal.valid_days)).isoformat(timespec="seconds")
    delay = proposal.reply_delay_seconds
    # Before the signature: no hospital can even read such terms, and that would only come out at the hospitals.
    require_countable(terms)
    return sign_terms(replace(terms, expires_at=expires_at, reply_delay_seconds=delay), key)


def _composed(proposal: Proposal, members: Mapping[str, str]) -> Terms:
    members = {name: members.get(name) or new_key().public for name in _named(proposal)}
    if proposal.query is not None:
        return propose_query(
            study=proposal.study,
            query=proposal.query,
            contract=proposal.contract,
            privacy=proposal.privacy,
            public_patients=proposal.training.public_patients,
            simulation=proposal.simulation,
            secure_sum=proposal.secure_sum,
            members=members,
        )
    return propose(
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
        members=members,
    )


def _named(proposal: Proposal) -> Iterable[str]:
    """Give the hospitals whose keys the terms would name: none where they are simulated."""
    return () if proposal.simulation else proposal.training.public_patients


def _members(proposal: Proposal) -> dict[str, str]:
    """Give the signing keys of the study's enrolled hospitals: those with which they joined.

    Empty where the key lies in no operator's home, in which nobody is enrolled.
    """
    folder = proposal.key.parent
    if not (folder / SETTINGS).exists():
        return {}
    enrolled = load_operator_home(folder).hospitals()
    return {name: enrolled[name].signing_key for name in _named(proposal) if name in enrolled}


def noise_words(terms: Terms) -> str:
    """Say who adds the noise, and what hospitals must do first where it is shared."""
    if terms.secure_sum is None:
        return f"noise={terms.privacy.noise}: each hospital's release is private by itself"
    return (
        f"noise={terms.privacy.noise}: before they can approve, hospitals must know one another "
        f"(docs/hospital-peers.md); or {GO_ON_LOCAL}"
    )


def evaluation_words(terms: Terms) -> str:
    """Say what is asked of held-out patients."""
    asked = terms.evaluation
    if asked is None:
        return "no evaluation on held-out patients: the model will not be marked releasable"
    named = ", ".join(
        f"{number}" if number <= terms.training.rounds else "mitigation" for number in asked.rounds
    )
    return f"evaluated on held-out patients after round {named}, at ε = {asked.epsilon:g} for them together"
