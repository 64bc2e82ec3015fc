"""What would leave, on a page: what an export then does; nothing is sent or written by looking."""

import re
from collections.abc import Callable

import pytest

from tests.client.console.conftest import Console
from tests.client.outreach.by_page.hospital_page import HospitalPage, links_of
from tests.client.outreach.decide.outreach_home import states
from wardround.client.main import main


def run(console: Console, *words: str) -> None:
    given = [f"--home={console.hospital.folder}", f"--password-file={console.typed}"]
    assert main(["outreach", *words, *given]) == 0


@pytest.fixture
def approved(outreach, console: Console) -> Console:
    """Twelve messages that two people approved; one of the patients has taken their consent back since."""
    for name in ("Grace Hopper", "Ada Byron"):
        run(console, "approve", "--module", "visit.en", "--yes", "--reason", "kind", f"--person={name}")
    path = console.hospital.folder / "consents.csv"
    path.write_text(
        path.read_text().replace("P-1,purpose,reach,2024-01-01,,", "P-1,purpose,reach,2024-01-01,2025-01-01,")
    )
    assert states(console.hospital) == {"approved": 12}
    return console


def shown(browser, recipient: str) -> str:
    page = browser.get("/sending")
    assert page.status_code == 200
    section = page.text.partition(f">{recipient}</h2>")[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", section))


def test_a_clinician_sees_what_an_export_then_does(approved: Console, browse: Callable, capsys) -> None:
    said = shown(browse("clinician"), "texts")
    assert "Messages that would leave now 11" in said
    assert re.search(r"Would be void: \w+ 1 ", said)
    assert "wardround-hospital outreach export texts --person 'Grace Hopper'" in said.replace("&#39;", "'")
    assert states(approved.hospital) == {"approved": 12}
    assert list((approved.hospital.folder / "texts").iterdir()) == []
    capsys.readouterr()
    run(approved, "export", "texts", "--person", "Grace Hopper")
    assert "11 sent" in capsys.readouterr().out
    assert states(approved.hospital) == {"exported": 11, "void": 1}
    assert "Messages that would leave now 0" in shown(browse("clinician"), "texts")


def test_who_chose_a_moment_ago_is_not_of_those_who_would_get_a_message(
    approved: Console, browse: Callable
) -> None:
    """Nobody ran a command since: the page itself looks into the spool, and leaves it as it is."""
    page, links = HospitalPage(approved.hospital), links_of(approved.hospital)
    page.choose(links["P-2"], stop="all")
    page.choose(links["P-3"], channel__sms="off")
    said = shown(browse("clinician"), "texts")
    assert "Messages that would leave now 9" in said
    assert "Wait: lately 2" in said
    assert len(list(page.spool.iterdir())) == 2
    page.spool.rename(page.spool.parent / "away")
    assert "cannot be read" in browse("clinician").get("/sending").text


def test_communications_see_no_small_count_and_no_difference_of_two(
    approved: Console, browse: Callable
) -> None:
    said = shown(browse("communications"), "texts")
    assert "Messages that would leave now 10 or more" in said
    assert re.search(r"Would be void: \w+ fewer than 11 ", said)
    assert not re.search(r"\b(1|11|12)\b", said.replace("fewer than 11", ""))


def test_before_anything_was_proposed_the_page_begins_nothing(console: Console, browse: Callable) -> None:
    assert "Nothing was proposed yet" in browse("clinician").get("/sending").text
    assert not (console.hospital.folder / "outreach.sqlite").exists()
