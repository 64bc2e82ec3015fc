"""Which role may open which page, and send which form: every route, by page and by request."""

import pytest

from tests.client.console.conftest import PASSWORD, PEOPLE
from tests.pages.browser import form_token
from wardround.client.console.pages import MENU, hospital_routes, hospital_site
from wardround.client.console.questions import questions
from wardround.client.console.roles import ROLES
from wardround.client.policy.people import APPROVER, CLINICIAN, COMMUNICATIONS, IT, PRIVACY
from wardround.pages.app import common_routes

ANYBODY, EVERYBODY = "anybody", frozenset(ROLES)
WHO = {
    ("GET", "/log-in"): ANYBODY,
    ("POST", "/log-in"): ANYBODY,
    ("POST", "/log-out"): EVERYBODY,
    ("POST", "/language"): ANYBODY,
    ("GET", "/style.css"): ANYBODY,
    ("GET", "/icon.svg"): ANYBODY,
    ("GET", "/"): EVERYBODY,
    ("GET", "/overview"): {PRIVACY},
    ("GET", "/ledger"): {PRIVACY},
    ("GET", "/ledger/check"): {PRIVACY},
    ("GET", "/studies"): {PRIVACY},
    ("GET", "/studies/{terms}"): {PRIVACY},
    ("GET", "/studies/{terms}/decide"): {PRIVACY},
    ("POST", "/studies/{terms}/approve"): {PRIVACY},
    ("POST", "/studies/{terms}/decline"): {PRIVACY},
    ("GET", "/peers"): {PRIVACY, IT},
    ("GET", "/messages"): {COMMUNICATIONS, CLINICIAN},
    ("POST", "/messages"): {COMMUNICATIONS, CLINICIAN},
    ("GET", "/messages/{number}/change"): {CLINICIAN},
    ("POST", "/messages/{number}/change"): {CLINICIAN},
    ("GET", "/standing"): {COMMUNICATIONS, CLINICIAN},
    ("GET", "/standing/new"): {COMMUNICATIONS, CLINICIAN},
    ("POST", "/standing"): {COMMUNICATIONS, CLINICIAN},
    ("GET", "/texts"): {COMMUNICATIONS, CLINICIAN, APPROVER},
    ("GET", "/sending"): {COMMUNICATIONS, CLINICIAN},
    ("GET", "/results"): {COMMUNICATIONS, PRIVACY},
    ("GET", "/machine"): {IT},
    ("GET", "/alerts"): {PRIVACY, IT},
    ("GET", "/machine/doctor"): {IT},
}


def test_the_table_has_every_route(console) -> None:
    site = hospital_site(console.settings.pages, console.desk)
    routes = [*common_routes(site).routes, *hospital_routes(site).routes]
    found = {(method, route.path) for route in routes for method in route.methods}
    assert found == set(WHO)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_each_role_opens_its_own_pages_alone(outreach, console, browse, role: str | None) -> None:
    browser = browse(role)
    for (method, path), roles in WHO.items():
        if method == "POST" or roles is ANYBODY:
            continue
        page = browser.get(_named(console, path), follow=False)
        if role is None:
            assert (page.status_code, page.headers["location"]) == (303, "/log-in"), path
        elif path == "/":
            assert page.status_code == 303
            assert page.headers["location"] in {place.path for place in MENU if role in place.roles}
        else:
            assert page.status_code == (200 if role in roles else 403), path
            assert ("Mary Ward" in page.text) == (role == PRIVACY), path


def _named(console, path: str) -> str:
    """Give a path of one thing that is there."""
    found = path.replace("{terms}", console.hospital.terms.fingerprint).replace("{number}", "1")
    return f"{found}?trigger=unconfirmed-visit&module=visit.en" if path == "/standing/new" else found


@pytest.mark.parametrize("role", [one for one in ROLES if one != PRIVACY])
def test_a_form_that_is_not_the_roles_own_decides_nothing(console, browse, role: str) -> None:
    browser = browse(role)
    before = len(console.entries())
    token = form_token(browser.get("/nothing"))
    for act in ("approve", "decline"):
        form = {"form_token": token, "reason": "x", "answers": "yes", "last_entry": "1",
                "expires_at": console.hospital.terms.expires_at}  # fmt: skip
        path = f"/studies/{console.hospital.terms.fingerprint}/{act}"
        assert browser.post(path, form, follow=False).status_code == 403
    if role in (IT, APPROVER):
        for path in ("/messages", "/standing"):
            assert browser.post(path, {"form_token": token, "act": "approve"}).status_code == 403
    assert len(console.entries()) == before


def test_the_menu_shows_what_a_role_may_open(console, browse) -> None:
    for role in ROLES:
        page = browse(role).get("/nothing").text
        shown = {place.path for place in MENU if f'<a href="{place.path}"' in page}
        assert shown == {place.path for place in MENU if role in place.roles}


def test_every_question_that_records_something_needs_a_form(console) -> None:
    changing = {name for name, one in questions(console.hospital.folder).items() if one.changes}
    assert changing == {"approve", "decline", "decide_messages", "change_message", "decide_standing"}


def test_roles_are_those_that_stand_now(console, browse) -> None:
    browser = browse("it")
    assert browser.get("/machine").status_code == 200
    console.enrol({**PEOPLE, "it": "Alan Mathison Turing"})
    assert "Alan Mathison Turing" in browser.get("/machine").text
    console.enrol({role: name for role, name in PEOPLE.items() if role != "it"})
    assert browser.get("/machine", follow=False).status_code == 303
    console.enrol(PEOPLE)
    browser.log_in("it", PASSWORD)
    console.accounts.set_disabled("it", True)
    assert browser.get("/machine", follow=False).status_code == 303
    assert browser.log_in("it", PASSWORD).status_code == 401
