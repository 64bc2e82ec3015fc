"""``console.yaml``: where the pages listen (``pages.served``), and where their desk is.

    desk: desk/desk.sock                 # the desk's socket; its folder opens to the pages' user alone

The pages' user reads the file in a folder of its own, the desk's in the home.
"""

from dataclasses import dataclass
from pathlib import Path

from wardround.pages.served import ServedPages, read_served, settings_section

SETTINGS = "console.yaml"
NAME, PORT, DESK = "This hospital", 8765, "desk/desk.sock"


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings(ServedPages):
    """The file, checked."""

    desk: Path


def load_console_settings(folder: Path) -> ConsoleSettings:
    """Read a folder's ``console.yaml``; ConfigurationError for what is wrong, and for pages open to a network bare."""
    path = folder / SETTINGS
    section = settings_section(path)
    served = read_served(section, path, NAME, PORT)
    settings = ConsoleSettings(**vars(served), desk=folder / section.text("desk", DESK))
    section.finish()
    return settings
