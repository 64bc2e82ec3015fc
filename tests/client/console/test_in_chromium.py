"""The hospital's pages in Debian's Chromium: by keyboard, at both ends of width, light and dark, with axe.

``make parts`` installs Chromium.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.console.conftest import PASSWORD, Console, add_text, console_at_loopback
from tests.pages.in_chromium import (
    LOOKS,
    barriers,
    log_in_by_keyboard,
    logged_in,
    opened,
    small_targets,
    tab_to,
)
from tests.pages.story_time import StoryTime
from wardround.client.home.home import load_home

pytestmark = pytest.mark.slow


@pytest.fixture
def served(console: Console) -> Iterator[str]:
    """The console at a port of loopback."""
    with console_at_loopback(console) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_study_is_approved_by_keyboard_alone(
    console: Console, served: str, chromium: Any, width: int, scheme: str
) -> None:
    page = opened(chromium, width, scheme)
    page.goto(served)
    log_in_by_keyboard(page, "privacy", PASSWORD)
    page.wait_for_url("**/overview")
    tab_to(page, ".plain-list a[href^='/studies/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    tab_to(page, "a.button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/decide")
    tab_to(page, "#last_entry")
    page.keyboard.press("Space")
    tab_to(page, "#reason")
    page.keyboard.type("the board said yes")
    tab_to(page, "#answers")
    page.keyboard.press("Space")
    tab_to(page, "form[action$='/approve'] button")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{console.hospital.terms.fingerprint}")
    assert page.get_by_text("the board said yes").is_visible()
    entry = console.entries()[-1]
    assert (entry.kind, entry.fields["person"], entry.fields["reason"]) == (
        "approved",
        "Mary Ward",
        "the board said yes",
    )
    page.context.close()


def paths(console: Console) -> dict[str, list[str]]:
    study = f"/studies/{console.hospital.terms.fingerprint}"
    return {
        "": ["/log-in"],
        "privacy": [
            "/overview",
            "/studies",
            study,
            f"{study}/decide",
            "/ledger",
            "/ledger/check",
            "/peers",
            "/results",
            "/alerts",
            "/nothing",
        ],
        "it": ["/machine", "/machine/doctor", "/overview"],
    }


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_page_has_a_barrier_that_axe_finds(
    console: Console, served: str, chromium: Any, width: int, scheme: str
) -> None:
    for role, pages in paths(console).items():
        context = logged_in(chromium, served, role, width, scheme)
        page = context.new_page()
        for path in pages:
            page.goto(f"{served}{path}")
            for details in page.locator("summary").all():
                details.click()
            assert barriers(page) == [], path
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path  # 1.4.10: no page is wider than the screen
            assert small_targets(page) == [], path
        context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_messages_have_no_barrier_and_pictures_of_them_are_made(
    story: StoryTime,
    outreach: Any,
    console: Console,
    served: str,
    chromium: Any,
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    add_text(outreach)
    story.touch(outreach.folder)
    for role, path in (
        ("clinician", "/messages"),
        ("clinician", "/messages/1/change"),
        ("clinician", "/standing/new?trigger=unconfirmed-visit&module=visit.en"),
        ("communications", "/messages"),
        ("communications", "/texts"),
        ("communications", "/sending"),
    ):
        context = logged_in(chromium, served, role, width, scheme)
        page = context.new_page()
        page.goto(f"{served}{path}")
        assert page.locator("blockquote, section.card").count() > 0
        assert barriers(page) == [], (role, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert small_targets(page) == [], (role, path)
        if (role, path, width) == ("communications", "/messages", 1280):
            page.set_viewport_size({"width": 1000, "height": 800})
            page.screenshot(path=folder / "console-messages.png", full_page=True)
        context.close()


def test_axe_and_the_measure_of_targets_find_what_is_planted(
    served: str, chromium: Any, console: Console
) -> None:
    page = logged_in(chromium, served, "", 320, "light").new_page()
    page.goto(f"{served}/log-in")
    page.evaluate(
        """() => { const bad = document.createElement('div');
        bad.innerHTML = '<img src="/icon.svg"><button style="width:9px;height:9px;padding:0;min-height:0"></button>';
        document.querySelector('main').append(bad); }"""
    )
    assert any(one.startswith("image-alt") for one in barriers(page))
    assert len(small_targets(page)) == 1
    page.context.close()


def test_pages_run_no_script_of_anybody(served: str, chromium: Any, console: Console) -> None:
    """The pages' own policy, in a real browser: a script or style that got in would not run."""
    context = chromium.new_context()
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{served}/log-in")
    page.evaluate(
        """() => { const one = document.createElement('script'); one.textContent = 'document.title = "taken"';
        document.body.append(one); const style = document.createElement('style');
        style.textContent = 'h1 { color: rgb(1, 2, 3) }'; document.body.append(style);
        const out = new Image(); out.src = 'http://192.0.2.1/x.png'; document.body.append(out); }"""
    )
    assert "taken" not in page.title()
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(1, 2, 3)"
    assert sum("Content Security Policy" in text for text in told) >= 3
    assert {Path(url).name for url in requested if url.startswith(served)} == {
        "log-in",
        "style.css",
        "icon.svg",
    }
    context.close()


def test_pictures_of_the_pages_are_made(
    story: StoryTime, console: Console, served: str, chromium: Any, tmp_path: Path
) -> None:
    """The docs' pictures: ``make pictures`` has them written to docs/figures."""
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    hospital = console.hospital
    hospital.approve()
    for number in (1, 2, 3):
        story.wait(days=1, minutes=7)
        assert hospital.agent.answer(hospital.request(number)).payload
    story.wait(hours=3)
    second = console.propose(replace(hospital.terms, study="autumn-reminders"))
    story.touch(hospital.folder)
    door, place = socket.socket(socket.AF_UNIX), load_home(hospital.folder).socket
    place.parent.mkdir()
    door.bind(str(place))
    door.listen()
    for role, name, path, width, scheme in (
        ("privacy", "overview", "/overview", 1000, "light"),
        ("privacy", "study", f"{second}/decide", 1000, "light"),
        ("privacy", "phone", "/overview", 320, "dark"),
        ("it", "machine", "/machine", 1000, "light"),
    ):
        context = logged_in(chromium, served, role, width, scheme)
        page = context.new_page()
        page.goto(f"{served}{path}")
        target = folder / f"console-{name}.png"
        page.screenshot(path=target, full_page=True)
        assert target.read_bytes().startswith(b"\x89PNG")
        assert target.stat().st_size > 10_000
        context.close()
    door.close()
