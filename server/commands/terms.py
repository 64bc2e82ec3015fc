"""``terms``: compose a study, find the noise that its ε needs, and sign the terms."""

from argparse import Namespace
from datetime import UTC, datetime

from wardround.conf.composed import composed
from wardround.conf.proposal import Proposal, proposal
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say, say_json
from wardround.protocol.wire.signed_terms import save_terms
from wardround.server.algorithm.interactions import why_additive
from wardround.server.commands.settings import show_settings
from wardround.server.study.own_parts import declare_own_parts
from wardround.server.study.sign_terms import evaluation_words, noise_words, signed_terms


def run(options: Namespace) -> None:
    """Write the signed terms to a new file, and say what they cost."""
    if options.show_settings:
        show_settings(options.settings)
        return
    declare_own_parts(options.key.parent)  # a home holds both
    plain = composed("serve", options.settings)
    write_terms(proposal(plain, study=options.study, key=options.key, out=options.out), options.json)


def write_terms(proposed: Proposal, as_json: bool) -> None:
    """Sign a proposal's terms, write them to its new file, and say what they cost."""
    signed = signed_terms(proposed, datetime.now(UTC))
    save_terms(signed, proposed.out)
    terms = signed.terms
    additive = why_additive(proposed.model, terms)
    if as_json:
        say_json(
            {
                "study": terms.study,
                "file": str(proposed.out),
                "fingerprint": terms.fingerprint,
                "hospitals": list(terms.hospitals),
                "rounds": terms.training.rounds,
                "model": terms.model.kind,
                "why_additive": additive,
                "epsilon": terms.privacy.epsilon,
                "delta": terms.privacy.delta,
                "noise": terms.privacy.noise,
                "noise_multiplier": terms.noise_multiplier,
                "valid_until": terms.expires_at,
            }
        )
        return
    say(
        f"{proposed.out}: terms of {terms.study} for {len(terms.hospitals)} hospitals, "
        f"{_asked(terms)} at ε = {terms.privacy.epsilon:g}, δ = {small_number(terms.privacy.delta)}, "
        f"noise multiplier {_multipliers(terms)}, until {terms.expires_at[:10]}",
        noise_words(terms),
        *((additive,) if additive else ()),
        *((evaluation_words(terms),) if terms.query is None else ()),
        f"fingerprint {terms.fingerprint}",
    )


def _asked(terms: Terms) -> str:
    return f"{terms.training.rounds} rounds" if terms.query is None else f"a query ({terms.query.kind})"


def _multipliers(terms: Terms) -> str:
    """Say the noise multiplier, or from which to which where rounds differ."""
    each = terms.round_noise_multipliers
    return f"{min(each):g} to {max(each):g}, by round" if each else f"{terms.noise_multiplier:g}"
