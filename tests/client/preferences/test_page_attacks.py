"""What OWASP's list tries against the patients' page, as requests."""

import logging
from pathlib import Path

import pytest

from tests.client.preferences.page import Page, link
from tests.pages.browser import Browser, Tags
from tests.pages.test_attacks import HOSTILE
from wardround.pages.guard import HEADERS, TLS_HEADERS
from wardround.pages.one_click import is_one_click


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://choose.north.example", "https://north.example"]
)
def test_a_form_of_another_site_changes_nothing(page: Page, browser: Browser, origin: str) -> None:
    for form in (
        {"stop": "all"},
        {"topic.screening": "off"},
        {"List-Unsubscribe": "One-Click", "stop": "all"},
    ):
        assert browser.post(link(), form, headers={"origin": origin}).status_code == 403
    assert list(page.spool.iterdir()) == []


def test_a_browser_that_says_no_origin_is_served(page: Page, browser: Browser) -> None:
    """There is no cookie to misuse: who knows the link may choose, by whatever program."""
    for origin in ("", "null"):
        assert browser.post(link(), {"stop": "all"}, headers={"origin": origin}).status_code == 200
    assert len(page.choices()) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click&stop=all"),
     ("application/x-www-form-urlencoded", b"list-unsubscribe=one-click"),
     ("application/x-www-form-urlencoded", b""),
     ("text/plain", b"List-Unsubscribe=One-Click"),
     ("application/json", b'{"List-Unsubscribe": "One-Click"}'),
     ("multipart/form-data; boundary=xyz",
      b'--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--xyz\r\n'
      b'Content-Disposition: form-data; name="topic.screening"\r\n\r\noff\r\n--xyz--\r\n'),
     ("multipart/form-data; boundary=xyz",
      b'--xyz\r\nContent-Disposition: form-data; name="stop"\r\n\r\nOne-Click\r\n--xyz--\r\n'),
     ("multipart/form-data", b"List-Unsubscribe=One-Click")],
)  # fmt: skip
def test_from_elsewhere_one_click_alone_is_taken(
    page: Page, browser: Browser, kind: str, body: bytes
) -> None:
    assert not is_one_click(kind, body)
    headers = {"content-type": kind, "origin": "https://evil.example"}
    assert browser.request("POST", link(), content=body, headers=headers).status_code == 403
    assert list(page.spool.iterdir()) == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_reach_no_page(page: Page, browser: Browser, method: str) -> None:
    headers = {"x-http-method-override": "POST", "origin": browser.origin}
    assert browser.request(method, link(), headers=headers, content=b"stop=all").status_code == 405
    headers = {"x-http-method-override": "DELETE"}
    assert browser.request("GET", f"{link()}?_method=POST&stop=all", headers=headers).status_code == 200
    assert list(page.spool.iterdir()) == []


def test_a_request_that_is_too_large_is_not_read(page: Page, browser: Browser) -> None:
    form = {"stop": "all", "x": "y" * 9000}
    assert browser.post(link(), form).status_code == 413
    many = "&".join(f"a{number}=" for number in range(1000)).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": browser.origin}
    assert browser.request("POST", link(), content=many, headers=headers).status_code == 400
    twice = b"stop=all&stop=all"
    assert browser.request("POST", link(), content=twice, headers=headers).status_code == 400
    assert list(page.spool.iterdir()) == []


@pytest.mark.parametrize("host", ["evil.example", "choose.north.example:8767", "127.0.0.1:8767", ""])
def test_another_name_for_this_server_reaches_nothing(page: Page, browser: Browser, host: str) -> None:
    assert browser.get(link(), headers={"host": host}).status_code == 421


def test_every_answer_forbids_frames_scripts_caches_and_referrers(page: Page, browser: Browser) -> None:
    answers = [browser.get(link()), browser.post(link(), {"stop": "all"}), browser.get("/nothing"),
               browser.post(link(), {"stop": "all"}, headers={"origin": "https://evil.example"})]  # fmt: skip
    for answer in answers:
        for name, value in (HEADERS | TLS_HEADERS).items():
            assert answer.headers[name] == value
        assert "set-cookie" not in answer.headers
    assert "frame-ancestors 'none'" in HEADERS["content-security-policy"]
    assert "default-src 'none'" in HEADERS["content-security-policy"]
    for answer in answers:
        assert "<script" not in answer.text
        assert "style=" not in answer.text


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_what_the_hospital_calls_things_is_shown_as_text(tmp_path: Path, text: str) -> None:
    def tags(name: str, at: str) -> list[list[tuple[str, tuple[str, ...]]]]:
        changes = {"name": name, "telephone": name, "topics": {"screening": {"en": name}}}
        page = Page(tmp_path / at, changes=changes)
        browser = page.browser()
        shown = [browser.get(link()), browser.post(link(), {"topic.screening": "off"}), browser.get("/p/x")]
        browser.close()
        assert name in shown[0].text or "&" in shown[0].text
        return [Tags(one.text).found for one in shown]

    assert tags(text, "hostile") == tags("good", "good")


@pytest.mark.parametrize(
    "path",
    ["/../preferences.json", "/%2e%2e/preferences.json", "/style.css/../preferences.json", "/preferences.json",
     "/..%2f..%2fetc/passwd", "/spool", "/p/../preferences.json", "/p/%2e%2e", "/openapi.json", "/docs",
     "//evil.example", "/p//evil.example", "/p/x%0d%0aSet-Cookie:a=b"],
)  # fmt: skip
def test_no_path_leads_to_a_file_or_another_site(page: Page, browser: Browser, path: str) -> None:
    answer = browser.get(path, follow=False)
    assert answer.status_code == 404
    assert "marks" not in answer.text
    assert "evil" not in answer.text
    assert "location" not in answer.headers


def test_no_log_holds_a_link_a_choice_or_an_address(
    page: Page, browser: Browser, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = link().removeprefix("/p/")
    browser.get(link())
    browser.post(link(), {"topic.screening": "off"})
    browser.post(link(), {"patient": "QSECRETQ"})
    page.spool.rename(page.folder / "gone")
    assert browser.post(link(), {"stop": "all"}).status_code == 503
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    said = "\n".join([*(record.getMessage() + str(record.exc_info) for record in ours), *capfd.readouterr()])
    assert "spool=" in said  # the fault was told
    for word in (token, "screening", "QSECRETQ", "127.0.0.1"):
        assert word not in said


def test_a_fault_of_the_program_is_said_to_the_patient_as_not_saved(
    page: Page, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardround.client.preferences.pages.seal_choice", lambda *given: 1 / 0)
    answer = browser.post(link(), {"stop": "all"})
    assert answer.status_code == 500
    assert "Please call 555 0100" in answer.text
    assert "division" not in answer.text
