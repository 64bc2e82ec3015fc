"""Who may read a file that holds something of patients, whatever the umask of the program that writes it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.outreach.by_page.hospital_page import HospitalPage, exported_links
from tests.client.outreach.decide.outreach_home import GRACE, IDA, Run, explored, propose
from tests.client.small_hospital import Hospital
from wardround.client.connectors.withdrawals import WITHDRAWALS
from wardround.client.home.home import LEDGER
from wardround.client.main import main
from wardround.client.outreach.journal.journal import JOURNAL_FILE

PATIENT = re.compile(rb"P-[0-9]|\+1555010")
OWNERS, GROUPS = 0o600, 0o640
INPUTS = {
    f"{name}.csv"
    for name in ("addresses", "appointments", "consents", "details", "messages", "patients", "in")
}
"""Tables of this test's, not of the program's."""


@pytest.fixture(params=[0o077, 0o022, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_each_kind_of_file_with_patients_has_its_own_mode(
    outreach: Hospital, run_outreach: Run, umask: int, tmp_path: Path
) -> None:
    """An export is for the sender's group, a choice for the agent's; everything else is the owner's alone."""
    home, page = outreach.folder, HospitalPage(outreach)
    explored(outreach, 1)
    links = exported_links(outreach, run_outreach)
    propose(outreach, 1, trigger="second-visit")
    page.choose(links["P-1"], channel__sms="off")
    (choice,) = page.spool.iterdir()
    assert mode(choice) == GROUPS
    assert run_outreach("inbound", "--page")[0] == 0
    assert run_outreach("inbound", "--patient", "P-3", *GRACE)[0] == 0
    assert run_outreach("propensities", "--out", tmp_path / "p.csv", plain=True)[0] == 0
    assert main(["ledger", "export", str(tmp_path / "ledger.jsonl"), "--home", str(home)]) == 0
    assert main(["ledger", "backup", str(tmp_path / "ledger.backup"), "--home", str(home)]) == 0
    exports = [*(home / "texts").iterdir(), *(home / "records").iterdir()]
    assert {mode(path) for path in exports} == {GROUPS}
    kept = {home / LEDGER, home / JOURNAL_FILE, home / WITHDRAWALS, page.folder / "preferences.json"}
    for path in {*kept, tmp_path / "p.csv", tmp_path / "ledger.jsonl", tmp_path / "ledger.backup"}:
        assert mode(path) == OWNERS, path
    for path in home.rglob("*"):
        if (
            path.is_file()
            and path not in exports
            and path.name not in INPUTS
            and PATIENT.search(path.read_bytes())
        ):
            assert mode(path) == OWNERS, path


def test_an_export_for_a_records_system_has_the_senders_group_too(
    outreach: Hospital, run_outreach: Run, umask: int
) -> None:
    for person in (GRACE, IDA):
        assert run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)[0] == 0
    assert run_outreach("export", "records", "--person", "Grace Hopper")[0] == 0
    (path,) = (outreach.folder / "records").iterdir()
    assert mode(path) == GROUPS
