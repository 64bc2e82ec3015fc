"""What a patient does on the page, and what lies in the spool after it."""

import re
from datetime import timedelta

import pytest

from tests.client.preferences.page import KEY, TODAY, Page, link, published
from tests.pages.browser import Browser
from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.preferences.choice import END, SEALED_CHOICE_BYTES, Wish
from wardround.client.preferences.pace import AT_ONCE
from wardround.client.preferences.spool import MOST_FILES


def wishes(page: Page) -> list[Wish]:
    return [one.wish for one in page.choices()]


def test_a_link_shows_what_the_hospital_published_and_nothing_about_anybody(browser: Browser) -> None:
    shown = browser.get(link())
    assert shown.status_code == 200
    for text in ("North Hospital", "Screening", "Your appointments", "Text messages", "555 0100"):
        assert text in shown.text
    assert "set-cookie" not in shown.headers
    other = browser.get(link(sealed=b"\x01" * 40))
    tokens = re.compile(r"/p/[A-Za-z0-9_-]+")
    assert tokens.sub("", shown.text) == tokens.sub("", other.text)  # every patient sees the same page


def test_a_get_changes_nothing(page: Page, browser: Browser) -> None:
    for path in (link(), f"{link()}?stop=all", f"{link()}?List-Unsubscribe=One-Click&topic.screening=off"):
        for _ in range(2 * AT_ONCE):
            assert browser.get(path).status_code == 200
        assert browser.request("HEAD", path).status_code in (200, 404, 405)
    assert list(page.spool.iterdir()) == []
    assert browser.post(link(), {"stop": "all"}).status_code == 200  # and looking used up no turn


def test_all_messages_are_stopped_by_one_button(page: Page, browser: Browser) -> None:
    assert "Saved" in browser.post(link(), {"stop": "all"}).text
    assert wishes(page) == [Wish(stop=True)]
    (choice,) = page.choices()
    assert (choice.token, choice.at) == (link().removeprefix("/p/"), page.now)


def test_topics_channels_and_a_pause_are_kept_as_chosen(page: Page, browser: Browser) -> None:
    until = (TODAY + timedelta(weeks=4)).isoformat()
    form = {"topic.screening": "off", "topic.visits": "again", "channel.sms": "off", "channel.email": "",
            "pause": until}  # fmt: skip
    saved = browser.post(link(), form)
    assert saved.status_code == 200
    assert "No more: Screening" in saved.text
    assert until in saved.text
    topics = {"screening": False, "visits": True}
    assert wishes(page) == [Wish(topics=topics, channels={"sms": False}, until=until)]
    assert browser.post(link(), {"pause": "end"}).status_code == 200
    assert Wish(until=END) in wishes(page)


@pytest.mark.parametrize(
    "form",
    [{}, {"topic.screening": ""}, {"pause": ""}, {"topic.hiv": "off"}, {"topic.screening": "on"},
     {"channel.fax": "off"},
     {"stop": "some"}, {"stop": "all", "topic.screening": "off"}, {"contact": "again"}, {"pause": "2099-01-01"},
     {"pause": "2026-12-01"}, {"pause": "20261215"}, {"pause": "soon"}, {"patient": "P-1", "stop": "all"},
     {"topic.screening": "off", "consent": "learn"}],
)  # fmt: skip
def test_what_the_page_does_not_offer_is_not_kept(page: Page, browser: Browser, form: dict[str, str]) -> None:
    answer = browser.post(link(), form)
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text
    assert list(page.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
     ("multipart/form-data; boundary=xyz",
      b'--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--xyz--\r\n')],
)  # fmt: skip
@pytest.mark.parametrize("origin", [None, "null", "https://mail.example"])
def test_mail_programs_unsubscribe_in_one_click(
    page: Page, browser: Browser, content_type: str, body: bytes, origin: str | None
) -> None:
    """RFC 8058, 3.1 and 3.2: a POST of either kind of form, without cookie or Origin; the answer is no redirect."""
    headers = {"content-type": content_type} | ({"origin": origin} if origin else {})
    answer = browser.request("POST", link(), content=body, headers=headers)
    assert answer.status_code == 200
    assert wishes(page) == [Wish(stop=True)]


