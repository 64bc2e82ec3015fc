"""From a command's flags, and the settings behind them, to what is proposed and how it is served."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from wardround.conf.composed import composed, composed_text
from wardround.conf.proposal import Serving, proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say
from wardround.server.study.own_parts import declare_own_parts


def show_settings(settings: Sequence[str]) -> None:
    """Write every setting with its value, as YAML."""
    say(*composed_text("serve", settings).splitlines())


def serving(options: Namespace) -> Serving:
    """Read how the study is served, and which parts of the operator's own it may name; nothing is proposed yet."""
    declare_own_parts(options.home)
    return Serving(
        study=options.study,
        home=options.home,
        round_seconds=options.round_seconds,
        quorum=options.quorum,
        wait_seconds=options.wait_seconds,
        now=datetime.now(UTC),
    )


def with_proposal(served: Serving, settings: Sequence[str]) -> Serving:
    """Add what the settings propose, key and terms file being the home's own; without settings the study exists."""
    if not settings:
        return served
    plain = composed("serve", settings)
    training = plain.get("training")
    if not isinstance(training, dict) or training.get("public_patients") is None:
        raise ConfigurationError(
            "training.public_patients: is missing; name every hospital, as in {north: 1200}, or give no settings "
            "at all for a study whose terms are signed"
        )
    out = served.home / "studies" / served.study / "study.terms"
    proposed = proposal(plain, study=served.study, key=served.home / "operator.key", out=out)
    return replace(served, proposal=proposed, release_decision=proposed.release_decision)
