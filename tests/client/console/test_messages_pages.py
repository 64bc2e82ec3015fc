"""Clinicians and communications decide about messages by pages: by the rules of ``outreach``, for what they saw."""

import re
from pathlib import Path

import pytest

from tests.client.console.conftest import PASSWORD, Console
from tests.client.outreach.decide.outreach_home import (
    propose,
    record_recall,
    say_chosen_by,
    states,
    text_of,
)
from tests.pages.browser import Browser, Tags
from wardround.client.home.home import load_home
from wardround.client.outreach.decide.acts import OutreachLog
from wardround.protocol.errors import ConfigurationError

PEOPLE = """people:
  grace: {name: Grace Hopper, roles: [clinician, approver]}
  ida: {name: Ida Rhodes, roles: [clinician]}
  ada: {name: Ada Byron, roles: [communications]}
"""


@pytest.fixture
def decided(outreach, console: Console) -> Console:
    """Twelve messages that wait, of a module that was never sent; and three people with accounts."""
    (console.hospital.folder / "people.yaml").write_text(PEOPLE)
    for account in ("grace", "ida", "ada"):
        console.accounts.admit(account, PASSWORD)
    return console


@pytest.fixture
def enter(decided: Console):
    opened: list[Browser] = []

    def enter(account: str) -> Browser:
        opened.append(Browser(decided.app))
        assert opened[-1].log_in(account, PASSWORD).status_code == 200
        return opened[-1]

    yield enter
    for browser in opened:
        browser.close()


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the last form for messages on a page."""
    form = page.rpartition('<form method="post" action="/messages">')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


def decide(browser: Browser, act: str, *ids: int, **changes: str):
    form = fields(browser.get("/messages").text)
    chosen = {f"id_{number}": "yes" for number in ids}
    return browser.post("/messages", {**form, **chosen, "act": act, "reason": "plain and kind", **changes})


def log(console: Console):
    home = load_home(console.hospital.folder)
    return OutreachLog(home.approvals_folder, home.key.public).read()


def test_two_people_approve_a_first_use_and_each_is_in_the_log(decided: Console, enter) -> None:
    page = decide(enter("grace"), "approve", 1, 2)
    assert page.status_code == 200
    assert "a module is used for the first time" in page.text
    assert states(decided.hospital) == {"proposed": 12}
    again = decide(enter("grace"), "approve", 1, 2)
    assert again.status_code == 409
    assert "another person must approve them too" in again.text
    assert decide(enter("ida"), "approve", 1, 2).status_code == 200
    assert states(decided.hospital) == {"approved": 2, "proposed": 10}
    assert [(act.kind, act.person, act.reason) for act in log(decided)] == [
        ("approve", "Grace Hopper", "plain and kind"),
        ("approve", "Ida Rhodes", "plain and kind"),
    ]


def test_a_clinician_sees_patients_and_reasons_and_communications_texts_and_counts(enter) -> None:
    clinician, communications = enter("grace").get("/messages").text, enter("ada").get("/messages").text
    for word in ("P-1<", "P-12<", "was late before"):
        assert word in clinician
        assert word not in communications
    assert "Grace Hopper" not in communications
    for page in (clinician, communications):
        assert "Hello {first_name}" in page
    assert re.search(r'class="figure">\s*12<', communications)


def test_communications_see_no_count_below_eleven_nor_what_it_could_be_read_off(
    decided: Console, enter
) -> None:
    assert decide(enter("grace"), "refuse", 1, 2).status_code == 200
    browser = enter("ada")
    page = browser.get("/messages").text
    assert "fewer than 11" in page
    assert not re.search(r'class="figure">\s*(10|2)<', page)
    assert "shown" not in fields(page)
    few = decide(browser, "hold")
    assert few.status_code == 409  # ten are a clinician's to decide about
    assert "10" not in few.text.partition("<main")[2].partition("</main>")[0]
    assert states(decided.hospital) == {"proposed": 10, "refused": 2}


def test_holding_and_refusing_need_one_person(decided: Console, enter) -> None:
    assert decide(enter("grace"), "hold", 3).status_code == 200
    assert decide(enter("grace"), "refuse", 4).status_code == 200
    assert states(decided.hospital) == {"held": 1, "proposed": 10, "refused": 1}


@pytest.mark.parametrize("account", ["grace", "ada"])
def test_what_changed_since_the_page_was_shown_is_looked_at_again(
    decided: Console, enter, account: str
) -> None:
    browser = enter(account)
    form = {**fields(browser.get("/messages").text), "id_1": "yes", "reason": "x"}
    propose(decided.hospital, 13)
    if account == "grace":
        assert decide(enter("ida"), "refuse", 1).status_code == 200
    page = browser.post("/messages", {**form, "act": "approve"})
    assert page.status_code == 409
    assert "look at the page again" in page.text
    assert all(act.kind != "approve" for act in log(decided))


@pytest.mark.parametrize(
    "changes",
    [{"seal": ""}, {"seal": "1:00"}, {"seal": "é"}, {"act": "export"}, {"act": ""}, {"reason": ""}, {"shown": "1"},
     {"shown": "1,2,x"}, {"id_1": "no"}],
)  # fmt: skip
def test_a_form_that_no_page_made_decides_nothing(decided: Console, enter, changes: dict[str, str]) -> None:
    browser = enter("grace")
    form = {**fields(browser.get("/messages").text), "id_1": "yes", "act": "refuse", "reason": "x", **changes}
    assert browser.post("/messages", form).status_code == 409
    assert states(decided.hospital) == {"proposed": 12}
    assert log(decided) == ()


def test_anothers_page_is_not_mine(decided: Console, enter) -> None:
    grace, ida = enter("grace"), enter("ida")
    theirs, mine = fields(grace.get("/messages").text), fields(ida.get("/messages").text)
    form = {**mine, "seal": theirs["seal"], "id_1": "yes", "act": "refuse", "reason": "x"}
    assert ida.post("/messages", form).status_code == 409
    assert states(decided.hospital) == {"proposed": 12}


def test_communications_cannot_name_single_messages(decided: Console, enter) -> None:
    browser = enter("ada")
    assert (
        decide(browser, "refuse", 1, shown="1").status_code == 200
    )  # of the whole group, whatever ids came along
    assert states(decided.hospital) == {"refused": 12}


def test_an_approval_faster_than_reading_is_said_and_kept(decided: Console, enter) -> None:
    page = decide(enter("grace"), "approve", 1)
    assert "reading takes about" in page.text
    assert log(decided)[-1].read_seconds in range(60)


def test_a_text_that_changed_is_not_approved(decided: Console, enter) -> None:
    browser = enter("grace")
    path = decided.hospital.folder / "content" / "visit.en.txt"
    path.write_text(path.read_text().replace("Hello", "Dear"))
    page = decide(browser, "approve", 1)
    assert page.status_code == 409
    assert "changed since it was proposed" in page.text


def test_what_a_recalled_model_chose_is_shown_as_that_and_approved_by_nobody(decided: Console, enter) -> None:
    say_chosen_by(decided.hospital, "cd" * 32, "ef" * 32, 1)
    record_recall(decided.hospital, "cd" * 32, "ab" * 32)
    assert all(
        "its model was recalled" in enter(account).get("/messages").text for account in ("grace", "ada")
    )
    for account, ids in (("grace", (1,)), ("ada", ())):
        page = decide(enter(account), "approve", *ids)
        assert page.status_code == 409
        assert "its operator recalled; nothing was decided" in page.text
    assert decide(enter("grace"), "approve", 2).status_code == 200
    assert decide(enter("grace"), "refuse", 1).status_code == 200
    assert states(decided.hospital) == {"proposed": 11, "refused": 1}


def test_who_left_is_out_of_the_pages_and_another_person_approves_what_they_did(
    decided: Console, enter
) -> None:
    grace, ida = enter("grace"), enter("ida")
    for one in (grace, ida):
        assert decide(one, "approve", 1).status_code == 200
    people = decided.hospital.folder / "people.yaml"
    people.write_text(
        PEOPLE.replace("ida: {", "ida: {left: 2026-01-01, ").replace(
            "ada: {name: Ada Byron, roles: [communications]}",
            "ada: {name: Ada Byron, roles: [communications]}\n  mary: {name: Mary Shaw, roles: [clinician]}",
        )
    )
    decided.accounts.admit("mary", PASSWORD)
    assert "P-1<" not in ida.get("/messages").text
    with pytest.raises(ConfigurationError, match="or left"):
        decided.accounts.admit("ida", PASSWORD)
    assert decide(enter("mary"), "approve", 1).status_code == 200
    assert [one.person for one in log(decided)] == ["Grace Hopper", "Ida Rhodes", "Mary Shaw"]


@pytest.mark.parametrize(
    "text", ['<img src=x onerror="alert(1)">', "'><script>alert(1)</script>", "{{7*7}}{%raw%}"]
)
def test_a_hostile_module_is_shown_as_text(decided: Console, enter, text: str) -> None:
    folder: Path = decided.hospital.folder
    (folder / "content" / "visit.en.txt").write_text(text_of().replace("Hello", "Hello word"))
    pages = {account: tags(enter(account)) for account in ("grace", "ada")}
    (folder / "content" / "visit.en.txt").write_text(text_of().replace("Hello", f"Hello {text}"))
    for account in ("grace", "ada"):
        assert tags(enter(account)) == pages[account]


def tags(browser: Browser) -> list[object]:
    found = []
    for path in ("/messages", "/texts"):
        page = browser.get(path)
        assert page.status_code == 200
        found.append(sorted(set(Tags(page.text).found)))
    return found


@pytest.mark.parametrize("role", ["clinician", "communications"])
def test_a_hospital_that_sends_no_messages_is_told_so_and_no_journal_is_begun(
    console, browse, role: str
) -> None:
    browser = browse(role)
    assert "No message waits." in browser.get("/messages").text
    assert "There are no texts yet" in browser.get("/texts").text
    assert not (console.hospital.folder / "outreach.sqlite").exists()
