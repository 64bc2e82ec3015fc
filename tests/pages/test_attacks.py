"""What OWASP's list tries against the shared pages, as requests."""

import logging
from typing import Any

import pytest

from tests.pages.browser import Browser, Tags, form_token
from tests.pages.conftest import PASSWORD
from wardround.pages.guard import HEADERS

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}{% for x in y %}",
    "javascript:alert(1)",
    "</title><svg onload=alert(1)>",
    "a\x1b[2J\u202eb\x00c\r\nSet-Cookie: a=b",
)


def test_a_change_needs_the_forms_token(side, browse) -> None:
    browser = browse(side, "ada")
    token = form_token(browser.get("/"))
    for form in ({}, {"form_token": ""}, {"form_token": token[:-1]}, {"form_token": token + "a"}):
        assert browser.post("/change", form).status_code == 403
    assert side.changed == []
    assert browser.post("/change", {"form_token": token}).status_code == 200
    assert side.changed == ["Ada Byron"]


def test_anothers_token_is_worth_nothing(side, browse) -> None:
    token = form_token(browse(side, "ada").get("/"))
    side.accounts.add("joan", "Joan Clarke", ("officer",), PASSWORD)
    assert browse(side, "joan").post("/change", {"form_token": token}).status_code == 403
    assert side.changed == []


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "https://127.0.0.1:8765",
        "http://127.0.0.1:8766",
        "http://127.0.0.1",
    ],
)
def test_a_form_that_stands_elsewhere_changes_nothing(side, browse, origin: str) -> None:
    browser = browse(side, "ada")
    token = form_token(browser.get("/"))
    assert browser.post("/change", {"form_token": token}, headers={"origin": origin}).status_code == 403
    assert browser.post("/log-out", {"form_token": token}, headers={"origin": origin}).status_code == 403
    assert side.changed == []
    assert browser.get("/").status_code == 200


def test_a_get_changes_nothing(side, browse) -> None:
    browser = browse(side, "ada")
    token = form_token(browser.get("/"))
    for path in ("/change", "/log-out"):
        assert browser.get(f"{path}?form_token={token}").status_code == 404
    assert side.changed == []
    assert browser.get("/secret").status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_other_methods_reach_no_page(side, browse, method: str) -> None:
    assert browse(side, "ada").request(method, "/change").status_code in (404, 405)
    assert side.changed == []


def test_a_planted_session_is_nobodys(side, browse) -> None:
    """Session fixation: what the browser came with never becomes a session, and ends."""
    victim = browse(side)
    victim.cookies.set("wardround", "planted", domain="127.0.0.1", path="/")
    victim.log_in("ada", PASSWORD)
    assert [one.value for one in victim.cookies.jar].count("planted") == 0
    attacker = browse(side)
    attacker.cookies.set("wardround", "planted")
    assert attacker.get("/", follow=False).headers["location"] == "/log-in"


def test_a_log_in_ends_the_session_that_was_there(side, browse) -> None:
    browser = browse(side, "grace")
    before = browser.cookies["wardround"]
    browser.log_in("ada", PASSWORD)
    assert browser.cookies["wardround"] != before
    other = browse(side)
    other.cookies.set("wardround", before)
    assert other.get("/", follow=False).status_code == 303


def test_a_log_out_ends_the_session_everywhere(side, browse) -> None:
    browser = browse(side, "ada")
    token = browser.cookies["wardround"]
    browser.post("/log-out", {"form_token": form_token(browser.get("/"))})
    assert "wardround" not in browser.cookies
    browser.cookies.set("wardround", token)
    assert browser.get("/", follow=False).status_code == 303


def test_sessions_end_when_idle_and_in_any_case(side, browse) -> None:
    idle, busy = browse(side, "ada"), browse(side, "ada")
    for _ in range(16):
        side.wait(minutes=14)
        assert busy.get("/", follow=False).status_code == 200
    assert idle.get("/", follow=False).status_code == 303
    for _ in range(19):
        side.wait(minutes=14)
        last = busy.get("/", follow=False).status_code
    assert last == 303  # 8 hours after the log-in


