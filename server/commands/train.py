"""``train``: sign the terms where the study is new, and run it to its end, or go on with it."""

from argparse import Namespace

from wardround.server.commands.settings import serving, show_settings, with_proposal
from wardround.server.study.serve import train


def run(options: Namespace) -> None:
    """Run the study."""
    if options.show_settings:
        show_settings(options.settings)
    else:
        train(with_proposal(serving(options), options.settings))
