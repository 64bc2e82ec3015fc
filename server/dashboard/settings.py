"""``dashboard.yaml`` in the operator's home: where the pages listen, as ``pages.served`` says."""

from pathlib import Path

from wardround.pages.served import ServedPages, read_served, settings_section

SETTINGS = "dashboard.yaml"
NAME, PORT = "This federation", 8766


def load_dashboard_settings(folder: Path) -> ServedPages:
    """Read the file; ConfigurationError for what is wrong, and for pages open to a network bare."""
    path = folder / SETTINGS
    section = settings_section(path)
    settings = read_served(section, path, NAME, PORT)
    section.finish()
    return settings