def test_a_clock_that_was_set_back_keeps_no_session_open(side, browse) -> None:
    """A day back, an idle session would stay open for a day more, and a long one for as much."""
    browser = browse(side, "ada")
    side.wait(seconds=-30)  # as a clock that is kept right may go
    assert browser.get("/", follow=False).status_code == 200
    side.wait(days=-1)
    assert browser.get("/", follow=False).status_code == 303
    assert browser.log_in("ada", PASSWORD).status_code == 200


@pytest.mark.parametrize("change", ["disable", "password"])
def test_a_disabled_account_and_another_password_end_sessions(side, browse, change: str) -> None:
    browser = browse(side, "ada")
    if change == "disable":
        side.accounts.set_disabled("ada", True)
    else:
        side.accounts.set_password("ada", "four white horses swim")
    assert browser.get("/", follow=False).status_code == 303
    assert browser.log_in("ada", PASSWORD).status_code == 401


def test_no_password_can_be_guessed_and_waiting_forgives(side, browse) -> None:
    browser = browse(side)
    codes = [browser.log_in("ada", f"wrong horses {number}").status_code for number in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert browser.log_in("ada", PASSWORD).status_code == 429  # nothing is compared any more
    assert browser.log_in("grace", PASSWORD).status_code == 200
    side.wait(minutes=1)
    assert browse(side).log_in("ada", PASSWORD).status_code == 200


def test_one_address_cannot_try_all_accounts(side, browse) -> None:
    guesser = browse(side, address="192.0.2.7")
    codes = [guesser.log_in(f"name{number}", "a common password").status_code for number in range(101)]
    assert codes[99:] == [401, 429]
    assert guesser.log_in("ada", PASSWORD).status_code == 429
    assert browse(side, address="192.0.2.8").log_in("ada", PASSWORD).status_code == 200


def test_an_unknown_account_cannot_be_told_from_a_known_one(side, browse, monkeypatch) -> None:
    compared: list[str] = []
    real = __import__("wardround.pages.passwords", fromlist=["is_password"]).is_password
    monkeypatch.setattr(
        "wardround.pages.accounts.is_password",
        lambda given, kept: compared.append(kept[:12]) or real(given, kept),
    )
    side.accounts.set_disabled("grace", True)
    pages = []
    for name, password in (("ada", "x"), ("nobody", "x"), ("grace", PASSWORD), ("../etc", "x"), ("", "x")):
        page = browse(side).log_in(name, password)
        pages.append((page.status_code, page.text))
    assert len(set(pages)) == 1
    assert compared == ["$argon2id$v="] * 5  # one computation of the same cost for each
    again = [browse(side).log_in("nobody", "x").status_code for _ in range(10)]
    assert again == [401] * 9 + [429]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8765", "[::1]:8765", ""]
)
def test_another_name_for_this_server_reaches_nothing(side, browse, host: str) -> None:
    """DNS rebinding: a foreign name that is pointed at loopback."""
    page = browse(side, "ada").get("/", headers={"host": host})
    assert page.status_code == 421
    assert "Ada" not in page.text


def test_a_large_request_is_not_read(side, browse) -> None:
    browser = browse(side, "ada")
    token = form_token(browser.get("/"))
    assert browser.post("/change", {"form_token": token, "more": "x" * 70_000}).status_code == 413

    def parts() -> Any:
        async def stream() -> Any:
            for _ in range(100):
                yield b"x" * 1000

        return stream()

    headers = {"origin": browser.origin, "content-type": "application/x-www-form-urlencoded"}
    assert browser.request("POST", "/change", content=parts(), headers=headers).status_code == 413
    assert side.changed == []


