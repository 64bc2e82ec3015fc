"""Message files: the same texts in each language, all of them used, and one of them for every reader."""

import re
import string
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.pages.language import LANGUAGES, Words, chosen, texts

ROOMS = ("pages", "client/console", "client/preferences", "server/dashboard")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("room", ROOMS)
def test_every_language_has_the_same_texts_with_the_same_placeholders(room: str) -> None:
    folder = ROOT / room / "languages"
    assert {path.stem for path in folder.glob("*.yaml")} == set(LANGUAGES)
    english = texts(folder, "en")
    assert len(english) > 15
    for language in LANGUAGES:
        found = texts(folder, language)
        assert {key: placeholders(text) for key, text in found.items()} == {
            key: placeholders(text) for key, text in english.items()
        }


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_is_used(room: str) -> None:
    sources = [path.read_text() for path in (ROOT / room).rglob("*") if path.suffix in (".html", ".py")]
    used = set(re.findall(r"\"([a-z_]+\.[a-z_A-Z]+)\"", "".join(sources)))
    begun = re.findall(r"\"([a-z_]+\.[a-z_]*)\" ~", "".join(sources))
    unused = [
        key
        for key in texts(ROOT / room / "languages", "en")
        if key not in used and not key.startswith(tuple(begun))
    ]
    assert unused == []


def test_a_language_is_the_persons_choice_else_the_browsers() -> None:
    assert chosen("es", "en") == "es"
    assert chosen("", "fr-CH, es-MX;q=0.9, en;q=0.8") == "es"
    assert chosen("xx", "") == "en"
    assert chosen("../en", "," * 10_000) == "en"


def test_a_text_that_is_missing_fails() -> None:
    words = Words([ROOT / "pages" / "languages"], "en")
    with pytest.raises(KeyError):
        words("layout.nothing")


def test_no_template_lifts_the_escaping() -> None:
    templates = [path for room in ROOMS for path in (ROOT / room).rglob("*.html")]
    assert len(templates) > 10
    for path in templates:
        text = path.read_text()
        assert not re.search(
            r"\|\s*safe|autoescape|Markup|<script|style=|\son[a-z]+=|javascript:|https?:", text
        ), path
    code = "".join(path.read_text() for room in ROOMS for path in Path(ROOT / room).rglob("*.py"))
    assert "Markup(" not in code
    assert "render_template_string" not in code