def test_a_link_ends_with_its_last_day(page: Page, browser: Browser) -> None:
    path = link(last_day=TODAY)
    assert browser.get(path).status_code == 200
    page.now += timedelta(days=1)
    for answer in (browser.get(path), browser.post(path, {"stop": "all"})):
        assert answer.status_code == 404
        assert "too old" in answer.text
        assert "555 0100" in answer.text
    assert list(page.spool.iterdir()) == []


def test_a_strangers_link_spools_nothing(page: Page, browser: Browser) -> None:
    good = link()
    other_key = link(key=PageKey(1, bytes(32)))
    unknown_key = link(key=PageKey(2, KEY.secret))
    later = link(last_day=TODAY + timedelta(days=61))[:10] + good[10:]
    changed = [
        good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        for place in range(3, len(good))
    ]
    for path in (
        other_key,
        unknown_key,
        later,
        *changed,
        good[:-1],
        good + "A",
        "/p/",
        "/p/%00",
        "/",
        "/p/x/y",
    ):
        assert browser.get(path).status_code == 404
        assert browser.post(path, {"stop": "all"}).status_code == 404, path
    assert list(page.spool.iterdir()) == []
    assert browser.post(good, {"stop": "all"}).status_code == 200


def test_one_link_is_used_at_a_pace_and_holds_no_other_up(page: Page, browser: Browser) -> None:
    answers = [browser.post(link(), {"stop": "all"}).status_code for _ in range(AT_ONCE + 5)]
    assert answers == [200] * AT_ONCE + [429] * 5
    assert len(page.choices()) == AT_ONCE
    assert browser.post(link(sealed=b"\x02" * 40), {"stop": "all"}).status_code == 200
    page.now += timedelta(minutes=10)
    assert browser.post(link(), {"stop": "all"}).status_code == 200
    assert browser.post(link(), {"stop": "all"}).status_code == 429


def test_a_full_or_missing_spool_is_said_to_the_patient(
    page: Page, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardround.client.preferences.spool.MOST_FILES", 1)
    assert MOST_FILES > 1000
    assert browser.post(link(), {"stop": "all"}).status_code == 200
    full = browser.post(link(), {"stop": "all"})
    assert full.status_code == 503
    assert "Please call 555 0100" in full.text
    for path in page.spool.iterdir():
        path.unlink()
    page.spool.rmdir()
    assert browser.post(link(), {"stop": "all"}).status_code == 503


def test_a_full_disk_leaves_nothing_half_written(
    page: Page, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wardround.protocol.files.os.fsync", full)
    assert "Please call 555 0100" in browser.post(link(), {"stop": "all"}).text
    assert list(page.spool.iterdir()) == []


def test_the_spool_says_neither_who_nor_what(page: Page, browser: Browser) -> None:
    browser.post(link(), {"stop": "all"})
    browser.post(link(), {f"topic.{word}": "off" for word in published().topics})
    files = list(page.spool.iterdir())
    assert {path.stat().st_size for path in files} == {SEALED_CHOICE_BYTES}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}
    token = link().removeprefix("/p/").encode()
    for path in files:
        assert token not in path.read_bytes()
        assert b"screening" not in path.read_bytes()


def test_the_page_speaks_the_readers_language_without_a_cookie(browser: Browser) -> None:
    assert "Sus mensajes" in browser.get(link(), headers={"accept-language": "es-MX,es;q=0.9"}).text
    spanish = browser.get(f"{link()}?language=es")
    assert '<html lang="es">' in spanish.text
    assert "Pruebas" in spanish.text
    assert "?language=es" in re.findall('<form method="post" action="([^"]+)"', spanish.text)[0]
    assert "set-cookie" not in spanish.headers
    assert '<html lang="en">' in browser.get(f"{link()}?language=<script>").text
