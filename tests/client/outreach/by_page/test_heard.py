"""What choices come to: lines that narrow, links that tell nothing, and keys that stay apart."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.outreach.tables_of_outreach import outreach_settings, people_of, tables_of_outreach
from wardround.client.connectors.withdrawals import AGAIN, PAGE, PAGE_AGAIN, PAGE_STOP, Withdrawal, in_force
from wardround.client.outreach.by_page.heard import hear_choices
from wardround.client.outreach.by_page.keys import PageKey, add_page_key, begin_page_keys, load_page_keys
from wardround.client.outreach.by_page.links import PageLinks, patient_meant
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.permission.permission import permission_of
from wardround.client.outreach.permission.rules import Allowed, may_be_sent
from wardround.client.preferences.choice import END, Choice, Wish
from wardround.client.preferences.link_token import TOKEN_CHARACTERS, head_of, spell_token
from wardround.protocol.errors import ConfigurationError

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
KEYS = {1: PageKey(1, bytes(range(32))), 2: PageKey(2, bytes(range(1, 33)))}
TOPICS, CHANNELS = ("visits", "hiv"), ("sms", "portal")
BY_PAGE = (PAGE, PAGE_AGAIN, PAGE_STOP)


def proposal(number: int, token: str = "ab" * 16, **changes: Any) -> OutreachProposal:
    plain: dict[str, Any] = {
        "id": number, "token": token, "recipient": "patient", "trigger": "visit", "occasion": "o", "topic": "visits",
        "module": "visit.en", "module_digest": "0" * 64, "standard": "visit.en", "channel": "sms",
        "send_after": NOW, "send_before": NOW + timedelta(hours=9), "arm": "", "propensity": 1.0,
        "population": "known", "made_at": NOW, "model": "", "contract": "", "stands_on": {}, "reasons": (),
        "options": (), "state": "approved",
    }  # fmt: skip
    return OutreachProposal(**{**plain, **changes})


def links(key: int = 1) -> PageLinks:
    return PageLinks(url="https://choose.north.example", key=KEYS[key], lasts=timedelta(days=60))


def token(link: str) -> str:
    return link[-TOKEN_CHARACTERS:]


def choice(wish: Wish, number: int = 1, at: datetime = NOW, link: str = "") -> Choice:
    spelled = token(link or links().link(proposal(1)))
    return Choice(id=f"{number:032x}", token=spelled, at=at, wish=wish)


def test_a_link_is_always_the_same_and_means_its_patient() -> None:
    link = links().link(proposal(7))
    assert link == links().link(proposal(7))
    meant = patient_meant(token(link), KEYS)
    assert meant is not None
    assert (meant[0], meant[1].last_day) == ("ab" * 16, date(2027, 1, 30))
    assert links().link(proposal(7, recipient="professional")) == ""


def test_two_links_of_one_patient_have_nothing_in_common() -> None:
    """Whoever sees both, the page too, cannot tell that they are one person's: each letter agrees as by chance."""
    made = [token(links().link(proposal(number))) for number in range(200)]
    other = [token(links().link(proposal(number, token="cd" * 16))) for number in range(200)]
    same, apart = agreeing(pairwise(made)), agreeing(zip(made, other, strict=True))
    assert len(set(made)) == 200
    assert abs(same - 1 / 64) < 0.01
    assert abs(apart - 1 / 64) < 0.01


def agreeing(pairs: Iterable[tuple[str, str]]) -> float:
    """Which share of letters agrees, behind key and day."""
    letters = [a == b for one, two in pairs for a, b in zip(one[4:], two[4:], strict=True)]
    return sum(letters) / len(letters)


def test_a_link_changed_by_one_letter_means_nobody() -> None:
    good = token(links().link(proposal(1)))
    for place, letter in enumerate(good):
        changed = good[:place] + ("A" if letter != "A" else "B") + good[place + 1 :]
        assert patient_meant(changed, KEYS) is None
    assert patient_meant(good, {1: KEYS[2]}) is None
    assert patient_meant(good, {}) is None


def test_who_has_the_pages_keys_cannot_make_a_link_that_means_somebody() -> None:
    """The mark's key alone: the page's machine, taken over."""
    forged = spell_token(head_of(1, date(2027, 1, 30)), bytes(40), KEYS[1].mark)
    assert patient_meant(forged, KEYS) is None


def test_a_choice_after_the_links_last_day_counts_for_nothing() -> None:
    late = choice(Wish(stop=True), at=datetime(2027, 2, 3, tzinfo=UTC))
    heard = hear_choices({"a": late}, KEYS, {"ab" * 16: "P1"}, NOW)
    assert (heard.withdrawals, heard.old, heard.done) == ((), 1, ("a",))


def test_a_pages_clock_that_is_ahead_dates_nothing_into_the_future() -> None:
    ahead = choice(Wish(stop=True), at=NOW + timedelta(days=30))
    (row,) = hear_choices({"a": ahead}, KEYS, {"ab" * 16: "P1"}, NOW).withdrawals
    assert row.at == NOW


