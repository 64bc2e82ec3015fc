"""The operator's pages in Debian's Chromium: at both ends of width, light and dark, with axe and by keyboard."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.pages.in_chromium import (
    LOOKS,
    barriers,
    log_in_by_keyboard,
    logged_in,
    opened,
    small_targets,
    tab_to,
)
from tests.server.dashboard.conftest import PASSWORD

pytestmark = pytest.mark.slow

PAGES = (
    "/hospitals",
    "/studies",
    "/studies/autumn-reminders",
    "/comparison",
    "/alerts",
    "/certificates",
    "/nothing",
)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_page_of_the_operators_has_a_barrier_that_axe_finds(
    served: str, chromium: Any, width: int, scheme: str
) -> None:
    context = logged_in(chromium, served, "mary", width, scheme)
    page = context.new_page()
    for path in PAGES:
        page.goto(f"{served}{path}")
        assert barriers(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert small_targets(page) == [], path
    context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_studys_report_is_reached_by_keyboard_alone(
    served: str, chromium: Any, width: int, scheme: str
) -> None:
    page = opened(chromium, width, scheme)
    page.goto(served)
    log_in_by_keyboard(page, "mary", PASSWORD)
    page.wait_for_url("**/hospitals")
    tab_to(page, "nav a[href='/studies']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies")
    tab_to(page, "a[href='/studies/autumn-reminders']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/autumn-reminders")
    tab_to(page, "a[href$='/report.html']")
    with page.expect_download() as kept:
        page.keyboard.press("Enter")
    assert kept.value.suggested_filename == "autumn-reminders-report.html"
    assert Path(kept.value.path()).read_text() == "<h1>A report</h1>"
    page.context.close()


def test_pictures_of_the_operators_pages_are_made(served: str, chromium: Any, tmp_path: Path) -> None:
    """The docs' pictures: ``make pictures`` has them written to docs/figures."""
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    for name, path, width, scheme in (
        ("hospitals", "/hospitals", 1000, "light"),
        ("study", "/studies/autumn-reminders", 1000, "light"),
        ("comparison", "/comparison", 1000, "dark"),
    ):
        context = logged_in(chromium, served, "mary", width, scheme)
        page = context.new_page()
        page.goto(f"{served}{path}")
        target = folder / f"dashboard-{name}.png"
        page.screenshot(path=target, full_page=True)
        assert target.read_bytes().startswith(b"\x89PNG")
        assert target.stat().st_size > 10_000
        context.close()
