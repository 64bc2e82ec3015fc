"""A clinician puts another approved text in a message's place on a page: for what they saw; it waits as every other."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from markupsafe import escape

from tests.client.console.conftest import Console, add_text
from tests.client.outreach.decide.outreach_home import approve_content, states, text_of
from tests.pages.browser import Browser
from wardround.client.outreach.journal.journal import Journal, open_journal
from wardround.client.outreach.journal.states import EXPORTING

PATH = "/messages/1/change"


@pytest.fixture
def texts(outreach, console: Console) -> Console:
    """Twelve messages that wait; beside their text one like it, one by letter, and one that nobody approved."""
    add_text(console.hospital)
    for name, changes in (
        ("letter", {"channel": "letter", "subject": "A visit"}),
        ("raw", {}),
    ):
        (console.hospital.folder / f"content/{name}.en.txt").write_text(text_of(id=name, **changes))
        if name != "raw":
            approve_content(console.hospital, f"{name}.en")
    return console


def form_of(browser: Browser) -> dict[str, str]:
    page = browser.get(PATH).text.partition("<main")[2]
    hidden = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.partition("</main>")[0])
    )
    return {**hidden, "module": "short.en", "reason": "shorter is kinder"}


def test_another_text_takes_its_place_and_waits(texts: Console, browse: Callable) -> None:
    browser = browse("clinician")
    page = browser.post(PATH, form_of(browser))
    assert page.status_code == 200
    assert "It says short.en now" in page.text
    assert states(texts.hospital) == {"proposed": 12, "void": 1}
    with open_journal(texts.hospital.folder) as journal:
        assert [one.module for one in journal.proposals(("proposed",))].count("short.en") == 1
    assert "A visit is near" in browser.get("/messages").text


def test_what_may_stand_there_is_approved_and_of_its_topic_and_channel(
    texts: Console, browse: Callable
) -> None:
    page = browse("clinician").get(PATH).text
    assert re.findall(r'name="module" value="([^"]*)"', page) == ["short.en"]
    assert "P-1<" in page
    assert "Hello {first_name}" in page
    assert "A visit is near" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"module": "letter.en"}, "choose one of the texts"),
        ({"module": "raw.en"}, "choose one of the texts"),
        ({"module": "visit.en"}, "choose one of the texts"),
        ({"module": ""}, "choose one of the texts"),
        ({"seal": ""}, "look at the page again"),
        ({"seal": "1:00"}, "look at the page again"),
        ({"reason": ""}, "reason"),
    ],
)
def test_a_form_that_the_page_did_not_make_changes_nothing(
    texts: Console, browse: Callable, changes: dict[str, str], said: str
) -> None:
    browser = browse("clinician")
    page = browser.post(PATH, {**form_of(browser), **changes})
    assert page.status_code == 409
    assert said in page.text
    assert states(texts.hospital) == {"proposed": 12}


def test_a_text_that_changed_since_is_looked_at_again(texts: Console, browse: Callable) -> None:
    browser = browse("clinician")
    form = form_of(browser)
    other = text_of(id="short", parts={"core": "Another text. Reply STOP to stop."})
    (texts.hospital.folder / "content/short.en.txt").write_text(other)
    approve_content(texts.hospital, "short.en")
    page = browser.post(PATH, form)
    assert page.status_code == 409
    assert "look at the page again" in page.text
    assert states(texts.hospital) == {"proposed": 12}


@pytest.mark.parametrize("number", ["99", "x", "1e3", "²", "9" * 30])
def test_a_message_that_does_not_wait_cannot_be_changed(
    texts: Console, browse: Callable, number: str
) -> None:
    page = browse("clinician").get(f"/messages/{number}/change")
    assert page.status_code == 409
    assert "does not wait any more" in page.text


def test_a_message_that_leaves_meanwhile_is_not_proposed_again(texts: Console, browse: Callable) -> None:
    """An export takes it after the page's own look: no second message stands beside it."""
    browser = browse("clinician")
    form = form_of(browser)
    with open_journal(texts.hospital.folder) as journal:
        journal.move([1], "approved", person="x", reason="x", at=datetime.now(UTC))
    read = Journal.proposals

    def and_then_it_leaves(journal: Journal, *given, **named):
        found = list(read(journal, *given, **named))
        if named.get("ids") == (1,):
            journal.move([1], EXPORTING, person="x", reason="x", at=datetime.now(UTC))
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "proposals", and_then_it_leaves)
        page = browser.post(PATH, form)
    assert page.status_code == 409
    assert "does not wait any more; nothing was put in its place" in page.text
    assert states(texts.hospital) == {"proposed": 11, "exporting": 1}


@pytest.mark.parametrize("role", ["communications", "privacy", "it"])
def test_it_is_the_clinicians_alone(texts: Console, browse: Callable, role: str) -> None:
    form = form_of(browse("clinician"))
    browser = browse(role)
    assert browser.get(PATH).status_code == 403
    mine = re.search(r'name="form_token" value="([^"]*)"', browser.get("/nothing").text)
    assert browser.post(PATH, {**form, "form_token": mine[1]}).status_code == 403
    assert states(texts.hospital) == {"proposed": 12}


def test_where_no_other_text_may_be_sent_the_page_says_so(
    outreach, console: Console, browse: Callable
) -> None:
    assert "No other approved text" in browse("clinician").get(PATH).text


def test_without_a_journal_none_is_begun(console: Console, browse: Callable) -> None:
    assert browse("clinician").get(PATH).status_code == 409
    assert not (console.hospital.folder / "outreach.sqlite").exists()


@pytest.mark.parametrize("text", ['<img src=x onerror="alert(1)">', "{{7*7}}{%raw%}"])
def test_a_hostile_text_is_shown_as_text(texts: Console, browse: Callable, text: str) -> None:
    path = texts.hospital.folder / "content/visit.en.txt"
    path.write_text(path.read_text().replace("Hello", f"Hello {text}"))
    page = browse("clinician").get(PATH).text
    assert escape(text) in page
    assert "<img src=x" not in page
