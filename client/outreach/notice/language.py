"""Message files: the texts of the page in one language, ``languages/LANGUAGE.yaml``.

A text has ``{placeholders}``; every language has the same texts with the same placeholders (test_outreach_notice.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.section import Section

_FOLDER = Path(__file__).parent / "languages"
_LONGEST_TEXT = 600
SECTIONS = ("sent", "decides", "choice", "refuse", "measure", "kept")


@dataclass(frozen=True, kw_only=True)
class MessageFile:
    """One language. sentences: by key; titles: of each of ``SECTIONS``; channels, arms: words of settings → of people.

    day_form: how a day is written, with ``{day}``, ``{month}`` and ``{year}``.
    """

    language: str
    title: str
    eyebrow: str
    last: str
    day_form: str
    months: tuple[str, ...]
    titles: Mapping[str, str]
    channels: Mapping[str, str]
    arms: Mapping[str, str]
    sentences: Mapping[str, str]

    def listed(self, words: Sequence[str]) -> str:
        """Join words as a sentence does."""
        return f" {self.last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)

    def day(self, day: date) -> str:
        """Write a day."""
        return self.day_form.format(day=day.day, month=self.months[day.month - 1], year=day.year)


def languages() -> tuple[str, ...]:
    """Name the languages that there are."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


@cache
def message_file(language: str) -> MessageFile:
    """Read one language's texts; ConfigurationError where there is no such file."""
    if language not in languages():
        raise ConfigurationError(
            f"language={language}: there is no message file; one of {', '.join(languages())}"
        )
    name = f"{language}.yaml"
    section = Section(read_yaml((_FOLDER / name).read_bytes(), name), name)
    found = MessageFile(
        language=language,
        title=section.text("title"),
        eyebrow=section.text("eyebrow"),
        last=section.text("last"),
        day_form=section.text("day"),
        months=section.texts("months"),
        titles=_texts(section, "titles"),
        channels=_texts(section, "channels"),
        arms=_texts(section, "arms"),
        sentences=_texts(section, "sentences"),
    )
    section.finish()
    return found


def _texts(section: Section, key: str) -> Mapping[str, str]:
    part = section.section(key)
    return {name: part.text(name, most=_LONGEST_TEXT) for name in part.keys()}  # noqa: SIM118 (not a dict)
