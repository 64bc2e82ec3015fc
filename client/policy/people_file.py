"""Where ``people.yaml`` lies, and the first one, for a person to edit."""

from pathlib import Path

from wardround.client.policy.people import PEOPLE, People, read_people
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.plain import LARGEST_YAML

_TEMPLATE = Path(__file__).parent / "templates" / PEOPLE


def people_of(home: Path, timezone: str = "UTC") -> People:
    """Read a home's file, nobody where there is none; ConfigurationError names what is wrong with it.

    timezone: the hospital's; needed where it is asked whether a signature counts.
    """
    try:
        content = read_bounded(home / PEOPLE, LARGEST_YAML)
    except FileNotFoundError:
        return People()
    except OSError as error:
        raise ConfigurationError(f"{PEOPLE}={home / PEOPLE}: cannot be read ({error.strerror})") from error
    return read_people(content, timezone)


def begin_people(home: Path) -> Path:
    """Write the commented file, which names nobody yet; ConfigurationError where there is one."""
    path = home / PEOPLE
    if path.exists():
        raise ConfigurationError(f"{PEOPLE}={path}: exists already; nothing was overwritten")
    write_new(path, _TEMPLATE.read_bytes(), 0o600)
    return path
