"""A hospital's page from its own commands: begun, published, and in a process of the test's; links of its exports."""

import csv
import io
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.client.outreach.decide.outreach_home import GRACE, IDA, Run, patient
from tests.client.small_hospital import Hospital
from tests.pages.browser import Browser
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.by_page.settings import page_links
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.preferences.serve import PreferencePage, load_page, preference_app

URL = "https://choose.north.example"


class HospitalPage:
    """The page of a home, its folder beside it."""

    def __init__(self, hospital: Hospital, url: str = URL) -> None:
        self.hospital, self.folder = hospital, hospital.folder.parent / "page"
        self.spool = self.folder / "spool"
        self.spool.mkdir(parents=True)
        self._run("begin")
        settings = hospital.folder / "preferences.yaml"
        lines = [f"url: {url}", "telephone: 555 0100", "channels: [sms, email, portal]", "days: 60"]
        settings.write_text("\n".join([*lines, f"spool: {self.spool}", ""]))
        self.publish()

    def publish(self) -> None:
        """Write what the page may know, over what it knew."""
        path = self.folder / "preferences.json"
        path.unlink(missing_ok=True)
        self._run("publish", str(path))
        self.page: PreferencePage = load_page(self.folder)

    def _run(self, *words: str) -> None:
        with redirect_stdout(io.StringIO()):
            assert main(["preferences", *words, "--home", str(self.hospital.folder)]) == 0

    def new_key(self) -> None:
        """Have the hospital seal links by another key."""
        self._run("new-key")
        self.publish()

    def browser(self) -> Browser:
        return Browser(preference_app(self.page, lambda: datetime.now(UTC)), self.page.published.url)

    def choose(self, link: str, **form: str) -> None:
        """Send a form of the page behind a link."""
        browser = self.browser()
        fields = {name.replace("__", "."): value for name, value in form.items()}
        assert browser.post(urlsplit(link).path, fields).status_code == 200
        browser.close()


def links_of(hospital: Hospital) -> dict[str, str]:
    """Give the link of each proposal before anything leaves."""
    home, links = load_home(hospital.folder), page_links(hospital.folder)
    assert links is not None
    tokens = {token_of(patient(number), home.patients_key): patient(number) for number in range(1, 13)}
    with open_journal(hospital.folder) as journal:
        return {tokens[one.token]: links.link(one) for one in journal.proposals()}


def exported_links(hospital: Hospital, run_outreach: Run) -> dict[str, str]:
    """Approve and export all, and give the link of each patient's message."""
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    code, _, error = run_outreach("export", "texts", "--person", "Grace Hopper")
    assert code == 0, error
    return {row["patient"]: row["preferences"] for row in sent_rows(hospital.folder / "texts")}


def sent_rows(folder: Path) -> list[dict[str, str]]:
    """Give all rows of the files in a recipient's folder."""
    found = []
    for path in sorted(folder.glob("outreach-*.csv")):
        with path.open(newline="") as file:
            found += list(csv.DictReader(file))
    return found
