"""``release_decision.json``: who answers for a served study's model, and from which day.

A person's exception is a file of its own (``exception_file``).
"""

from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json

_DAY = "released_on"
_LARGEST = 100_000


def begin_release_decision(path: Path, settings: ReleaseDecisionSettings | None) -> None:
    """Write the settings that a study was begun with; None, or a file that is there, changes nothing."""
    if settings is not None and not path.exists():
        _write(path, settings, "")


def load_release_decision(path: Path) -> tuple[ReleaseDecisionSettings, date]:
    """Give the release decision's settings and the day of the release, today where the model was not released yet."""
    today = datetime.now(UTC).date()
    if not path.exists():
        return ReleaseDecisionSettings(), today
    try:
        plain = read_json(read_bounded(path, _LARGEST), _LARGEST)
        day = plain.pop(_DAY)
        approved_by = tuple(map(str, plain.pop("approved_by")))
        settings = ReleaseDecisionSettings(approved_by=approved_by, **plain)
        released = date.fromisoformat(day) if day else today
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"release_decision={path}: is damaged; restore it, or write it again"
        ) from error
    if settings.exception_by:
        raise ConfigurationError(
            f"release_decision={path}: holds an exception that nobody signed; empty exception_by and exception_reason "
            "there, and have the person sign it: wardround-serve approve"
        )
    return settings, released


def keep_release_day(path: Path) -> None:
    """Fix the day of the release: ``usable_until`` does not move when the card is written again."""
    settings, day = load_release_decision(path)
    _write(path, settings, day.isoformat())


def _write(path: Path, settings: ReleaseDecisionSettings, day: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {**asdict(settings), "approved_by": list(settings.approved_by), _DAY: day}
    write_durably(path, canonical_json(plain) + b"\n")
