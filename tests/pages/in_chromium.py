"""Debian's Chromium at pages on loopback: by keyboard, at both ends of width, with axe. ``make parts`` installs it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

CHROMIUM = shutil.which("chromium")
LOOKS = [(320, "dark"), (1280, "light")]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST_KEYS = 60
PASSWORD = "three green horses run"


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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def at_loopback(app: Any, port: int) -> Iterator[str]:
    """Serve within the block; gives the address."""
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
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


def log_in_by_keyboard(page: Any, account: str, password: str) -> None:
    """Log in at the page that is shown, by the Tab key and what is typed alone."""
    tab_to(page, "#account")
    page.keyboard.type(account)
    tab_to(page, "#password")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def require_seen(page: Any, focused: Any) -> None:
    """WCAG 2.4.7 and 2.4.11: what has the focus shows it, and nothing hides it."""
    box = focused.bounding_box()
    assert box is not None
    assert box["width"] >= 1
    view = page.viewport_size
    assert box["y"] < view["height"]
    assert box["y"] + box["height"] > 0


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
        # Chromium never answers for a page that is closed while it goes to the next one.
        page.wait_for_url(lambda url: not url.endswith("/log-in"))
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
