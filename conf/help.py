"""What ``--help`` prints: plain text beside this file, which needs neither Hydra nor a composed study."""

from importlib.resources import files


def help_text(command: str) -> str:
    """Text of one command, at most 110 columns."""
    return files("wardround.conf").joinpath(f"{command}.txt").read_text(encoding="utf-8")
