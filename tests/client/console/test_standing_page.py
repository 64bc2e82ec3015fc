"""Standing approvals on pages: two people sign, by the rules of ``outreach standing``, for the text that they saw."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.client.console.conftest import Console
from tests.client.outreach.decide.outreach_home import approve_content, text_of
from tests.pages.browser import Browser
from wardround.client.home.home import load_home
from wardround.client.outreach.decide.acts import OutreachLog

NEW = "/standing/new?trigger=unconfirmed-visit&module=visit.en"
UNTIL = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
TERMS = {"population": "anybody", "until": UNTIL, "per_day": "10", "in_all": "50", "sample": "20"}


@pytest.fixture
def messages(outreach, console: Console) -> Console:
    return console


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's own form."""
    form = page.partition('action="/standing"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


def begin(browser: Browser, **changes: str):
    return browser.post(
        "/standing", {**hidden(browser.get(NEW).text), **TERMS, "act": "begin", "reason": "usual", **changes}
    )


def decide(browser: Browser, act: str, **changes: str):
    form = hidden(browser.get("/standing").text)
    return browser.post("/standing", {**form, "act": act, "reason": "plain", **changes})


def acts(console: Console) -> list[tuple[str, str, int]]:
    home = load_home(console.hospital.folder)
    log = OutreachLog(home.approvals_folder, home.key.public).read()
    return [(one.kind, one.person, one.number) for one in log]


def test_two_people_sign_on_pages_and_then_it_holds(messages: Console, browse: Callable) -> None:
    ada, grace = browse("communications"), browse("clinician")
    page = begin(ada)
    assert page.status_code == 200
    assert "waits for a second person" in page.text
    assert "Sign it too" not in page.text  # it is ada's own
    assert "Sign it too" in grace.get("/standing").text
    assert ">holds<" in decide(grace, "sign").text
    assert acts(messages) == [("standing", "Ada Byron", 0), ("standing", "Grace Hopper", 1)]
    page = grace.get("/standing").text
    for word in (
        "unconfirmed-visit",
        "10 a day, 50 in all",
        "20 %",
        UNTIL,
        "Ada Byron, Grace Hopper",
        "Hello {first_name}",
    ):
        assert word in page
    assert ">ended<" in decide(ada, "end").text
    assert acts(messages)[-1] == ("end", "Ada Byron", 1)


def test_one_person_is_not_two(messages: Console, browse: Callable) -> None:
    ada = browse("communications")
    begin(ada)
    page = decide(ada, "sign")
    assert page.status_code == 409
    assert "signed it already" in page.text
    assert acts(messages) == [("standing", "Ada Byron", 0)]


def test_a_text_that_changed_since_the_page_was_shown_is_not_signed(
    messages: Console, browse: Callable
) -> None:
    ada, grace = browse("communications"), browse("clinician")
    form = hidden(ada.get(NEW).text)
    begin(ada)
    path = messages.hospital.folder / "content/visit.en.txt"
    path.write_text(text_of(parts={"core": "Another text. Reply STOP to stop."}))
    approve_content(messages.hospital)
    page = ada.post("/standing", {**form, **TERMS, "act": "begin", "reason": "x"})
    assert page.status_code == 409
    assert "its text changed since you saw it" in page.text
    page = grace.get("/standing").text
    assert "is another text today" in page
    assert "Another text. Reply" not in page
    assert "Sign it too" not in page
    page = decide(grace, "sign")
    assert page.status_code == 409
    assert "changed since Ada Byron signed" in page.text
    assert len(acts(messages)) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"until": "2020-01-01"}, "until"),
        ({"until": "soon"}, "until"),
        ({"until": ""}, "until"),
        ({"per_day": "0"}, "per-day"),
        ({"per_day": "x"}, "per-day: must be a whole number"),
        ({"per_day": "²"}, "per-day: must be a whole number"),
        ({"in_all": "1"}, "in-all"),
        ({"sample": "0"}, "sample"),
        ({"population": "rich"}, "population"),
        ({"trigger": "another"}, "declares no such trigger"),
        ({"module": "none.en"}, "module"),
        ({"digest": "0" * 64}, "its text changed"),
        ({"reason": ""}, "reason"),
        ({"act": "apply"}, "must be begin, sign or end"),
    ],
)
def test_what_may_not_be_signed_is_refused_by_name(
    messages: Console, browse: Callable, changes: dict[str, str], said: str
) -> None:
    page = begin(browse("clinician"), **changes)
    assert page.status_code == 409
    assert said in page.text
    assert acts(messages) == []


@pytest.mark.parametrize("number", ["7", "0", "x", ""])
def test_only_one_that_is_there_is_signed_or_ended(messages: Console, browse: Callable, number: str) -> None:
    browser = browse("clinician")
    token = re.search(r'name="form_token" value="([^"]*)"', browser.get("/standing").text)
    for act in ("sign", "end"):
        form = {"form_token": token[1], "act": act, "number": number, "reason": "x"}
        assert browser.post("/standing", form).status_code == 409
    assert acts(messages) == []


def test_a_text_that_may_not_be_sent_is_not_offered(messages: Console, browse: Callable) -> None:
    browser = browse("clinician")
    assert "unconfirmed-visit · visit.en" in browser.get("/standing").text
    path = messages.hospital.folder / "content/visit.en.txt"
    path.write_text(path.read_text().replace("Hello", "Dear"))
    assert "unconfirmed-visit · visit.en" not in browser.get("/standing").text
    assert browser.get(NEW).status_code == 409


def test_without_messages_the_page_says_so_and_begins_nothing(console: Console, browse: Callable) -> None:
    page = browse("communications").get("/standing")
    assert "There is no standing approval." in page.text
    assert browse("communications").get(NEW).status_code == 409
    assert not (console.hospital.folder / "outreach.sqlite").exists()
