"""The compliance page names tests that exist, for every rule that it must speak of."""

import re

import pytest

from tests.builders import ROOT

PAGE = (ROOT / "docs/compliance.md").read_text(encoding="utf-8")
CITED = re.compile(r"`(test_\w+)`")
PAGES = ("compliance.md", "hospital.md", "staff.md")


@pytest.fixture(scope="module")
def written() -> set[str]:
    """Names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_exists(page: str, written: set[str]) -> None:
    named = set(CITED.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))
    assert named <= written
    assert named or page == "staff.md"


@pytest.mark.parametrize(
    "rule",
    [
        *(
            "164.502(b)",
            "164.508",
            "164.312(a)",
            "5(1)(a)",
            "5(1)(e)",
            "7",
            "17",
            "21",
            "25",
            "30",
            "32",
            "35",
        ),
        *("164.501", "164.508(a)(3)", "164.522", "164.528", "TCPA", "CAN-SPAM", "Section 1557"),
        *("GDPR 6, 9", "GDPR 13–15", "GDPR 21", "GDPR 22", "AI Act 4", "AI Act 5", "AI Act 50"),
        "State health-data laws",
    ],
)
def test_each_rule_is_spoken_of(rule: str) -> None:
    assert f"**{rule}**" in PAGE


def test_every_item_names_a_test_or_whose_duty_it_is() -> None:
    rules = PAGE.partition("## HIPAA")[2].partition("## What no setting gives you")[0]
    items = [" ".join(item.split()) for item in re.split(r"^- |^#.*$", rules, flags=re.MULTILINE)[1:]]
    items = [item for item in items if item]
    assert len(items) > 40
    for item in items:
        assert CITED.search(item) or "**the hospital's own duty**" in item, item