@pytest.mark.parametrize(
    "body",
    [
        b"form_token=%s&form_token=%s",
        b"\xff\xfe",
        b"form_token",
        b"&".join(b"a=1" for _ in range(70)) + b"&form_token=%s",
    ],
)
def test_what_is_no_form_of_ours_changes_nothing(side, browse, body: bytes) -> None:
    browser = browse(side, "ada")
    sent = body.replace(b"%s", form_token(browser.get("/")).encode())
    headers = {"origin": browser.origin, "content-type": "application/x-www-form-urlencoded"}
    assert browser.request("POST", "/change", content=sent, headers=headers).status_code == 403
    json = browser.request(
        "POST",
        "/change",
        json={"form_token": form_token(browser.get("/"))},
        headers={"origin": browser.origin},
    )
    assert json.status_code == 403
    assert side.changed == []


@pytest.mark.parametrize("path", ["/", "/log-in", "/nothing", "/style.css", "/secret", "/broken"])
def test_every_answer_has_its_headers(side, browse, path: str) -> None:
    answer = browse(side, "ada").get(path, follow=False)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "strict-transport-security" not in answer.headers


def test_over_tls_the_cookie_is_bound_to_this_host(side) -> None:
    browser = Browser(side.app(secure=True), origin="https://pages.example")
    page = browser.post("/log-in", {"account": "ada", "password": PASSWORD}, follow=False)
    cookie = page.headers["set-cookie"]
    assert cookie.startswith("__Host-wardround=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert "strict-transport-security" in page.headers
    browser.close()


def test_the_cookie_on_loopback_is_for_no_script_and_no_other_site(side, browse) -> None:
    page = browse(side).post("/log-in", {"account": "ada", "password": PASSWORD}, follow=False)
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(page.headers["set-cookie"].split("; "))


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_shown_as_text(side, browse, text: str) -> None:
    browser = browse(side, "ada")
    benign = Tags(browser.get("/?word=good").text).found
    side.said = text
    page = browser.request("GET", "/", params={"word": text})
    assert Tags(page.text).found == benign
    for character in "\x1b\u202e\x00\r":
        assert character not in page.text


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a/../../b",
        "/a?b",
        "",
        "/x\r\nSet-Cookie: a=b",
    ],
)
def test_the_choice_of_a_language_leads_nowhere_else(side, browse, path: str) -> None:
    page = browse(side).post("/language", {"language": "es", "back": path}, follow=False)
    assert page.headers["location"] == "/"
    assert "language=es" in page.headers["set-cookie"]


@pytest.mark.parametrize(
    "path",
    ["/../accounts.json", "/%2e%2e/accounts.json", "/style.css/../../accounts.py", "/..%2f..%2fetc/passwd",
     "/static/style.css",
     "/openapi.json", "/docs", "/templates/layout.html", "/log-in/"],
)  # fmt: skip
def test_no_path_leads_to_a_file(side, browse, path: str) -> None:
    page = browse(side, "ada").get(path)
    assert page.status_code == 404
    assert "argon2" not in page.text


def test_who_may_not_see_a_page_sees_nothing_of_it(side, browse) -> None:
    page = browse(side, "grace").get("/secret")
    assert page.status_code == 403
    assert "<h1>secret" not in page.text
    assert 'href="/secret"' not in page.text
    assert browse(side).get("/secret", follow=False).headers["location"] == "/log-in"


def test_who_may_not_change_something_cannot_with_a_form_of_their_own(side, browse) -> None:
    browser = browse(side, "grace")
    assert browser.post("/change", {"form_token": form_token(browser.get("/"))}).status_code == 403
    assert side.changed == []


def test_a_fault_shows_no_traceback_and_logs_none(side, browse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = browse(side, "ada")
    for path in ("/broken?word=secretive", "/missing?word=secretive"):
        page = browser.get(path)
        assert page.status_code == 500
        assert "Traceback" not in page.text
        assert "division" not in page.text
    refused = browser.get("/refuse")
    assert refused.status_code == 409
    assert "rounds=0: must be 1 or more" in refused.text
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    said = "\n".join(record.getMessage() + str(record.exc_info) for record in ours)
    assert "ZeroDivisionError" in said
    assert "UndefinedError" in said
    assert "secretive" not in said
    assert PASSWORD not in said
    assert "Traceback" not in said
