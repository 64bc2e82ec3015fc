"""``propose``: the standard message for everybody due, once; or a rule that holds it; void when its ground is gone."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.client.outreach.proposing import BOOKED, NOW, TRIGGERS, grounds, library_of, usual_library
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.proposals.ending import lost_ground
from wardround.client.outreach.propose import propose
from wardround.client.outreach.recalls import NONE_RECALLED, RecalledModels

CONSENTS = "\n".join(
    f"P{n},purpose,reach,2026-01-01,,\nP{n},purpose,choose,2026-01-01,," for n in range(1, 5)
)
TABLES = {
    "consents": CONSENTS,
    "addresses": "P1,sms,555 0100 001,2026-01-01\nP2,letter,1 Mill Lane,2026-01-01\n"
    "P3,email,c@north.example,2026-01-01",
    "appointments": "P1,2026-12-12 10:00,booked\nP2,2026-12-12 10:00,booked\nP3,2026-12-12 10:00,booked\n"
    "P4,2026-12-12 10:00,booked\nP5,2026-12-12 10:00,booked",
}


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "outreach.sqlite") as one:
        yield one


@pytest.fixture
def run(journal, tmp_path):
    def once(choose=None, **changes):
        settings = changes.pop("settings", TRIGGERS)
        recalled = changes.pop("recalled", NONE_RECALLED)
        stands_on = grounds(tmp_path / "tables", settings, **{**TABLES, **changes})
        return propose(journal, replace(stands_on, recalled=recalled), choose)

    return once


def states(journal):
    return [(one.trigger, one.module, one.state) for one in journal.proposals()]


def test_everybody_due_gets_the_standard_message_of_their_channel_or_a_rule(journal, run):
    counts = {"due": 5, "proposed": 2, "standard": 2, "held: address": 2, "held: contact": 1}
    assert run().by_trigger["visit"] == counts
    assert {one.token: one.module for one in journal.proposals()} == {
        token_of("P1", bytes(range(32))): "visit-sms.en",
        token_of("P2", bytes(range(32))): "visit-letter.en",
    }
    held = dict(journal.held().select("token", "rule").rows())
    assert held == {
        token_of(name, bytes(range(32))): rule
        for name, rule in (("P3", "address"), ("P4", "address"), ("P5", "contact"))
    }


def test_a_proposal_says_on_what_it_stands(journal, run):
    run()
    one = next(journal.proposals())
    assert one.reasons == ["visit: 2026-12-12T10:00"]
    assert one.stands_on == {"contact": "reach", "required": True, "personalise": True}
    assert (one.standard, one.population, one.model, one.options) == (one.module, "unknown", "", [])
    assert one.send_after == NOW
    assert one.send_before.hour == 21
    assert len(one.module_digest) == 64


def test_a_second_run_proposes_nothing_twice(journal, run):
    assert run().by_trigger["visit"]["proposed"] == 2
    again = run()
    assert again.by_trigger["visit"]["proposed"] == 0
    assert again.void == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"appointments": "P1,2026-12-12 10:00,confirmed"}, "the trigger ended"),
        ({"vetoes": "p-1,deceased,2026-12-09,"}, "veto"),
        ({"consents": "P1,purpose,choose,2026-01-01,,"}, "contact"),
        ({"addresses": ""}, "address"),
        ({"preferences": "P1,channel,letter,yes,2026-12-01"}, "channel"),
        ({"library": library_of({"visit-sms.en": "retired"}, visit_sms={}, visit_letter={"channel": "letter"})},
         "its module may not be sent any more"),
        ({"library": library_of(visit_sms={"parts": {"core": "Another text."}}, visit_letter={"channel": "letter"})},
         "its module may not be sent any more"),
        ({"now": NOW + timedelta(hours=12)}, "its time passed"),
        ({"settings": "triggers: {}\n"}, "the trigger ended"),
    ],
)  # fmt: skip
def test_a_proposal_that_lost_its_ground_is_void_with_the_reason(journal, run, change, why):
    """The one kind of change each; approved ones too."""
    only = {"appointments": "P1,2026-12-12 10:00,booked"}
    run(**only)
    journal.move([1], "approved", person="Ida", reason="r", at=NOW)
    assert run(**{**only, **change}).void == {why: 1}
    assert [one.reason for one in journal.decisions(1)] == ["r", why]
    assert next(journal.proposals(ids=[1])).state == "void"


def test_what_an_export_took_meanwhile_is_not_void(journal, run, monkeypatch):
    """Void, its occasion would be free, and proposed once more beside the message that leaves."""
    only = {"appointments": "P1,2026-12-12 10:00,booked"}
    run(**only)
    journal.move([1], "approved", person="Ida", reason="r", at=NOW)

    def taken(*given):
        found = lost_ground(*given)
        journal.move([1], "exporting", person="Ida", reason="r", at=NOW)
        return found

    monkeypatch.setattr("wardround.client.outreach.propose.lost_ground", taken)
    assert not any(run(**only, settings="triggers: {}\n").void.values())
    assert [one.state for one in journal.proposals()] == ["exporting"]


@pytest.mark.parametrize(
    ("recalled", "void"),
    [
        (RecalledModels(frozenset({"cd" * 32})), {"its model was recalled": 1}),
        (RecalledModels(frozenset({"ef" * 32})), {"its model was recalled": 1}),
        (RecalledModels(unreadable=True), {"its model was recalled": 1}),
        (RecalledModels(frozenset({"ab" * 32, ""})), {}),
    ],
)
def test_what_a_recalled_model_chose_is_void_and_the_standard_message_in_its_place(
    journal, run, tmp_path, recalled, void
):
    """By the file's digest, by the study's terms, or since nobody can tell; what no model chose stays."""
    run()
    with sqlite3.connect(tmp_path / "outreach.sqlite") as db:
        by = ("cd" * 32, f'{{"terms":"{"ef" * 32}"}}')
        db.execute("UPDATE proposals SET standard = 'another.en', model = ?, stands_on = ? WHERE id = 1", by)
    db.close()
    done = run(recalled=recalled)
    assert done.void == void
    assert done.by_trigger["visit"]["proposed"] == len(void)
    waiting = [one for one in journal.proposals(("proposed",)) if one.model == ""]
    assert len(waiting) == 1 + len(void)


def test_who_no_longer_wants_to_be_personalised_is_proposed_the_standard_message_instead(
    journal, run, tmp_path
):
    run()
    with sqlite3.connect(tmp_path / "outreach.sqlite") as db:
        db.execute("UPDATE proposals SET standard = 'another.en'")
    db.close()
    assert run().void == {}
    assert run(consents=CONSENTS.replace("P1,purpose,choose,2026-01-01,,", "")).void == {"personalise": 1}
    assert states(journal) == [
        ("visit", "visit-sms.en", "void"),
        ("visit", "visit-letter.en", "proposed"),
        ("visit", "visit-sms.en", "proposed"),
    ]


def test_a_void_proposal_is_made_anew_while_its_ground_stands(journal, run):
    run()
    later = run(now=NOW + timedelta(hours=12))
    assert later.void == {"its time passed": 2}
    assert later.by_trigger["visit"]["proposed"] == 2


def test_who_opts_out_is_forgotten_and_not_written_down_again(journal, run):
    run()
    done = run(withdrawals=[Withdrawal(patient="p 1", consent="contact", why="stop", at=NOW)])
    assert done.forgotten == 1
    mine = token_of("P1", bytes(range(32)))
    assert list(journal.proposals(token=mine)) == []
    assert mine not in journal.held()["token"].to_list()


def test_an_opt_out_is_forgotten_though_nothing_is_due(journal, run):
    run()
    assert run(appointments="", preferences="P1,contact,,no,2026-12-09").forgotten == 1


def test_caps_hold_over_triggers_and_what_was_exported(journal, run):
    second = "  other: {when: due, topic: visits, days: [0, 30], standard: [visit-sms]}\n"
    settings = TRIGGERS + second
    tables = {
        "settings": settings,
        "appointments": "P1,2026-12-12 10:00,booked",
        "recalls": "P1,flu,2026-12-01,",
    }
    done = run(**tables)
    assert done.by_trigger["visit"]["proposed"] == 1
    assert done.by_trigger["other"] == {"due": 1, "proposed": 0, "standard": 0, "held: cap": 1}
    for state in ("approved", "exporting", "exported"):
        journal.move([1], state, person="Ida", reason="r", at=NOW)
    assert run(**tables).by_trigger["other"]["proposed"] == 0
    assert run(**tables, now=NOW + timedelta(days=1)).by_trigger["other"]["proposed"] == 1


def test_a_message_that_would_come_too_late_is_not_proposed(journal, run):
    late = run(appointments="P1,2026-12-10 20:00,booked", now=NOW.replace(hour=20, minute=50))
    assert late.by_trigger["visit"] == {"due": 0, "proposed": 0, "standard": 0}
    held = run(appointments="P1,2026-12-11 07:00,booked", now=NOW.replace(hour=20, minute=50))
    assert held.by_trigger["visit"]["held: hours"] == 1


def test_hours_are_of_the_patients_own_clock(journal, run):
    asked = "P1,timezone,America/New_York,yes,2026-01-01\nP2,timezone,Mars/Olympus,yes,2026-01-01"
    done = run(preferences=asked)
    assert done.by_trigger["visit"]["held: hours"] == 1
    (one,) = journal.proposals()
    assert one.send_after.hour == 13


@pytest.mark.parametrize("row", ["yes,", "yes,soon", ",2026-01-01", "yes,2026-01-01"])
def test_a_zone_counts_though_its_row_has_no_yes_or_no_date(journal, run, row):
    run(
        preferences=f"P1,timezone,America/New_York,{row}\nP2,timezone,Europe/Madrid,yes,\nP2,timezone,UTC,yes,2026-01-01"
    )
    assert [one.send_after.hour for one in journal.proposals()] == [13, NOW.hour]


def test_languages_are_the_patients_own(journal, run):
    spanish = {"visit_sms": {}, "visit_letter": {"channel": "letter", "language": "es", "id": "visit-letter"}}
    del spanish["visit_letter"]["id"]
    library = library_of(**spanish)
    done = run(library=library, preferences="P2,language,es-MX,yes,2026-01-01\nP1,language,fr,yes,2026-01-01")
    assert done.by_trigger["visit"]["held: language"] == 1
    assert [one.module for one in journal.proposals()] == ["visit-letter.es"]


def test_marketing_is_held_for_everybody_without_an_authorisation(journal, run):
    library = library_of(visit_sms={"message_class": "marketing"}, visit_letter={"channel": "letter"})
    assert run(library=library).by_trigger["visit"]["held: authorisation"] == 1


def test_marketing_goes_to_whom_an_authorisation_names_and_is_void_when_it_is_taken_back(journal, run):
    paid = {"message_class": "marketing", "paid_by": "Acme", "payment": "more"}
    library = library_of(visit_sms=paid, visit_letter={"channel": "letter"})
    signed = "P1,Acme,visits,2026-02-01,,2027-02-01"
    assert run(library=library, authorisations=signed).by_trigger["visit"].get("held: authorisation", 0) == 0
    (mine,) = (one for one in journal.proposals() if one.module == "visit-sms.en")
    assert mine.stands_on["authorisation"] == "signed on 2026-02-01 about visits, paid by Acme"
    others = [one for one in journal.proposals() if one.id != mine.id]
    assert others
    assert not any("authorisation" in one.stands_on for one in others)
    again = run(library=library, authorisations=signed + "\np 1,Acme,visits,,2026-12-01,")
    assert again.void == {"authorisation": 1}


def test_interest_is_looked_at_only_where_that_source_was_opted_in_to(journal, run):
    looked = "{when: interest, source: portal, topic: visits, days: [0, 3], standard: [visit-sms]}"
    settings = f"triggers:\n  looked: {looked}\n"
    seen = "P1,visits,2026-12-09\nP2,visits,2026-12-09"
    opted = CONSENTS + "\nP1,source,portal,2026-01-01,,"
    assert run(settings=settings, interest=seen).by_trigger["looked"]["due"] == 0
    assert run(settings=settings, interest=seen, consents=opted).by_trigger["looked"]["proposed"] == 1
    assert journal.held().is_empty()


def test_professionals_are_told_a_count_and_nothing_else(journal, run):
    settings = f"triggers:\n  team: {BOOKED.replace('{when', '{to: professional, when')}\n"
    teams = "\n".join(f"P{n},Dr Nightingale,letter,1 Ward Street" for n in (1, 2, 3)) + "\nP4,Dr Snow,sms,555"
    done = run(settings=settings, care_teams=teams, vetoes="P3,deceased,2026-01-01,")
    assert done.by_trigger["team"]["proposed"] == 2
    first, other = sorted(journal.proposals(), key=lambda one: one.reasons)
    assert (first.recipient, first.reasons, first.module) == (
        "professional",
        ["1 of your patients"],
        "visit-sms.en",
    )
    assert (other.reasons, other.module) == (["2 of your patients"], "visit-letter.en")
    content = (journal.path).read_bytes()
    assert b"Nightingale" not in content
    assert b"P1" not in content
    assert run(settings=settings, care_teams=teams).by_trigger["team"]["proposed"] == 0


def test_two_triggers_share_the_library_and_each_topic_is_its_own(journal, run):
    wrong = library_of(visit_sms={}, visit_letter={"channel": "letter"})
    settings = TRIGGERS.replace("topic: visits", "topic: flu")
    assert run(settings=settings, library=wrong).by_trigger["visit"]["held: content"] >= 2
    assert usual_library().modules
