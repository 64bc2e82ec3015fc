"""What ``service install`` would write, and where a person's own change stands in the way. Writes nothing."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wardround.deploy.fill import MachineValues, filled, unused
from wardround.deploy.sealed import sealed, written_by
from wardround.deploy.shipped import UnitSet, shipped
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded

_LARGEST = 1_000_000
NEW, SAME, OLDER, CHANGED = "new", "as it is", "replaces", "changed by a person"
MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One file: where it goes, what stands there (None: nothing), what is to stand there, and what that amounts to.

    own: the lines in which it differs from the shipped file.
    """

    path: Path
    before: str | None
    text: str
    own: tuple[str, ...]
    state: str

    def difference(self) -> list[str]:
        """Give the lines in which the two differ, as diff -u does."""
        names = {"fromfile": str(self.path), "tofile": "to be written"}
        return list(
            difflib.unified_diff(
                (self.before or "").splitlines(), self.text.splitlines(), lineterm="", n=1, **names
            )
        )


def plan(root: Path, parts: Iterable[UnitSet], values: MachineValues, version: str) -> list[Planned]:
    """Compare what is to be installed with what stands below ``root``.

    ConfigurationError where the values names something that no unit of these parts has.
    """
    files = [file for part in parts for file in part.files]
    if left := unused([shipped(file) for file in files], values):
        raise ConfigurationError(
            f"no unit that is installed has {left[0]!r} to fill in; add its part by --with"
        )
    return [_planned(root / "etc" / file, shipped(file), values, version) for file in files]


def standing(path: Path) -> str | None:
    """Read what stands at a path; None for nothing, ConfigurationError for what is no plain file of text."""
    if path.is_symlink():
        raise ConfigurationError(f"path={path}: is a link; remove it, or systemctl unmask, and try again")
    try:
        return read_bounded(path, _LARGEST).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"path={path}: cannot be read as text; move it away") from error


def _planned(path: Path, example: str, values: MachineValues, version: str) -> Planned:
    body, before = filled(example, values), standing(path)
    text, usual = sealed(body, version), set(example.splitlines())
    own = tuple(line for line in body.splitlines() if line not in usual)
    state = NEW if before is None else SAME if before == text else OLDER if written_by(before) else CHANGED
    return Planned(path=path, before=before, text=text, own=own, state=state)
