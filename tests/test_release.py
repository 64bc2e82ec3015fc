"""A release says the same of itself everywhere, and its changelog is short enough to be read."""

import re

import pytest

from tests.builders import ROOT, VERSION
from wardround.protocol.wire.speaker import PROTOCOL

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
MOST_LINES = 200  # of one release
MOST_STEPS = 10
GUIDES = ("docs/hospital.md", "docs/hospital-daily.md", "docs/operator.md")


def section(title: str) -> str:
    """Give what stands below a heading of the changelog, until the next of its level."""
    level = title.split()[0]
    return CHANGELOG.partition(f"\n{title}")[2].partition(f"\n{level} ")[0]


def test_citation_and_changelog_name_the_present_version_and_one_date() -> None:
    newest, date = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)[0]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert newest == VERSION
    assert f"\nversion: {VERSION}\ndate-released: {date}\n" in citation
    assert CHANGELOG.index("\n## [Unreleased]\n") < CHANGELOG.index(f"\n## [{VERSION}]")


@pytest.mark.parametrize("page", GUIDES)
def test_guides_show_what_status_says_today(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = {(int(n), v) for n, v in re.findall(r"protocol (\d+)\s+\(wardround\s+([\d.]+)\)", text)}
    assert (PROTOCOL, VERSION) in shown
    assert all(version == VERSION for number, version in shown if number == PROTOCOL)


@pytest.mark.parametrize("who", ["A hospital", "An operator", "A researcher"])
def test_everybody_of_the_first_release_finds_what_to_do_in_ten_steps(who: str) -> None:
    steps = re.findall(r"^(\d+)\. ", section(f"### {who} of 0.1.0 does this"), re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert 1 <= len(steps) <= MOST_STEPS


def test_the_changelog_is_one_that_people_read() -> None:
    whole = section(f"## [{VERSION}]")
    entries = re.split(r"^- ", whole, flags=re.MULTILINE)[1:]
    assert len(whole.splitlines()) <= MOST_LINES
    assert len({entry.strip() for entry in entries}) == len(entries)
