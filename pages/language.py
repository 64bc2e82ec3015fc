"""Message files of pages: the words of one room's pages in one language, ``languages/LANGUAGE.yaml``.

A text has ``{placeholders}``. Every language has the same texts with the same placeholders (test_language.py).
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.section import Section

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español"}
DEFAULT = "en"
_LONGEST_TEXT = 600


@cache
def texts(folder: Path, language: str) -> Mapping[str, str]:
    """Read the texts of one folder, by ``section.key``."""
    name = f"{language}.yaml"
    root = Section(read_yaml((folder / name).read_bytes(), name), name)
    found: dict[str, str] = {}
    for part in root.keys():  # noqa: SIM118 (not a dict)
        section = root.section(part)
        found |= {f"{part}.{key}": section.text(key, most=_LONGEST_TEXT) for key in section.keys()}  # noqa: SIM118
    return found


class Words:
    """The texts of one language, of several rooms: ``words("study.cost", epsilon="0.5")``."""

    def __init__(self, folders: Sequence[Path], language: str) -> None:
        """Read them; the texts of a later folder stand beside those of an earlier one."""
        self.language = language
        self._texts = {key: text for folder in folders for key, text in texts(folder, language).items()}

    def __call__(self, key: str, **values: object) -> str:
        """Give a text with its values; KeyError for a text that is not there. What it gives is escaped later."""
        return self._texts[key].format_map(values) if values else self._texts[key]

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._texts


def chosen(asked: str, accepted: str) -> str:
    """Choose a language: the person's own choice, else the first that the browser would accept."""
    if asked in LANGUAGES:
        return asked
    for part in accepted[:200].split(","):
        word = part.partition(";")[0].strip().lower().partition("-")[0]
        if word in LANGUAGES:
            return word
    return DEFAULT
