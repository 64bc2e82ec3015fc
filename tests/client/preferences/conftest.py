"""The patients' page, and browsers at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.preferences.page import Page
from tests.pages.browser import Browser
from tests.pages.in_chromium import chromium  # noqa: F401 (a fixture)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path / "page")


@pytest.fixture
def browser(page: Page) -> Iterator[Browser]:
    opened = page.browser()
    yield opened
    opened.close()
