"""Tables of outreach for an invented hospital: its commands find in them whom to write to, and whom not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.client.outreach.proposing import KEY, library_of
from tests.client.outreach.tables_of_outreach import PATIENT
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.permission.rules import RULES
from wardround.client.outreach.propose import Grounds, propose
from wardround.client.outreach.tables import read_outreach
from wardround.client.outreach.triggers.settings import read_settings
from wardround.simulations.population.invented import main, write_tables

TABLES = ("messages", "patients", "consents", "preferences", "vetoes", "addresses", "appointments", "recalls")
SETTINGS = b"""
consents: {contact: {purpose: outreach_contact}, personalise: {purpose: outreach_personalise}}
triggers:
  visit: {when: booked, topic: visits, days: [1, 14], standard: [visit-sms, visit-letter]}
  again: {when: missed, topic: visits, days: [1, 14], standard: [visit-sms, visit-letter]}
  refill: {when: due, kinds: [refill], topic: visits, days: [-7, 60], standard: [visit-sms, visit-letter]}
"""


def test_a_simulated_home_proposes_from_its_generated_tables(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write_tables(tmp_path / "tables", 1500, 3, now, outreach=True)
    source = source_from_mapping(
        {one: {"path": f"{one}.csv"} for one in TABLES}, tmp_path / "tables", "UTC", PATIENT
    )
    assert all(
        one.unknown == one.unreadable == one.nameless == one.damaged == 0 for one in read_outreach(source)
    )
    library = library_of(visit_sms={}, visit_letter={"channel": "letter"})
    ground = Grounds(
        source=source, settings=read_settings(SETTINGS), library=library, withdrawals=(), key=KEY, now=now
    )
    with Journal(tmp_path / "outreach.sqlite") as journal:
        done = propose(journal, ground)
        held = set(journal.held()["rule"])
        channels = {one.channel for one in journal.proposals()}
    assert all(counts["proposed"] > 10 for counts in done.by_trigger.values())
    assert channels == {"sms", "letter"}
    assert {"veto", "contact", "channel", "language", "cap"} <= held <= set(RULES)


def test_the_program_writes_them_where_it_is_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "plain"), "300", "3"]) == 0
    assert len(list((tmp_path / "plain").iterdir())) == 3
    assert main([str(tmp_path / "more"), "300", "3", "outreach"]) == 0
    assert {path.stem for path in (tmp_path / "more").iterdir()} == set(TABLES)
    assert main([str(tmp_path / "none"), "300", "3", "outraech"]) == 2
    assert "may be outreach" in capsys.readouterr().err
