"""The hospital's pages in Debian's Chromium: by keyboard, at both ends of width, light and dark, with axe.

``make parts`` installs Chromium.
"""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.client.console.conftest import PASSWORD, Console
from wardround.client.console.questions import hospital_desk
from wardround.client.console.serve import hospital_app

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
LOOKS = [(320, "dark"), (1280, "light")]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST_KEYS = 60


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    # In a container, as root, its own sandbox cannot start; it opens our pages alone.
    bare = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=bare)
        yield browser
        browser.close()


@pytest.fixture
def served(console: Console) -> Iterator[str]:
    """The console at a port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = replace(console.settings, port=port, name="North Hospital")
    app = hospital_app(settings, hospital_desk(console.hospital.folder, settings))
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_config=None, access_log=False, ws="none", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def opened(chromium: Any, width: int, scheme: str) -> Any:
    """A page without JavaScript: everything must work without."""
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en", java_script_enabled=False
    )
    return context.new_page()


def tab_to(page: Any, selector: str) -> None:
    """Reach an element by the Tab key alone; on the way each focused element is seen."""
    for _ in range(MOST_KEYS):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.count() == 1
        require_seen(page, focused)
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


def require_seen(page: Any, focused: Any) -> None:
    """WCAG 2.4.7 and 2.4.11: what has the focus shows it, and nothing hides it."""
    box = focused.bounding_box()
    assert box is not None
    assert box["width"] >= 1
    view = page.viewport_size
    assert box["y"] < view["height"]
    assert box["y"] + box["height"] > 0


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_study_is_approved_by_keyboard_alone(
    console: Console, served: str, chromium: Any, width: int, scheme: str
) -> None:
    page = opened(chromium, width, scheme)
    page.goto(served)
    tab_to(page, "#account")
    page.keyboard.type("privacy")
    tab_to(page, "#password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
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
    outreach: Any, console: Console, served: str, chromium: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    for role, path in (
        ("clinician", "/messages"),
        ("communications", "/messages"),
        ("communications", "/texts"),
    ):
        context = logged_in(chromium, served, role, width, scheme)
        page = context.new_page()
        page.goto(f"{served}{path}")
        assert page.locator("blockquote").count() > 0
        assert barriers(page) == [], (role, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert small_targets(page) == [], (role, path)
        if (role, path, width) == ("communications", "/messages", 1280):
            page.set_viewport_size({"width": 1000, "height": 800})
            page.screenshot(path=folder / "console-messages.png", full_page=True)
        context.close()


def logged_in(chromium: Any, served: str, role: str, width: int, scheme: str) -> Any:
    # axe is a script: it is put in by the debugger, past the pages' own policy.
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en", bypass_csp=True
    )
    if role:
        page = context.new_page()
        page.goto(f"{served}/log-in")
        page.fill("#account", role)
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.close()
    return context


def barriers(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}}).response
    assert len(found["passes"]) > 5  # it did look
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


def small_targets(page: Any) -> list[str]:
    """2.5.8: what is pressed measures 24 × 24 pixels, but for links within a sentence."""
    return page.evaluate(
        """() => [...document.querySelectorAll(
            'button, input:not([type=hidden]), select, textarea, summary, a.button, nav a')]
        .filter(one => { const box = one.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
        .map(one => one.outerHTML.slice(0, 200))"""
    )


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


def test_pictures_of_the_pages_are_made(console: Console, served: str, chromium: Any, tmp_path: Path) -> None:
    """The docs' pictures: ``make pictures`` has them written to docs/figures."""
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    hospital = console.hospital
    hospital.approve()
    for number in (1, 2, 3):
        assert hospital.agent.answer(hospital.request(number)).payload
    second = console.propose(replace(hospital.terms, study="autumn-reminders"))
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
