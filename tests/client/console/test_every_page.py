"""Every page of the hospital's, as a screen reader gets it, in both languages; and a picture of each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.client.console.conftest import Console, add_text, console_at_loopback
from tests.client.outreach.decide.outreach_home import propose
from tests.client.outreach.measure.trials import write_outcomes
from tests.pages.every_page import file_name, pictures_folder, walk_pages
from wardround.client.console.pages import hospital_routes, hospital_site
from wardround.client.main import main
from wardround.pages.app import STATIC, common_routes

PAGES = {
    "study": {
        "": ["/log-in"],
        "privacy": [
            "/overview", "/studies", "/studies/{terms}", "/studies/{terms}/decide", "/ledger", "/ledger/check",
            "/peers", "/alerts", "/nothing",
        ],
        "it": ["/machine", "/machine/doctor", "/peers"],
    },
    "no messages": {"clinician": ["/messages", "/texts", "/standing", "/sending"], "communications": ["/results"]},
    "messages": {
        "clinician": [
            "/messages", "/messages/1/change", "/standing", "/sending",
            "/standing/new?trigger=unconfirmed-visit&module=visit.en",
        ],
        "communications": ["/messages", "/texts"],
    },
    "trial": {"communications": ["/results"]},
}  # fmt: skip


def test_every_page_that_there_is_is_walked(console: Console) -> None:
    site = hospital_site(console.settings.pages, console.desk)
    routes = [*common_routes(site).routes, *hospital_routes(site).routes]
    there = {route.path for route in routes if "GET" in route.methods} - {
        "/",
        *(f"/{name}" for name in STATIC),
    }
    walked = {path.partition("?")[0] for kind in PAGES.values() for paths in kind.values() for path in paths}
    assert {path.replace("{number}", "1") for path in there} == walked - {"/nothing"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAGES)
def test_every_page_reads_well_and_pictures_of_all_are_made(
    request: pytest.FixtureRequest, hospital: Any, chromium: Any, tmp_path: Path, kind: str
) -> None:
    story = None if kind == "trial" else request.getfixturevalue("story")  # a trial's home has its own date
    if kind == "messages":
        request.getfixturevalue("outreach")
        propose(hospital, *range(1, 13), trigger="second-visit")  # so that forms stand beside one another
    if kind == "trial":
        trial = request.getfixturevalue("trial")
        trial.sign()
        write_outcomes(trial)
    console = request.getfixturevalue("console")
    if kind == "messages":
        add_text(hospital)
        begin = "outreach standing begin --trigger unconfirmed-visit --module visit.en --yes --reason usual"
        until = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
        given = [f"--home={hospital.folder}", f"--until={until}", f"--password-file={console.typed}"]
        assert main([*begin.split(), *given, "--person=Ada Byron"]) == 0
    terms = console.hospital.terms.fingerprint
    pages = {
        role: [(file_name("console", role, path), path.replace("{terms}", terms)) for path in paths]
        for role, paths in PAGES[kind].items()
    }
    if story is not None:
        story.touch(hospital.folder)
    # Pages of which there is nothing to see are read, and get no place among the pictures.
    folder = tmp_path if kind == "no messages" else pictures_folder(tmp_path)
    with console_at_loopback(console) as url:
        made = walk_pages(chromium, url, pages, folder)
    assert all(picture.stat().st_size > 10_000 for picture in made)
