"""Plain mappings (from YAML or JSON) read key by key; an error is one line: key, value, what is allowed.

Every text that is read is a line (``protocol.text.text``), keys included: what others wrote moves no terminal and
ends no line wherever it goes from here.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.canonical import canonical_number, comparable
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.text import LONGEST_LINE, checked_name, is_line, visible

_REQUIRED = object()
_BEYOND = 2**63  # no file holds a larger whole number, but a program may pass one


def shown(value: object) -> str:
    """Write a value for an error's line: one line, at most 60 characters, all visible."""
    try:
        text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    except ValueError:  # Python refuses to write a whole number of thousands of digits
        text = "a number of thousands of digits"
    return visible(" ".join(text.split()), 60)


class Section:
    """One mapping under the dotted ``path``; every key that is read is noted, ``finish`` refuses the others.

    Each reader returns a checked, plain Python value or raises ConfigurationError; without ``default`` the
    key must be there. A null counts as absent.
    """

    def __init__(self, plain: object, path: str) -> None:
        """Take a mapping whose keys are lines."""
        if not isinstance(plain, Mapping) or not all(isinstance(key, str) for key in plain):
            raise ConfigurationError(f"{path}={shown(plain)}: must be a mapping of names to values")
        for key in plain:
            if not is_line(key):
                raise ConfigurationError(f"{path}.{shown(key)}: the key {_line_of(LONGEST_LINE)}")
        self.path = path
        self._plain = dict(plain)
        self._read: set[str] = set()

    def fail(self, key: str, allowed: str) -> ConfigurationError:
        """Make the error for ``key``: path, value, what is allowed."""
        return ConfigurationError(f"{self.path}.{key}={shown(self._plain.get(key))}: {allowed}")

    def value(self, key: str, default: object = _REQUIRED) -> object:
        """Read the value as it stands."""
        self._read.add(key)
        value = self._plain.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise ConfigurationError(f"{self.path}.{key}: is missing")
        return default

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        self._read.add(key)
        return self._plain.get(key) is not None

    def text(self, key: str, default: object = _REQUIRED, most: int = LONGEST_LINE) -> str:
        """Read a line that is not empty, stripped; the default is returned as it stands."""
        value = self.value(key, default)
        if isinstance(value, str) and value is default:
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, "must be a text that is not empty")
        if not is_line(value.strip(), most):
            raise self.fail(key, _line_of(most))
        return value.strip()

    def name(self, key: str) -> str:
        """Read a name (``protocol.text.text``): of a hospital, study, operator or contract."""
        return checked_name(self.text(key), f"{self.path}.{key}")

    def optional_text(self, key: str, most: int = LONGEST_LINE) -> str | None:
        """Read a line, or None where the key is absent."""
        return self.text(key, most=most) if self.has(key) else None

    def choice(self, key: str, allowed: tuple[str, ...], default: object = _REQUIRED) -> str:
        """Read one of a few words."""
        value = self.value(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(key, f"must be one of {', '.join(allowed)}")
        return value

    def integer(self, key: str, at_least: int, at_most: int, note: str = "") -> int:
        """Read a whole number within bounds; ``note`` stands after the value in the error."""
        value = self.value(key)
        where = f"{self.path}.{key}={shown(value)}{note and f' ({note})'}"
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_whole(value):
            raise ConfigurationError(f"{where}: must be a whole number")
        if value < at_least:
            raise ConfigurationError(f"{where}: must be at least {at_least}")
        if value > at_most:
            raise ConfigurationError(f"{where}: must be at most {at_most}")
        return int(value)

    def boolean(self, key: str, default: object = _REQUIRED) -> bool:
        """Read true or false."""
        value = self.value(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def texts(self, key: str, default: object = _REQUIRED) -> tuple[str, ...]:
        """Read a list of different texts; numbers are taken as text, booleans are refused.

        An unquoted true is a truth value in YAML, which no column would then match: hence the refusal.
        """
        value = self.value(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.fail(key, "must be a list")
        if any(isinstance(item, bool) for item in value):
            raise self.fail(key, 'must be texts; put true and false in quotes, as in ["true"]')
        if not all(isinstance(item, (str, int, float)) for item in value):
            raise self.fail(key, "must be a list of texts")
        if any(isinstance(item, int) and abs(item) >= _BEYOND for item in value):
            raise self.fail(key, "must hold no whole number beyond 2**63")
        items = tuple(_as_text(item) for item in value)
        if len({comparable(item) for item in items}) < len(items) or "" in items:
            raise self.fail(key, "must be different texts, none empty")
        if not all(map(is_line, items)):
            raise self.fail(key, f"each {_line_of(LONGEST_LINE)}")
        return items

    def numbers(self, key: str, default: object = _REQUIRED) -> tuple[float, ...]:
        """Read a list of finite numbers, strictly ascending."""
        value = self.value(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.fail(key, "must be a list of numbers")
        # To Python, True is a number; to whoever writes edges it is a mistake.
        if any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in value):
            raise self.fail(key, "must be a list of numbers")
        if not all(abs(item) < 1e15 and math.isfinite(item) for item in value):
            raise self.fail(key, "must be numbers below 1e15 in size")
        numbers = tuple(float(item) for item in value)
        if any(low >= high for low, high in pairwise(numbers)):
            raise self.fail(key, "must be ascending")
        return numbers

    def bounds(self, key: str) -> tuple[float, float]:
        """Read a pair [low, high] with low < high."""
        numbers = self.numbers(key)
        if len(numbers) != 2:
            raise self.fail(key, "must be a pair [low, high]")
        return numbers[0], numbers[1]

    def section(self, key: str, default: object = _REQUIRED) -> "Section":
        """Read a mapping within."""
        return Section(self.value(key, default), f"{self.path}.{key}")

    def keys(self) -> tuple[str, ...]:
        """List all keys of the mapping."""
        return tuple(self._plain)

    def finish(self) -> None:
        """Refuse keys that nobody read."""
        for key in self._plain:
            if key not in self._read:
                hint = did_you_mean(key, self._read)
                raise ConfigurationError(
                    f"{self.path}.{key}: unknown key; {hint}allowed: {', '.join(sorted(self._read))}"
                )


def _line_of(most: int) -> str:
    return f"must be one line of at most {most} visible characters"


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


def _as_text(item: str | int | float) -> str:
    if isinstance(item, str) or not math.isfinite(item):
        return str(item).strip()
    return str(canonical_number(item))
