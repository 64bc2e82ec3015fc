"""From an operator's proposal to a signed terms file, and the key that signs it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround.conf.proposal import Proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import Terms, require_countable
from wardround.protocol.text.say import say
from wardround.protocol.wire.signed_terms import SignedTerms, save_terms, sign_terms
from wardround.protocol.wire.signing import key_fingerprint, load_key, new_key, save_key
from wardround.server.algorithm.propose import propose


def write_terms(proposal: Proposal) -> None:
    """Find the study's noise, sign its terms, write the file, and say what it costs; never overwrites."""
    signed = signed_terms(proposal, datetime.now(UTC))
    save_terms(signed, proposal.out)
    terms = signed.terms
    say(
        f"{proposal.out}: terms of {terms.study} for {len(terms.hospitals)} hospitals, "
        f"{terms.training.rounds} rounds at ε = {terms.privacy.epsilon:g}, δ = {terms.privacy.delta:g}, "
        f"noise multiplier {terms.noise_multiplier:g}, until {terms.expires_at[:10]}",
        evaluation_words(terms),
        f"fingerprint {terms.fingerprint}",
    )


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
    )
    expires_at = (now + timedelta(days=proposal.valid_days)).isoformat(timespec="seconds")
    delay = proposal.reply_delay_seconds
    require_countable(terms)
    return sign_terms(replace(terms, expires_at=expires_at, reply_delay_seconds=delay), key)


def evaluation_words(terms: Terms) -> str:
    """Say what is asked of held-out patients."""
    asked = terms.evaluation
    if asked is None:
        return "no evaluation on held-out patients: the model will not be marked releasable"
    named = ", ".join(
        f"{number}" if number <= terms.training.rounds else "mitigation" for number in asked.rounds
    )
    return f"evaluated on held-out patients after round {named}, at ε = {asked.epsilon:g} for them together"


def make_key(arguments: Sequence[str]) -> None:
    """Make a signing key from ``out=FILE``; its public half, for hospitals, is FILE.pub."""
    if len(arguments) != 1 or not arguments[0].startswith("out=") or arguments[0] == "out=":
        raise ConfigurationError("key: say out=FILE, as in wardround-serve key out=operator.key")
    path, key = Path(arguments[0].removeprefix("out=")), new_key()
    save_key(key, path)
    say(
        f"{path}: keep it secret",
        f"{path}.pub: give it to the hospitals; by telephone, compare",
        f"  {key_fingerprint(key.public)}",
    )
