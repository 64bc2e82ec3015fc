"""``resume``: continue a study that was stopped or killed; its terms stay as they were signed."""

from argparse import Namespace

from wardround.server.commands.settings import serving
from wardround.server.study.serve import train


def run(options: Namespace) -> None:
    """Run the study from its last checkpoint."""
    train(serving(options))
