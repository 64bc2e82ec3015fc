"""Whatever an operator may write into a contract, a policy's name or a kept file is shown as text, on every page."""

from typing import Any

import pytest

from tests.client.small_hospital import CONTRACT
from tests.pages.browser import Browser, Tags
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import WardroundError

HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "'><script>alert(1)</script>",
    "{{7*7}}{%raw%}</p>",
    "&lt;b&gt;&#x27;",
)
PAGES = ("", "/decide")
FEATURES = CONTRACT["features"]


def fields(word: str) -> dict[str, dict[str, Any]]:
    """One contract for each field that an operator fills in, with ``word`` there; by the field's name."""
    channel = FEATURES["channel"]
    return {
        "purpose": {"purpose": word},
        "basis": {"consent": {"required": False, "basis": word}},
        "patient": {"patient": word},
        "decided_at": {"decided_at": word},
        "outcome_at": {"outcome_at": word},
        "label": {"label": {"column": word, "engaged": ["1"], "not_engaged": ["0"]}},
        "engaged": {"label": {"column": "opened", "engaged": [word], "not_engaged": ["0"]}},
        "not_engaged": {"label": {"column": "opened", "engaged": ["1"], "not_engaged": [word]}},
        "topic": {"topic": {"column": word, "sensitive": ["maternity"]}},
        "sensitive": {"topic": {"column": "topic", "sensitive": [word]}},
        "column": {"features": {**FEATURES, "channel": {**channel, "column": word}}},
        "vocabulary": {"features": {**FEATURES, "channel": {**channel, "vocabulary": [word, "sms"]}}},
        "source": {"features": {**FEATURES, "channel": {**channel, "source": word}}},
        "feature": {"features": {**FEATURES, word: channel}},
        "group": {"features": {**FEATURES, word: channel}, "groups": [word]},
        "name": {"name": word},
    }


def accepted(word: str) -> set[str]:
    found = set()
    for name, change in fields(word).items():
        try:
            contract_from_mapping({**CONTRACT, **change})
        except WardroundError:
            continue
        found.add(name)
    return found


def test_most_fields_take_any_line() -> None:
    """Else the next test would look at nothing."""
    assert len(accepted(HOSTILE[0])) >= 10
    assert "name" not in accepted(HOSTILE[0])


AT_ONCE = ("feature",)  # the rest in the slow run: each draws some twenty pages


@pytest.mark.parametrize(
    "field",
    [one if one in AT_ONCE else pytest.param(one, marks=pytest.mark.slow) for one in sorted(fields("x"))],
)
def test_every_field_of_a_contract_is_shown_as_text(console, browse, terms_with, field: str) -> None:
    browser = browse("privacy")
    benign = tags(console, browser, terms_with, fields("word")[field])
    looked = 0
    for word in HOSTILE:
        if field in accepted(word):
            assert tags(console, browser, terms_with, fields(word)[field]) == benign
            looked += 1
    assert looked in (0, len(HOSTILE))


def tags(console, browser: Browser, terms_with: Any, contract: dict[str, Any]) -> list[Any]:
    path = console.propose(terms_with(contract=contract))
    found = []
    for page in (*(f"{path}{more}" for more in PAGES), "/studies", "/overview"):
        answer = browser.get(page)
        assert answer.status_code in (200, 409)
        assert "<script" not in answer.text
        # The lists grow by one study each time, whose rows are alike.
        found.append(sorted(set(Tags(answer.text).found)))
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_reasons_of_this_hospitals_people_are_shown_as_text(console, browse, text: str) -> None:
    browser = browse("privacy")
    before = Tags(browser.get("/ledger").text).found
    hospital = console.hospital
    who = {"operator": hospital.operator.public, "reason": text, "person": text, "terms": "0" * 64}
    with_fields = hospital.agent._ledger.decide
    with_fields("declined", hospital.agent._now(), study="tea", **who)
    page = browser.get("/ledger")
    assert page.status_code == 200
    assert set(Tags(page.text).found) == set(before)
    assert "<script" not in page.text
