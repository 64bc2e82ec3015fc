"""Every page of the operator's, as a screen reader gets it, in both languages; and a picture of each."""

from pathlib import Path
from typing import Any

import pytest

from tests.pages.every_page import file_name, pictures_folder, walk_pages
from tests.server.dashboard.conftest import Dashboard
from wardround.pages.app import STATIC, common_routes
from wardround.server.dashboard.pages import operator_routes, operator_site

PAGES = {
    "": ["/log-in"],
    "mary": [
        "/hospitals", "/studies", "/studies/{study}", "/comparison", "/alerts", "/certificates", "/nothing",
    ],
}  # fmt: skip
FILE = "/studies/{study}/{file}"
"""Handed out to be kept: no page."""


def test_every_page_of_the_operators_is_walked(dashboard: Dashboard) -> None:
    site = operator_site(dashboard.settings.pages, dashboard.desk)
    routes = [*common_routes(site).routes, *operator_routes(site).routes]
    there = {route.path for route in routes if "GET" in route.methods}
    walked = {path for paths in PAGES.values() for path in paths}
    assert there - {"/", FILE, *(f"/{name}" for name in STATIC)} == walked - {"/nothing"}


@pytest.mark.slow
def test_every_page_of_the_operators_reads_well_and_pictures_of_all_are_made(
    served: str, chromium: Any, tmp_path: Path
) -> None:
    pages = {
        account: [
            (file_name("dashboard", "", path), path.replace("{study}", "autumn-reminders")) for path in paths
        ]
        for account, paths in PAGES.items()
    }
    made = walk_pages(chromium, served, pages, pictures_folder(tmp_path))
    assert all(picture.stat().st_size > 10_000 for picture in made)
