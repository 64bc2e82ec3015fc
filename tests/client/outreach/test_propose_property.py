"""Over random tables, consents, vetoes and content: nobody is proposed to who may not be, and everybody who may is.

The oracle reads the drawn cases, not the tables: it knows of no matching, parsing or polars. For more cases:
WARDROUND_PROPERTY_CASES=5000.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.client.outreach.journal.test_journal import nothing_held, proposed
from tests.client.outreach.proposing import grounds, library_of
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.content.approvals import Standing
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.propose import propose

CASES = int(os.environ.get("WARDROUND_PROPERTY_CASES", "200"))
PER_RUN = 100
CHANNELS = ("sms", "letter")
SPELLINGS = ("{}", "{}", "{}", "P-{}", "p{}")
KEY = bytes(range(32))


@dataclass
class Case:
    """One drawn patient. Each word is drawn by itself; grants by another's spelling are none."""

    name: str
    granted: bool
    withdrawn: bool
    reply: bool
    veto: bool
    damaged: bool
    due: bool
    confirmed: bool
    topics: dict[str, bool]
    wants: str
    reached: tuple[str, ...]
    shared: bool
    language: str
    before: int = 0
    rows: dict[str, list[str]] = field(default_factory=dict)


def drawn(rng: np.random.Generator, number: int) -> Case:
    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    case = Case(
        name=f"P{number}",
        granted=chance(0.9),
        withdrawn=chance(0.08),
        reply=chance(0.05),
        veto=chance(0.08),
        damaged=chance(0.04),
        due=chance(0.95),
        confirmed=chance(0.05),
        topics={topic: chance(0.6) for topic in ("visits", "oncology") if chance(0.3)},
        wants=str(rng.choice(("", "", "", *CHANNELS))),
        reached=tuple(channel for channel in CHANNELS if chance(0.75)),
        shared=chance(0.15),
        language=str(rng.choice(("", "", "es", "fr", "en-GB"))),
        before=int(rng.choice((0, 0, 0, 1, 3))),
    )
    case.rows = written(rng, case, number)
    return case


def written(rng: np.random.Generator, case: Case, number: int) -> dict[str, list[str]]:
    """Write a case's rows; what forbids is spelt in some way, what allows exactly."""

    def spelt() -> str:
        return str(rng.choice(SPELLINGS)).replace("{}", case.name).replace("P-P", "P-").replace("pP", "p")

    rows: dict[str, list[str]] = {
        table: [] for table in ("consents", "preferences", "vetoes", "addresses", "appointments")
    }
    name = case.name
    rows["consents"].append(f"{name if case.granted else f'Q{number}'},purpose,reach,2026-01-01,,")
    if case.withdrawn:
        where = rng.integers(3)
        rows["consents" if where == 0 else "preferences"].append(
            (
                f"{spelt()},purpose,reach,2026-01-01,2026-02-01,",
                f"{spelt()},contact,,no,2026-03-01",
                f"{spelt()},contact,,?,",
            )[where]
        )
    if case.veto:
        reason = rng.choice(
            ("deceased", "pregnancy_loss", "inpatient", "palliative", "clinician", "unheard of")
        )
        rows["vetoes"].append(
            f"{spelt()},{reason},{rng.choice(('', '2026-11-01', 'some day'))},{rng.choice(('', '2027-01-01'))}"
        )
    if case.damaged:
        rows[str(rng.choice(("preferences", "vetoes", "addresses", "consents")))].append(f'{spelt()},"open,,')
    for topic, wanted in case.topics.items():
        rows["preferences"].append(f"{name},topic,{topic},{'yes' if wanted else 'no'},2026-02-01")
    if case.wants:
        rows["preferences"].append(f"{name},channel,{case.wants},yes,2026-02-01")
    if case.language:
        rows["preferences"].append(f"{name},language,{case.language},yes,2026-02-01")
    for channel in case.reached:
        rows["addresses"].append(f"{name},{channel},{channel} {number:09d},2026-01-01")
        if case.shared:
            rows["addresses"].append(f"R{number},{channel},{channel.upper()} {number:09d}.,2020-01-01")
    if case.due:
        rows["appointments"].append(f"{name},2026-12-1{rng.integers(2, 6)} 10:00,booked")
        if case.confirmed:
            rows["appointments"].append(rows["appointments"][-1].replace("booked", "confirmed"))
    return rows


