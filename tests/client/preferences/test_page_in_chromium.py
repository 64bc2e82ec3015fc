"""The patients' page in Debian's Chromium, without JavaScript: by keyboard, at both ends of width, with axe.

``make parts`` installs Chromium.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.client.outreach.by_page.hospital_page import HospitalPage, exported_links, sent_rows
from tests.client.outreach.decide.outreach_home import GRACE, IDA, Run, propose, visit
from tests.client.preferences.page import Page, link
from tests.client.small_hospital import Hospital
from tests.pages.accessibility_tree import tree_faults
from tests.pages.every_page import HEIGHT, WIDTH, pictures_folder
from tests.pages.in_chromium import LOOKS, at_loopback, barriers, free_port, opened, small_targets, tab_to
from wardround.client.preferences import pages
from wardround.client.preferences.serve import preference_app
from wardround.pages.language import LANGUAGES, Words

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """A small page of a port of loopback, on the day of its links."""
    return Page(tmp_path / "page", changes={"url": f"http://127.0.0.1:{free_port()}"})


@pytest.fixture
def served(page: Page) -> Iterator[str]:
    with at_loopback(page.app, int(page.page.published.url.rpartition(":")[2])) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_from_a_messages_link_to_the_next_message_by_keyboard_alone(
    outreach: Hospital, run_outreach: Run, chromium: Any, width: int, scheme: str
) -> None:
    """A patient opens the link of an exported message, stops a topic, and the next export obeys."""
    port = free_port()
    choices = HospitalPage(outreach, f"http://127.0.0.1:{port}")
    links = exported_links(outreach, run_outreach)
    with at_loopback(preference_app(choices.page, lambda: datetime.now(UTC)), port):
        shown = opened(chromium, width, scheme)
        shown.goto(links["P-1"])
        assert list(choices.spool.iterdir()) == []
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


def choose(shown: Any, page: Page) -> None:
    """Show the form."""


def save(shown: Any, page: Page) -> None:
    """Stop a topic."""
    shown.select_option("#topic-1", "off")
    press(shown)


def press(shown: Any, page: Page | None = None) -> None:
    """Send the form as it is."""
    shown.click("#save")
    shown.locator("#save").wait_for(state="detached")


def send_a_strange_word(shown: Any, page: Page) -> None:
    """Send a value that the form does not offer."""
    shown.evaluate("document.querySelector('#topic-1').options[1].value = 'zzz'")
    shown.select_option("#topic-1", "zzz")
    press(shown)


def save_often(shown: Any, page: Page) -> None:
    """Use the link more often than one is used at once."""
    again = "fetch(location, {method: 'POST', body: new URLSearchParams({'topic.screening': 'off'})})"
    codes = shown.evaluate(f"Promise.all(Array.from({{length: 12}}, () => {again}.then(one => one.status)))")
    assert codes.count(200) == 10
    save(shown, page)


def save_where_nothing_is_kept(shown: Any, page: Page) -> None:
    """Choose while the spool is away."""
    page.spool.rename(page.folder / "away")
    try:
        save(shown, page)
    finally:
        (page.folder / "away").rename(page.spool)


PAGES: dict[str, Callable[[Any, Page], None]] = {
    "choose": choose, "saved": save, "nothing": press, "no_form": send_a_strange_word, "often": save_often,
    "not_saved": save_where_nothing_is_kept, "no_link": choose,
}  # fmt: skip
"""Each page, and what leads to it from a link's form."""


def test_every_page_of_the_patients_is_walked() -> None:
    said = re.findall(r'said="(\w+)"', Path(pages.__file__).read_text())
    assert {*said, "choose", "saved"} == PAGES.keys()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_page_of_the_patients_has_a_barrier(
    page: Page, served: str, chromium: Any, width: int, scheme: str
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en", bypass_csp=True
    )
    shown = context.new_page()
    for language in LANGUAGES:
        for name in PAGES:
            at_page(shown, page, served, name, language)
            assert barriers(shown) == [], (name, language)
            assert tree_faults(shown) == [], (name, language)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width, (name, language)
            assert small_targets(shown) == [], (name, language)
    context.close()


def test_pictures_of_all_pages_of_the_patients_are_made(
    page: Page, served: str, chromium: Any, tmp_path: Path
) -> None:
    """The docs' pictures of docs/pages.md: ``make pictures`` has them written to docs/figures."""
    folder = pictures_folder(tmp_path)
    context = chromium.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en", bypass_csp=True
    )
    shown = context.new_page()
    for name in PAGES:
        at_page(shown, page, served, name, "en")
        target = folder / f"preferences-{name.replace('_', '-')}.png"
        shown.screenshot(path=target)
        assert target.stat().st_size > 10_000
    context.close()


def at_page(shown: Any, page: Page, served: str, name: str, language: str) -> None:
    """Come to a page from a link that nobody used, and see that it is that page."""
    fresh = link(sealed=os.urandom(40)) if name != "no_link" else "/p/x"
    shown.goto(f"{served}{fresh}?language={language}")
    PAGES[name](shown, page)
    assert shown.locator("html").get_attribute("lang") == language
    words = Words([Path(pages.__file__).parent / "languages"], language)
    title = {"choose": "choose.title", "saved": "saved.title"}.get(name, f"told.{name}")
    assert shown.locator("h1").inner_text() == words(title)


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
