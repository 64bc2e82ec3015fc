"""``plan``: what a study would cost in ε, time and bytes, before anything is signed or asked."""

from argparse import Namespace

from wardround.server.commands.settings import serving, show_settings, with_proposal
from wardround.server.study.forecast import say_plan


def run(options: Namespace) -> None:
    """Write the plan of the composed study, or of one whose terms exist."""
    if options.show_settings:
        show_settings(options.settings)
    else:
        say_plan(with_proposal(serving(options), options.settings))