def expected(case: Case, topic: str, states: dict[str, str]) -> str | None:
    """Say which module is right for a case; None where nothing may be sent."""
    contact = case.granted and not (case.withdrawn or case.reply or case.veto or case.damaged)
    chosen = case.topics.get(topic)
    chooser = any(case.topics.values())
    fits = bool(chosen) or (chosen is None and not chooser and topic != "oncology")
    full = case.before >= 3
    if not (contact and case.due and not case.confirmed and fits and not full):
        return None
    for channel in CHANNELS:
        sensitive = topic == "oncology" and (case.shared or channel == "sms")
        if channel in case.reached and case.wants in ("", channel) and not sensitive:
            language = {"": "en", "en-GB": "en", "es": "es"}.get(case.language)
            name = f"visit-{channel}.{language}"
            if language is not None and states.get(name) == "approved":
                return name
    return None


def earlier(journal: Journal, cases: list[Case], now: datetime) -> None:
    """Export messages of the week before."""
    for case in cases:
        for number in range(case.before):
            at = (now - timedelta(days=1 + number)).strftime("%Y-%m-%dT%H:%M:%SZ")
            row = proposed(
                token_of(case.name, KEY), occasion=f"old {number}", trigger="old", send_after=at, made_at=at
            )
            journal.propose(row, nothing_held())
    ids = journal.frame(("id",))["id"].to_list()
    for state in ("approved", "exporting", "exported"):
        journal.move(ids, state, person="Ida", reason="r", at=now)


@pytest.mark.parametrize("seed", range(max(1, CASES // PER_RUN)))
def test_nobody_is_proposed_to_who_may_not_be_and_everybody_who_may_is(tmp_path, seed):
    rng = np.random.default_rng(seed)
    cases = [drawn(rng, 100 + number) for number in range(PER_RUN)]
    topic = str(rng.choice(("visits", "oncology")))
    names = [f"visit-{channel}.{language}" for channel in CHANNELS for language in ("en", "es")]
    states = {name: str(rng.choice(("approved", "approved", "approved", "lapsed"))) for name in names}
    library = library_of(states, **{f"visit_{channel}": {"channel": channel} for channel in CHANNELS})
    library = with_spanish(library, states, topic)
    now = datetime(2026, 12, 10, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 1440)))
    tables = {
        table: "\n".join(row for one in cases for row in one.rows[table])
        for table in ("consents", "preferences", "vetoes", "addresses", "appointments")
    }
    withdrawals = [
        Withdrawal(patient=one.name, consent="contact", why="stop", at=now) for one in cases if one.reply
    ]
    visit = f"{{when: booked, topic: {topic}, days: [0, 7], standard: [visit-sms, visit-letter]}}"
    settings = f"triggers:\n  visit: {visit}\n"
    with Journal(tmp_path / "outreach.sqlite") as journal:
        earlier(journal, cases, now)
        ground = grounds(tmp_path / "tables", settings, library, now, withdrawals, **tables)
        propose(journal, ground)
        proposals = [one for one in journal.proposals(("proposed",)) if one.trigger == "visit"]
        found = {one.token: one.module for one in proposals}
        held = dict(journal.held().select("token", "rule").rows())
    right = {token_of(one.name, KEY): expected(one, topic, states) for one in cases}
    assert found == {token: module for token, module in right.items() if module is not None}
    assert not set(found) & set(held)
    assert all(
        8 <= one.send_after.hour < 21 and one.send_before.hour <= 21 and now <= one.send_after
        for one in proposals
    )


def with_spanish(library, states, topic):
    spanish = [replace(one, language="es") for one in library.modules]
    every = tuple(replace(one, topic=topic) for one in (*library.modules, *spanish))
    return replace(library, modules=every, standings={one.name: Standing(states[one.name]) for one in every})
