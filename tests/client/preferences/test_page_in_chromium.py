"""The patients' page in Debian's Chromium, without JavaScript: by keyboard, at both ends of width, with axe.

``make parts`` installs Chromium.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.client.outreach.by_page.hospital_page import HospitalPage, exported_links, sent_rows
from tests.client.outreach.decide.outreach_home import GRACE, IDA, Run, propose, visit
from tests.client.preferences.page import Page, link
from tests.client.small_hospital import Hospital
from tests.pages.accessibility_tree import tree_faults
from tests.pages.in_chromium import LOOKS, at_loopback, barriers, free_port, opened, small_targets, tab_to
from wardround.client.preferences.serve import preference_app
from wardround.pages.language import LANGUAGES

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A small page at a port of loopback, on the day of its links."""
    port = free_port()
    page = Page(tmp_path / "page", changes={"url": f"http://127.0.0.1:{port}"})
    with at_loopback(page.app, port) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_from_a_messages_link_to_the_next_message_by_keyboard_alone(
    outreach: Hospital, run_outreach: Run, chromium: Any, width: int, scheme: str
) -> None:
    """A patient opens the link of an exported message, stops a topic, and the next export obeys."""
    port = free_port()
    page = HospitalPage(outreach, f"http://127.0.0.1:{port}")
    links = exported_links(outreach, run_outreach)
    with at_loopback(preference_app(page.page, lambda: datetime.now(UTC)), port):
        shown = opened(chromium, width, scheme)
        shown.goto(links["P-1"])
        assert list(page.spool.iterdir()) == []
        tab_to(shown, "#topic-1")
        shown.keyboard.press("ArrowDown")
        tab_to(shown, "#save")
        shown.keyboard.press("Enter")
        shown.get_by_role("heading", name="Saved").wait_for()
        assert shown.context.cookies() == []
        shown.goto(links["P-2"])
        tab_to(shown, "#stop")
        shown.keyboard.press("Enter")
        shown.get_by_role("heading", name="Saved").wait_for()
        shown.context.close()
    propose(outreach, 1, 2, 3, occasion=_later())
    (outreach.folder / "appointments.csv").write_text(
        "patient,starts_at,status\n"
        + "".join(f"P-{n},{_later().replace('T', ' ')},booked\n" for n in (1, 2, 3))
    )
    for path in (outreach.folder / "texts").iterdir():
        path.unlink()
    code, said, error = run_outreach("inbound", "--page")
    assert (code, said["choices"]) == (0, 2), error
    for person in (GRACE, IDA):
        run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)
    settings = outreach.folder / "outreach.yaml"
    settings.write_text(settings.read_text() + "caps: {per_day: 3, per_week: 5}\n")
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[0] == 0
    assert [row["patient"] for row in sent_rows(outreach.folder / "texts")] == ["P-3"]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_page_of_the_patients_has_a_barrier(served: str, chromium: Any, width: int, scheme: str) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en", bypass_csp=True
    )
    page = context.new_page()
    for language in LANGUAGES:
        address = f"{served}{link()}?language={language}"
        for name in ("choose", "saved", "nothing", "no link"):
            page.goto(address if name != "no link" else f"{served}/p/x?language={language}")
            if name == "saved":
                page.select_option("#topic-1", "off")
            if name in ("saved", "nothing"):
                page.click("#save")
                page.locator("#save").wait_for(state="detached")
            assert page.locator("html").get_attribute("lang") == language
            assert barriers(page) == [], (name, language)
            assert tree_faults(page) == [], (name, language)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, language)
            assert small_targets(page) == [], (name, language)
    context.close()


def test_pictures_of_the_patients_page_are_made(served: str, chromium: Any, tmp_path: Path) -> None:
    """The docs' picture: ``make pictures`` has it written to docs/figures."""
    folder = Path(os.environ.get("WARDROUND_PICTURES", tmp_path))
    page = opened(chromium, 1000, "light")
    page.goto(f"{served}{link()}")
    target = folder / "preferences.png"
    page.screenshot(path=target, full_page=True)
    assert target.stat().st_size > 10_000
    page.context.close()


def _later() -> str:
    return visit().replace(" 09:30", "T15:45")
