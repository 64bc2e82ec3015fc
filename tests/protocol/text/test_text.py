"""What a text may be: names, lines, and what is shown of any text; each rule refuses and lets pass."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.text.text import LONGEST_LINE, checked_name, is_line, is_name, visible

HIDDEN = [
    *("\x00", "\x07", "\x08", "\t", "\n", "\r", "\x0b", "\x1b", "\x7f", "\x85", "\x9b"),
    *("\u00a0", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b"),
    *("\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069"),
    *("\u2800", "\u3000", "\u3164", "\ue000", "\ufe0f", "\ufeff", "\uffa0", "\ufffc", "\uffff"),
    *("\ud800", "\udfff", "\U000e0041", "\U000e0101", "\U0010ffff"),
]
LANGUAGES = [
    *("age", "São João da Silva", "JARDIM CAMBURI", "Überweisung", "Αθήνα", "Москва", "北京", "서울", "東京"),
    *(
        "القاهرة",
        "ירושלים",
        "בְּרֵאשִׁ֖ית",
        "हिन्दी",
        "ภาษาไทย",
        "Tiếng Việt",
        "Tiê\u0301ng Viê\u0323t",
        "བརྒྱུད",
        "age ≥ 65 €",
    ),
]


@pytest.mark.parametrize("name", ["a", "north", "7", "St.Mary_2-b", "x" * 64])
def test_a_name_is_taken(name):
    assert is_name(name)
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", "a b", "a/b", "a\n", "ä", "x" * 65, None, 7, b"a"]
)
def test_no_name_names_a_file_elsewhere_or_ends_a_line(name):
    assert not is_name(name)
    with pytest.raises(ConfigurationError, match=r"^study=.*at most 64"):
        checked_name(name, "study")


@pytest.mark.parametrize("text", LANGUAGES)
def test_every_language_has_lines(text):
    assert is_line(text)
    assert visible(text) == text


@pytest.mark.parametrize("one", HIDDEN, ids=lambda one: f"{ord(one):x}")
def test_what_nobody_sees_is_in_no_line_and_is_shown_escaped(one):
    assert not is_line(f"a{one}b")
    shown = visible(f"a{one}b")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown[1] == "\\"


def test_every_default_ignorable_and_format_character_is_refused():
    kinds = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    for code in (*range(0x3000), *range(0xA000, 0xAC00), *range(0xD700, 0x11000), *range(0xE0000, 0xE0200)):
        one = chr(code)
        if unicodedata.category(one) in kinds or (one.isspace() and one != " "):
            assert not is_line(f"a{one}b"), hex(code)


@pytest.mark.parametrize("text", ["", " a", "a ", "a\n", "x" * (LONGEST_LINE + 1), None, 7, b"a", ["a"]])
def test_a_line_is_a_text_bounded_without_spaces_around(text):
    assert not is_line(text)
    assert is_line("x" * LONGEST_LINE)


def test_marks_do_not_pile_up_nor_stand_on_what_is_printed_before():
    assert is_line("e\u0301\u0323\u0301\u0323")
    assert not is_line("e" + "\u0301" * 5)
    assert not is_line("\u0301e")
    assert visible("e" + "\u0301" * 6) == "e" + "\u0301" * 4 + "\\u0301" * 2
    assert visible("\u0301") == "\\u0301"


def test_what_is_too_long_is_cut_before_it_is_looked_at():
    assert visible("x" * 10**6, 10) == "xxxxxxx..."
    assert len(visible("\x1b" * 10**6, 60)) == 60


@given(st.text(alphabet=st.characters(codec=None)))
def test_whatever_is_shown_is_one_visible_line(text):
    shown = visible(text)
    assert shown == "" or "\n" not in shown
    assert shown.isprintable()
    assert visible(shown) == shown


def test_every_error_is_one_visible_line_whoever_wrote_what_stands_in_it():
    error = Refusal("operators", "x\n2026-11-28 INFO released\x1b[2J\u202e" + "y" * 2000)
    assert str(error).isprintable()
    assert len(str(error)) <= 1000
    assert "\\n2026-11-28" in str(error)
