"""From a command's flags, and the settings behind them, to what is proposed and how it is served."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from wardround.conf.composed import composed, composed_text
from wardround.conf.proposal import Proposal, Serving, proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say
from wardround.server.study.own_parts import declare_own_parts

_NO_SETTINGS = ", or give no settings at all for a study whose terms are signed"


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
    out = served.home / "studies" / served.study / "study.terms"
    proposed = composed_proposal(
        settings, study=served.study, key=served.home / "operator.key", out=out, instead=_NO_SETTINGS
    )
    return replace(served, proposal=proposed, release_decision=proposed.release_decision)


def composed_proposal(
    settings: Sequence[str], *, study: str, key: Path, out: Path, instead: str = ""
) -> Proposal:
    """Compose what the settings propose. instead: what else a command takes; ConfigurationError without hospitals."""
    plain = composed("serve", settings)
    training = plain.get("training")
    if not isinstance(training, dict) or training.get("public_patients") is None:
        raise ConfigurationError(
            f"training.public_patients: is missing; name every hospital, as in {{north: 1200}}{instead}"
        )
    return proposal(plain, study=study, key=key, out=out)
