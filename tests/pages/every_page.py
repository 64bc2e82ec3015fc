"""A walk over many pages: each is read by its accessibility tree in both languages, and its picture is taken."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.pages.accessibility_tree import tree_faults
from tests.pages.in_chromium import logged_in
from wardround.pages.language import LANGUAGES
from wardround.pages.site import LANGUAGE_COOKIE

WIDTH, HEIGHT = 1000, 760


def pictures_folder(otherwise: Path) -> Path:
    """Where pictures of every page go: with ``make pictures`` into docs/figures."""
    folder = Path(os.environ.get("WARDROUND_PICTURES", otherwise)) / "pages"
    folder.mkdir(exist_ok=True)
    return folder


def walk_pages(
    chromium: Any, url: str, pages: Mapping[str, Sequence[tuple[str, str]]], folder: Path
) -> list[Path]:
    """Open every page as each account (empty: as nobody); give the pictures.

    pages: by account, the file's name and the path. No page has a fault in its tree, in any language.
    """
    made = []
    for account, places in pages.items():
        context = logged_in(chromium, url, account, WIDTH, "light")
        page = context.new_page()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        for name, path in places:
            for language in sorted(LANGUAGES, reverse=True):  # English last: pictures are of it
                context.add_cookies([{"name": LANGUAGE_COOKIE, "value": language, "url": url}])
                page.goto(f"{url}{path}")
                assert page.locator("html").get_attribute("lang") == language
                faults = tree_faults(page)
                assert not faults, f"{account}, {path}, {language}: {faults}"
            made.append(folder / f"{name}.png")
            page.screenshot(path=made[-1])
        context.close()
    return made


def file_name(side: str, account: str, path: str) -> str:
    """Name a page's picture: side, who sees it, and its path, without what names one study or message."""
    plain = re.sub(r"\{[a-z]+\}|\d", "one", path.partition("?")[0])
    return "-".join(part for part in (side, account, *plain.split("/")) if part)
