"""A privacy officer decides about a study by its pages: what the ledger then holds, and what keeps it from that."""

from dataclasses import replace

import pytest

from tests.pages.browser import Browser, form_token
from wardround.client.commands.last_entry import last_entry
from wardround.client.commands.open_home import open_home
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon


def form_of(console, browser: Browser, **changes: str) -> dict[str, str]:
    with open_home(console.hospital.folder) as opened:
        number = last_entry(opened).number
    given = {"reason": "the board said yes", "answers": "yes", "last_entry": str(number),
             "expires_at": console.hospital.terms.expires_at}  # fmt: skip
    return {"form_token": form_token(browser.get("/overview")), **given, **changes}


@pytest.fixture
def path(console) -> str:
    return f"/studies/{console.hospital.terms.fingerprint}"


def test_an_approval_is_in_the_ledger_with_the_persons_name_and_reason(console, browse, path: str) -> None:
    browser = browse("privacy")
    page = browser.post(f"{path}/approve", form_of(console, browser))
    assert (page.status_code, page.url.path) == (200, path)
    entry = console.entries()[-1]
    assert (entry.kind, entry.fields["person"], entry.fields["reason"]) == (
        "approved",
        "Mary Ward",
        "the board said yes",
    )
    assert entry.fields["terms"] == console.hospital.terms.fingerprint
    assert entry.fields["expires_at"]
    for word in ("Mary Ward", "the board said yes", "approved"):
        assert word in page.text
    assert console.hospital.agent.answer(console.hospital.request(1)).payload  # the agent answers from now on


def test_a_decline_is_in_the_ledger_too_and_stops_an_approved_study(console, browse, path: str) -> None:
    browser = browse("privacy")
    browser.post(f"{path}/approve", form_of(console, browser))
    stop = {"form_token": form_token(browser.get(path)), "reason": "  no longer \n wanted "}
    assert browser.post(f"{path}/decline", stop).status_code == 200
    kinds = [(entry.kind, entry.fields.get("reason")) for entry in console.entries()[-2:]]
    assert kinds == [("approved", "the board said yes"), ("declined", "no longer wanted")]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"answers": ""}, "tick that you answer"), ({"reason": "  "}, "give one"), ({"reason": "x" * 5000}, "reason"),
     ({"reason": "a\u202eb"}, "reason"), ({"last_entry": "0"}, "last entry is number"),
     ({"last_entry": ""}, "last entry"),
     ({"expires_at": "2090-01-01T00:00:00+00:00"}, "the terms changed"), ({"words": "a b c"}, "no secure sums")],
)  # fmt: skip
def test_what_is_missing_from_the_form_keeps_it_from_being_recorded(
    console, browse, path: str, changes: dict[str, str], why: str
) -> None:
    browser, before = browse("privacy"), len(console.entries())
    page = browser.post(f"{path}/approve", form_of(console, browser, **changes))
    assert page.status_code == 409
    assert why in page.text
    assert len(console.entries()) == before


@pytest.mark.parametrize(
    ("policy", "clause"), [({"max_rounds": 3}, "max_rounds"), ({"min_patients": 39}, "min_patients")]
)
def test_the_policy_wins_over_whatever_a_page_showed(
    console, browse, path: str, policy: dict[str, int], clause: str
) -> None:
    browser = browse("privacy")
    form = form_of(console, browser)
    assert browser.get(f"{path}/decide").status_code == 200
    console.hospital.write_policy(**policy)
    page = browser.post(f"{path}/approve", form)
    assert page.status_code == 409
    assert f"{clause}: " in page.text
    assert all(entry.kind != "approved" for entry in console.entries())


@pytest.mark.parametrize("terms", ["0" * 64, "tea", "%2e%2e%2fhospital.yaml", "a" * 5000])
def test_what_a_browser_names_is_no_file_and_no_other_study(console, browse, terms: str) -> None:
    browser, before = browse("privacy"), len(console.entries())
    for page in (browser.get(f"/studies/{terms}"), browser.get(f"/studies/{terms}/decide"),
                 browser.post(f"/studies/{terms}/approve", form_of(console, browser))):  # fmt: skip
        assert page.status_code in (404, 409)
    assert len(console.entries()) == before


def test_the_page_shows_what_the_command_shows(console, browse, path: str) -> None:
    """The same figures as ``forecast`` and ``approve``, from the same functions."""
    browser = browse("privacy")
    study, decide = browser.get(path).text, browser.get(f"{path}/decide").text
    terms = console.hospital.terms
    epsilon = compose_epsilon([PrivacyEvent(terms.noise_multiplier, 1.0, terms.training.rounds)], 1e-5)
    for page in (study, decide):
        assert f"ε = {epsilon:.3g}" in page
    for clause in ("operators", "purposes", "features", "max_epsilon_for_life", "min_noise_multiplier"):
        assert clause in study
    assert "eligible patients = 26" in decide
    assert "min_patients" in decide
    assert "number 1" in decide  # the ledger's last entry, at this operator's first study


def test_a_study_beyond_the_policy_says_why_and_offers_no_form(console, browse) -> None:
    console.hospital.write_policy(max_rounds=3)
    browser = browse("privacy")
    path = f"/studies/{console.hospital.terms.fingerprint}"
    page = browser.get(path).text
    assert "cannot be approved" in page
    assert "max_rounds" in page
    assert f'href="{path}/decide"' not in page
    assert browser.get(f"{path}/decide").status_code == 409


def test_what_left_is_shown_with_its_cost(console, browse, path: str) -> None:
    browser = browse("privacy")
    browser.post(f"{path}/approve", form_of(console, browser))
    console.hospital.agent.answer(console.hospital.request(1))
    page = browser.get("/overview").text
    assert "tea, round 1" in page
    assert "of 5" in page
    ledger = browser.get("/ledger").text
    assert "tea, round 1" in ledger
    assert "by Mary Ward: the board said yes" in ledger


def test_the_ledger_is_shown_page_by_page_without_a_gap(console, browse) -> None:
    hospital = console.hospital
    for number in range(70):
        hospital.approve(replace(hospital.terms, study=f"s{number}"), "declined")
    browser, seen, path = browse("privacy"), [], "/ledger"
    while path:
        page = browser.get(path).text
        seen += [int(one.split("<")[0]) for one in page.split('scope="row" class="number">')[1:]]
        path = next((part.split('"')[0].replace("&amp;", "&") for part in page.split('href="')
                     if part.startswith("/ledger?before=") and "Older" in part.split("</a>")[0]), "")  # fmt: skip
    assert seen == list(range(len(console.entries()), 0, -1))
    assert browser.get("/ledger?before=x").status_code == 200
    assert browser.get("/ledger?before=" + "9" * 40).status_code == 200


def test_a_ledger_that_was_altered_shows_on_its_page(
    console, browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browse("privacy")
    assert "Each entry is signed" in browser.get("/ledger/check").text
    real = console.entries()
    monkeypatch.setattr(
        "wardround.client.ledger.sqlite.SqliteLedger.entries",
        lambda self: [replace(real[0], signature="00" * 64)],
    )
    page = browser.get("/ledger/check")
    assert page.status_code == 409
    assert "is not signed by" in page.text


def test_pages_speak_both_languages(console, browse, path: str) -> None:
    browser = browse("privacy")
    assert '<html lang="en">' in browser.get(path).text
    page = browser.post("/language", {"language": "es", "back": path})
    assert '<html lang="es">' in page.text
    assert "Qué cuesta a un paciente" in page.text
    assert page.url.path == path
