"""Whatever a patient is called, and whatever a module says: what is filled in stays text, in every form."""

import re
import unicodedata
from contextlib import suppress
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.client.outreach.content.modules import LINK, LINKED, guidelines_of, module_of
from wardround.client.outreach.content.check import check, sms_sizes
from wardround.client.outreach.content.module import Module, module_and_faults
from wardround.client.outreach.content.placeholders import looks_like_link, pieces, value_fault
from wardround.client.outreach.content.sms import sms_size
from wardround.client.outreach.content.written import FORMS, csv_cell, written
from wardround.protocol.characters import is_visible
from wardround.protocol.errors import ConfigurationError

GUIDELINES = guidelines_of()
MARKS = (
    "<script>MARK</script>", "'\"><img src=x onerror=MARK>", "&lt;b&gt;", "{date}", "{link}", "{{7*7}}", "{% MARK %}",
    "%s%n", "=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", "a\r\nBcc: MARK", "\x1b[2J", "\u202eMARK", "\x00", "\ud800",
    "evil.example", "evil。example", "https://evil.example", "me@evil.example", "Ann", "Łukasz", "Nguyễn", "O'Neil",
    "MARK'; DROP TABLE x;--", "$(MARK)", "`MARK`", "😀" * 40, "",
)  # fmt: skip
NAMES = st.one_of(st.sampled_from(MARKS), st.text(max_size=40))


