"""Where ``outreach.yaml`` lies, and the first one, for a person to edit."""

from pathlib import Path

from wardround.client.outreach.triggers.settings import OUTREACH, OutreachSettings, read_settings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.plain import LARGEST_YAML

_TEMPLATE = Path(__file__).parent / "templates" / OUTREACH


def settings_of(home: Path) -> OutreachSettings:
    """Read a home's file; ConfigurationError with every fault of it, or how to begin one."""
    try:
        content = read_bounded(home / OUTREACH, LARGEST_YAML)
    except OSError as error:
        hint = "begin with: wardround-hospital outreach begin"
        raise ConfigurationError(f"{OUTREACH}={home / OUTREACH}: {error.strerror}; {hint}") from error
    return read_settings(content)


def begin_settings(home: Path) -> Path:
    """Write the commented file, which proposes nothing yet; ConfigurationError where there is one."""
    path = home / OUTREACH
    if path.exists():
        raise ConfigurationError(f"{OUTREACH}={path}: exists already; nothing was overwritten")
    write_new(path, _TEMPLATE.read_bytes(), 0o600)
    return path
