"""Kill ``inbound --page`` by SIGKILL before each durable act; after another run none is there twice, and none is lost.

python -m tests.client.outreach.by_page.killed_page FOLDER EVERY
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.client.outreach.by_page.hospital_page import HospitalPage
from tests.client.outreach.decide.killed import in_child, killed_at, outreach
from tests.client.outreach.decide.outreach_home import propose, write_outreach
from tests.client.small_hospital import Hospital
from wardround.client.home.home import load_home
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.outreach.by_page.settings import page_links
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.preferences.choice import Choice, Wish, seal_choice
from wardround.client.preferences.link_token import TOKEN_CHARACTERS
from wardround.client.preferences.spool import put

EXPECTED = [("P-1", "", "page_stop"), ("P-3", "screening", "page")]
STEPS = 60


def made(folder: Path) -> None:
    """Three patients chose: one stops all, one takes a topic back and wants it again, one takes it back."""
    hospital = Hospital(folder)
    write_outreach(hospital, 3)
    propose(hospital, 1, 2, 3)
    page = HospitalPage(hospital)
    links, now = page_links(folder), datetime.now(UTC)
    assert links is not None
    with open_journal(folder) as journal:
        tokens = [links.link(one)[-TOKEN_CHARACTERS:] for one in journal.proposals()]
    off, again = Wish(topics={"screening": False}), Wish(topics={"screening": True})
    public = load_page_keys(folder)[1].public
    for number, (place, wish) in enumerate([(0, Wish(stop=True)), (1, off), (1, again), (2, off)]):
        at = now - timedelta(
            milliseconds=400 - 100 * number
        )  # within one second, or on both sides of its end
        put(
            page.spool,
            seal_choice(Choice(id=f"{number:032x}", token=tokens[place], at=at, wish=wish), public),
        )


def expect(folder: Path) -> None:
    """Hold the home to its end."""
    kept = load_home(folder).withdrawals
    found = [(one.patient, one.topic, one.why) for one in kept.standing()]
    assert found == EXPECTED, found
    records = [one.record for one in kept.read()]
    assert len(records) == len(set(records)) == 4, records
    with open_journal(folder) as journal:
        assert [one.id for one in journal.proposals()] == [2, 3]
    assert list((folder.parent / "page" / "spool").iterdir()) == []


def main(folder: Path, every: int) -> None:
    """Kill at each every-th step until an act lives to its end."""
    killed = 0
    for step in range(1, STEPS, every):
        home = folder / str(step) / "north"
        in_child(lambda home=home: made(home))  # type: ignore[misc]
        lived = in_child(lambda home=home, step=step: killed_at(step, home, "inbound", "--page"))  # type: ignore[misc]
        if not lived:
            killed += 1
            in_child(lambda home=home: outreach(home, "inbound", "--page"))  # type: ignore[misc]
        in_child(lambda home=home: expect(home))  # type: ignore[misc]
        if lived:
            break
    assert killed >= 8 // every, killed


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