words = st.sampled_from(TOPICS)
wishes = st.builds(
    Wish,
    stop=st.booleans(),
    topics=st.dictionaries(words, st.booleans()),
    channels=st.dictionaries(st.sampled_from(CHANNELS), st.booleans()),
    until=st.sampled_from(["", END, "2026-12-20", "2026-11-20"]),
)
others = st.builds(
    lambda why, consent, channel: Withdrawal(patient="P1", consent=consent, channel=channel, why=why, at=NOW),
    why=st.sampled_from(["stop", "bounce", AGAIN]),
    consent=st.sampled_from(["contact", "all", "personalise"]),
    channel=st.sampled_from(["", "sms"]),
)
CONSENT = "P1,purpose,reach,2026-01-01,,"
SAID = [
    CONSENT,
    "P1,purpose,reach,2026-01-01,2026-02-01,",
    "P1,topic,hiv,2026-01-01,,",
    "P1,topic,visits,2026-01-01,2026-02-01,",
]
PREFERRED = [
    "P1,topic,visits,no,2026-01-01",
    "P1,channel,sms,no,2026-01-01",
    "P1,channel,portal,yes,2026-01-01",
]


def allowed(folder: Path, rows: Sequence[Withdrawal], consents: list[str], preferred: list[str]) -> set[Any]:
    """Which topics may go by which channels."""
    source = tables_of_outreach(
        folder,
        consents="\n".join(consents),
        preferences="\n".join(preferred),
        addresses="P1,sms,555 0100 001,2026-01-01\nP1,portal,p1,2026-01-01",
    )
    rules = outreach_settings()
    permission = permission_of(source, rules, in_force(rows), people_of("P1"), NOW)
    pairs = [(topic, channel) for topic in TOPICS for channel in CHANNELS]
    return {
        pair
        for pair in pairs
        if isinstance(may_be_sent(permission, 0, *pair, rules.sensitive_topics), Allowed)
    }


@pytest.mark.slow
@settings(max_examples=40)
@given(
    history=st.lists(st.one_of(wishes, others), min_size=1, max_size=6),
    consents=st.lists(st.sampled_from(SAID), unique=True),
    preferred=st.lists(st.sampled_from(PREFERRED), unique=True),
)
def test_no_choice_allows_what_was_forbidden_without_it(
    tmp_path_factory: pytest.TempPathFactory, history: list[Any], consents: list[str], preferred: list[str]
) -> None:
    rows: list[Withdrawal] = []
    for number, one in enumerate(history):
        if isinstance(one, Withdrawal):
            rows.append(one)
        else:
            made = choice(one, number, NOW - timedelta(hours=9 - number))
            rows += hear_choices({"a": made}, KEYS, {"ab" * 16: "P1"}, NOW).withdrawals
    folder = tmp_path_factory.mktemp("tables")
    without = [row for row in rows if row.why not in BY_PAGE]
    consents = [CONSENT, *consents]
    assert allowed(folder, rows, consents, preferred) <= allowed(folder, without, consents, preferred)


def test_the_property_can_fail(tmp_path: Path) -> None:
    """Its tables do allow something, and a line that lifted anything would be seen."""
    stopped = Withdrawal(patient="P1", consent="contact", why="stop", at=NOW)
    lifted = Withdrawal(patient="P1", consent="contact", why=AGAIN, at=NOW)
    assert allowed(tmp_path, [stopped], [CONSENT], []) == set()
    assert allowed(tmp_path, [stopped, lifted], [CONSENT], []) == {("visits", "sms"), ("visits", "portal")}
    asked = choice(Wish(topics={"visits": True}, channels={"sms": True}, until=END))
    by_page = hear_choices({"a": asked}, KEYS, {"ab" * 16: "P1"}, NOW).withdrawals
    assert len(by_page) == 3
    assert allowed(tmp_path, [stopped, *by_page], [CONSENT], []) == set()


def test_a_pause_ends_with_its_day(tmp_path: Path) -> None:
    rows = hear_choices({"a": choice(Wish(until="2026-12-02"))}, KEYS, {"ab" * 16: "P1"}, NOW).withdrawals
    assert allowed(tmp_path, rows, [CONSENT], []) == set()
    over = hear_choices({"a": choice(Wish(until="2026-12-01"))}, KEYS, {"ab" * 16: "P1"}, NOW).withdrawals
    assert allowed(tmp_path, over, [CONSENT], []) == {("visits", "sms"), ("visits", "portal")}


def test_keys_are_added_and_never_lost(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    begin_page_keys(tmp_path)
    first = load_page_keys(tmp_path)[1]
    assert add_page_key(tmp_path) == 2
    keys = load_page_keys(tmp_path)
    assert keys[1] == first
    assert len({key for one in keys.values() for key in (one.seal, one.mark, one.private, one.secret)}) == 8
    with pytest.raises(ConfigurationError):
        begin_page_keys(tmp_path)
    path = tmp_path / "keys" / "preferences.key"
    for content in (b"", b"1 abc\n", b"2 " + b"0" * 64 + b"\n", path.read_bytes() + b"x\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"preferences\.key"):
            load_page_keys(tmp_path)
    path.write_bytes(b"1 " + b"0" * 64 + b"\n")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_page_keys(tmp_path)
