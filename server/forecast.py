"""``plan``: what a study would cost in ε, time and bytes, before anything is signed or asked."""

import sys
from datetime import UTC, datetime

from conf.proposal import Serving
from protocol.accounting import PrivacyEvent, compose_epsilon
from protocol.errors import ConfigurationError
from protocol.model import parameter_count
from protocol.signed_terms import load_terms, signed_terms_to_bytes
from protocol.terms import Terms
from server.operator_home import load_operator_home
from server.sign_terms import signed_terms

OVERHEAD_SECONDS = 5.0
"""A round on top of the hospitals' own computing and the terms' delay, as measured (docs/reliability.md)."""


def say_plan(serving: Serving) -> None:
    """Write the plan of the composed study, or of one whose terms exist."""
    home = load_operator_home(serving.home)
    if serving.proposal is not None:
        signed = signed_terms(serving.proposal, datetime.now(UTC))
    elif home.study(serving.study).terms.exists():
        signed = load_terms(home.study(serving.study).terms)
    else:
        raise ConfigurationError(
            "training.public_patients: is missing; name every hospital, as in {north: 1200}"
        )
    terms, enrolled = signed.terms, home.hospitals()
    per_round = bytes_per_round(terms, len(signed_terms_to_bytes(signed)))
    rounds, hospitals = terms.training.rounds, terms.hospitals
    seconds = rounds * (OVERHEAD_SECONDS + terms.reply_delay_seconds)
    lines = [
        f"study {terms.study}: {rounds} rounds, {len(hospitals)} hospitals, fingerprint {terms.fingerprint[:12]}",
        f"at each hospital: ε = {planned_epsilon(terms):.4g} at δ = {terms.privacy.delta:g} over all rounds",
        f"time: about {seconds / 60:.0f} minutes and the hospitals' own computing, at most "
        f"{rounds * serving.round_seconds / 3600:.1f} h",
        f"bytes: {per_round / 1e6:.2f} MB per hospital and round, {per_round * rounds * len(hospitals) / 1e6:.1f} MB",
    ]
    lines += [f"{name}: is not enrolled" for name in hospitals if name not in enrolled]
    sys.stdout.write("\n".join(lines) + "\n")


def planned_epsilon(terms: Terms) -> float:
    """Compose what a hospital's ledger will say of its training patients if it misses no round."""
    training = terms.training
    event = PrivacyEvent(
        terms.noise_multiplier, training.sampling_rate, training.rounds * training.local_steps
    )
    return compose_epsilon([event], terms.privacy.delta)


def bytes_per_round(terms: Terms, terms_bytes: int) -> int:
    """Bytes of one hospital's plan and answer, without Flower's and TLS's framing."""
    vector = 4 * parameter_count(terms.model, terms.contract.layout)
    return 2 * vector + terms_bytes + 2 * 1024