class Tags(HTMLParser):
    """Collects what a browser would take for tags, and for text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(f"{name}={value}" for name, value in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def filled(module: Module, name: str, form: str) -> str | None:
    """Write a module for somebody of that name; None where it is refused."""
    with suppress(ConfigurationError):
        return written(module, {"first_name": name, "date": "1 May", "place": "Ward 2"}, GUIDELINES, form)
    return None


@settings(deadline=None, max_examples=60)
@given(NAMES)
def test_a_refusal_tells_the_placeholder_and_nothing_of_the_patients(name: str) -> None:
    assert refusal_of({"first_name": name, "date": "1 May"}) in (
        "",
        "visit.en: placeholder {first_name} must be one line of 1 to 30 visible characters",
        "visit.en: placeholder {first_name} holds what looks like a link",
    )


def refusal_of(values: dict[str, str]) -> str:
    try:
        written(PLAIN, values, GUIDELINES)
    except ConfigurationError as error:
        return str(error)
    return ""


PAGES = {"channel": "letter", "subject": "Your visit"}
PLAIN = module_of(**PAGES)
SMS = module_of()
WITH_LINK = module_of(
    **PAGES, link=LINK, parts={"core": "Dear {first_name}: {link}\n\nSee you", "voice": "Call us"}
)


@settings(deadline=None, max_examples=60)
@given(NAMES)
@example("{link}")
@example("<b>")
def test_no_name_becomes_a_tag(name: str) -> None:
    for module, form in ((PLAIN, "html"), (WITH_LINK, "large_print")):
        page = filled(module, name, form)
        if page is not None:
            usual, read = Tags(filled(module, "Ada", form) or ""), Tags(page)
            assert read.tags == usual.tags
            assert name in "".join(read.texts)


@settings(deadline=None, max_examples=60)
@given(NAMES)
@example("{date}")
def test_a_name_is_never_read_for_placeholders_and_moves_no_terminal(name: str) -> None:
    for form in ("plain", "voice"):
        text = filled(PLAIN, name, form)
        if text is not None:
            assert text.startswith(f"Hello {name},")
            assert all(map(is_visible, text.split("\n")))
            assert text.count("\n") == PLAIN.text.count("\n")


@settings(deadline=None, max_examples=60)
@given(NAMES)
def test_a_name_never_makes_a_message_longer_than_was_checked(name: str) -> None:
    usual, other = sms_sizes(SMS, GUIDELINES)
    text = filled(SMS, name, "plain")
    if text is not None and usual is not None and other is not None:
        most = usual if name.isascii() and name.isalpha() else other
        assert sms_size(text).segments <= (most.segments if max(name) <= "\uffff" else 4)


def test_a_name_of_letters_that_take_two_units_is_refused_where_the_parts_do_not_suffice() -> None:
    strict = guidelines_of(sms={"most_segments": 2, "most_segments_in_other_letters": 2})
    values = {"first_name": "Ann", "date": "1 May"}
    assert written(SMS, values, strict).startswith("Hello Ann")
    with pytest.raises(ConfigurationError, match="more than 2 parts"):
        written(SMS, {**values, "first_name": "\U00020000" * 30}, strict)


@settings(deadline=None, max_examples=60)
@given(NAMES, st.sampled_from(["first_name", "date"]))
def test_no_value_becomes_a_link(value: str, placeholder: str) -> None:
    values = {"first_name": "Ada", "date": "1 May", placeholder: value}
    module = module_of(**LINKED | {"parts": {"core": "{first_name}{date} {link}", "voice": "Call"}})
    try:
        text = written(module, values, GUIDELINES)
    except ConfigurationError:
        return
    assert not looks_like_link(text.replace(LINK, " "))
    assert text.endswith(LINK)


def test_two_values_do_not_spell_a_link_together() -> None:
    module = module_of(parts={"core": "{first_name}{date}"})
    assert value_fault("first_name", "evil.", GUIDELINES.placeholders) is None
    with pytest.raises(ConfigurationError, match="with its placeholders filled"):
        written(module, {"first_name": "evil.", "date": "example"}, GUIDELINES)


@settings(deadline=None, max_examples=60)
@given(NAMES)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = csv_cell(text)
    first = unicodedata.normalize("NFKC", cell).lstrip(" ")[:1]
    assert first == "" or first not in "=+-@\t\r\n"
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize("values", [{}, {"first_name": ""}, {"first_name": "x" * 31}, {"first_name": "a\nb"}])
def test_a_placeholder_without_its_value_writes_nothing(values: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"placeholder \{first_name\}"):
        written(PLAIN, values, GUIDELINES)


def test_each_form_is_of_its_reader() -> None:
    values = {"first_name": "Ada"}
    assert FORMS == ("plain", "html", "large_print", "voice")
    assert written(WITH_LINK, values, GUIDELINES) == f"Dear Ada: {LINK}\n\nSee you"
    assert written(WITH_LINK, values, GUIDELINES, "voice") == "Call us"
    page, large = (written(WITH_LINK, values, GUIDELINES, form) for form in ("html", "large_print"))
    assert f'<a href="{LINK}"' in page
    assert "18pt" in large
    assert "18pt" not in page
    assert 'lang="en"' in page
    with pytest.raises(ConfigurationError, match="form=pdf"):
        written(WITH_LINK, values, GUIDELINES, "pdf")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from([*MARKS, "[core]", "[greeting]", "\n", "---", ": ", "#", "visit", "{first_name}"])
    )
)
def test_no_text_of_a_module_is_syntax(bits: list[str]) -> None:
    """Whatever stands below [core] is its text, or a fault; checked and written, it brings in no tag of its own."""
    from tests.client.outreach.content.modules import module_text

    text = module_text(channel="letter", parts={"core": "Hi " + "".join(bits)})
    module, faults = module_and_faults(text.encode(errors="replace"), "visit.en.txt")
    if module is None or faults:
        return
    report = check([module], GUIDELINES, None)[0]
    page = filled(module, "Ada", "html") if not report.faults else None
    if page is not None:
        assert {tag for tag, _ in Tags(page).tags} <= {"html", "head", "meta", "title", "body", "p", "br"}
        assert not re.search(r"[{}]", "".join(Tags(page).texts))


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="{}ab_1 ", max_size=30))
def test_cutting_loses_nothing(text: str) -> None:
    spelt = (piece if isinstance(piece, str) else f"{{{piece.name}}}" for piece in pieces(text))
    assert "".join(spelt) == text


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("Go 93.184.216.34/x", True),
        ("\uff19\uff13.184.216.34", True),
        ("1.12.2026", False),
        ("10.1.2026, 9.30", False),
        ("Floor 1.2.3.4.5", False),
    ],
)
def test_a_number_that_telephones_make_a_link_of_is_no_value_and_a_date_is_one(
    value: str, link: bool
) -> None:
    assert (value_fault("first_name", value, {"first_name": 30}) is not None) == link
